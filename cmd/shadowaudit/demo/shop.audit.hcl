# The audit that "shadowaudit demo" runs. Yours looks the same: say where the
# traffic is, which build is trusted, which one is to be judged, and what counts.

variable "baseline_url" {
  type        = string
  description = "The build that is trusted."
}

variable "candidate_url" {
  type        = string
  description = "The build that wants to ship."
}

source "gor" "shop" {
  path = "shop.gor" # recorded with GoReplay
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
  baseline  = target.stable
  candidate = target.next

  select {
    exclude = [".request.path == \"/healthz\""]
  }

  replay {
    speed = 2 # twice as fast as production was
  }

  compare {
    ignore = [".body.generated_at"] # differs every time, and means nothing
  }

  cohort "region" {
    by = ".request.headers[\"x-region\"]"
  }

  gate "tail latency" {
    metric       = latency.p95
    max          = "250ms"
    max_increase = "40ms" # against the baseline, on the same requests
    per          = [endpoint]
  }

  gate "errors" {
    metric = errors.rate
    max    = "0%"
    per    = [cohort.region]
  }

  gate "behaviour" {
    metric = mismatches.rate
    max    = "0%"
  }
}
