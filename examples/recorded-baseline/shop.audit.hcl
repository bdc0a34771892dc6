# Only the candidate is running. What it answers is compared with what
# production answered when the traffic was recorded. This needs no second build,
# but data that has changed since the recording shows up as differences.

variable "candidate_url" {
  type        = string
  description = "The build of this pull request."
}

source "har" "browser" {
  path  = "traffic/shop.har"
  hosts = ["shop.example"] # a browser talks to others as well
}

target "next" {
  url  = var.candidate_url
  host = "shop.example"
}

audit "shop" {
  source    = source.har.browser
  baseline  = recorded
  candidate = target.next

  select {
    include = [".request.path | startswith(\"/api/\")"]
  }

  replay {
    timing = constant
    rate   = "200/s"
  }

  compare {
    ignore = [".body.generated_at"]
  }

  gate "errors" {
    metric = errors.rate
    max    = "0%"
  }

  gate "behaviour" {
    metric = mismatches.rate
    max    = "0%"
  }
}
