# A first audit, made of what is in traffic/shop.har. Change what you know
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

source "har" "first" {
  path = "traffic/shop.har"
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
# In the recording they replaced: gdpr@1/email 15, pci@1/card-number 2,
# secrets@1/cookie 60, secrets@1/credential 60.

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

  # 6 endpoints: requests of the recording, by method and path.
  #
  #   15  GET /api/orders/{id}
  #   14  GET /api/search
  #   13  GET /api/customers/{id}
  #   13  GET /api/products
  #    3  GET /healthz
  #    2  POST /api/orders

  select {
    # The recording has GET 58, POST 2.
    # POST can change something at a target and would have to be named here. Do
    # that only where nothing real can happen.
    methods = ["GET", "HEAD"]
  }

  compare {
    ignore = [
      # a time close to that of the request
      ".body.generated_at",
    ]
  }

  # These slice the traffic into a few parts. A gate with per = [cohort.NAME]
  # judges each part on its own.
  #
  # # 2 values, in 100% of the requests
  # cohort "region" {
  #   by = ".request.headers[\"x-region\"]"
  # }
  #
  # # 3 values, in 22% of the requests
  # cohort "category" {
  #   by = ".request.query.category"
  # }

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
    # Judged over all the traffic: the quietest endpoint has only 3 requests.
    # With more of it, add per = [endpoint].
    # Even so a p95 of fewer than 59 requests is a rough one.
    metric       = latency.p95
    max_increase = "50ms"
    min_samples  = 58
    # So few requests decide little beyond chance; leave this line out once
    # there are 1,000.
    decision = point
  }
}
