# A spec with much in it that has nothing to do.

variable "baseline_url" {
  type = string
}

variable "candidate_url" {
  type = string
}

source "gor" "loopback" {
  path = "../../../../testdata/gor/r_0.gor"
}

scrub "strict" {
  packs = ["secrets@1"]

  rule "order note" {
    jq     = [".body.note"]
    action = remove
  }
}

target "stable" {
  url = var.baseline_url
}

target "next" {
  url = var.candidate_url
}

audit "loopback" {
  source    = source.gor.loopback
  scrub     = scrub.strict
  baseline  = target.stable
  candidate = target.next
  endpoints = ["/never/{id}"]

  select {
    exclude = [".request.path == \"/nowhere\""]
  }

  replay {
    timing = constant
    rate   = "10/s"
  }

  compare {
    ignore    = [".status", ".body.generated_at"]
    unordered = [".headers"]
  }

  cohort "region" {
    by = ".request.headers[\"x-region\"]"
  }

  gate "behaviour" {
    metric = mismatches.rate
    max    = "0%"
  }

  gate "tail latency" {
    metric = latency.p95
    max    = "250ms"
  }

  gate "tail latency of each" {
    metric      = latency.p50
    max         = "250ms"
    per         = [endpoint, cohort.region]
    min_samples = 2
  }
}
