# A first audit, made of what is in traffic/browser.har. Change what you know
# better. Instead of run, plan says what would be sent and sends nothing.
#
#   shadowaudit run first.audit.hcl \
#     --var baseline_url=URL --var candidate_url=URL

variable "baseline_url" {
  type        = string
  description = "The build that is trusted, for example http://127.0.0.1:8080."
}

variable "candidate_url" {
  type        = string
  description = "The build under audit, for example http://127.0.0.1:8081."
}

# The recording has traffic with 2 hosts. The busiest one is taken.
source "har" "first" {
  path  = "traffic/browser.har"
  hosts = ["shop.example"]
}

# Personal data and credentials are replaced before anything is sent, stored or
# shown. The default packs know their usual forms and names. What else is
# personal in this traffic goes into rules:
#
# scrub "customer" {
#   rule "order note" {
#     jq     = [".body.note"]
#     action = remove
#   }
# }
#
# In the recording they replaced: secrets@1/cookie 1.

target "stable" {
  url = var.baseline_url
}

target "next" {
  url = var.candidate_url
}

audit "first" {
  source    = source.har.first
  baseline  = target.stable
  candidate = target.next

  # 2 endpoints: requests of the recording, by method and path.
  #
  #   1  GET /orders
  #   1  POST /orders

  select {
    # The recording has GET 1, POST 1.
    # POST can change something at a target and would have to be named here. Do
    # that only where nothing real can happen.
    methods = ["GET", "HEAD"]
  }

  compare {
    # No field of the recorded responses looks new in every answer. Those that
    # are go here:
    #
    # ignore = [".body.generated_at"]
  }

  gate "behaviour" {
    metric = mismatches.rate
    max    = "0%"
  }

  gate "errors" {
    # None may fail: a share such as 0.1% takes about 3,000 requests to decide.
    metric = errors.rate
    max    = "0%"
  }

  gate "tail latency" {
    # Judged over all the traffic: the quietest endpoint has only 1 request.
    # With more of it, add per = [endpoint].
    # Even so a p95 of fewer than 59 requests is a rough one.
    metric       = latency.p95
    max_increase = "50ms"
    min_samples  = 1
    # So few requests decide little beyond chance; leave this line out once
    # there are 1,000.
    decision = point
  }
}
