# Both builds are running. Every request of the recording goes to both of them
# at the same moment, so whatever differs comes from the build and not from the
# data, the day or the machine.

variable "baseline_url" {
  type        = string
  description = "The build that is in production."
}

variable "candidate_url" {
  type        = string
  description = "The build of this pull request."
}

source "gor" "shop" {
  path = "traffic/shop.gor"
}

scrub "customer" {
  packs = ["secrets@1", "pci@1", "gdpr@1"]

  rule "search terms" {
    query  = ["q"]
    action = keep # they are not personal, and the answer depends on them
  }
}

target "stable" {
  url = var.baseline_url
}

target "next" {
  url     = var.candidate_url
  timeout = "2s"
}

audit "shop" {
  source    = source.gor.shop
  scrub     = scrub.customer
  baseline  = target.stable
  candidate = target.next

  select {
    exclude = [".request.path == \"/healthz\""]
  }

  compare {
    ignore = [".body.generated_at"]
    keyed  = { ".body.items" = "sku" }
  }

  cohort "region" {
    by = ".request.headers[\"x-region\"]"
  }

  gate "tail latency" {
    metric       = latency.p95
    max          = "250ms"
    max_increase = "40ms"
    decision     = point # two seconds of traffic decide little beyond chance; leave this out with more
  }

  gate "errors" {
    metric = errors.rate
    max    = "0%"
    per    = [cohort.region]
  }

  gate "behaviour" {
    metric = mismatches.rate
    max    = "0%"
    per    = [endpoint]
  }
}
