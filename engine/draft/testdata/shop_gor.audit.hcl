# A first audit, made of what is in traffic/shop.gor. Change what you know
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

source "gor" "first" {
  path = "traffic/shop.gor"
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
# In the recording they replaced: gdpr@1/email 30, pci@1/card-number 5,
# secrets@1/cookie 120, secrets@1/credential 120.

target "stable" {
  url = var.baseline_url
}

target "next" {
  url = var.candidate_url
}

audit "first" {
  source    = source.gor.first
  baseline  = target.stable
  candidate = target.next

  # 6 endpoints: requests of the recording, by method and path.
  #
  #   32  GET /api/orders/{id}
  #   30  GET /api/products
  #   25  GET /api/customers/{id}
  #   24  GET /api/search
  #    5  POST /api/orders
  #    4  GET /healthz

  select {
    # The recording has GET 115, POST 5.
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
  # # 3 values, in 26% of the requests
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
    # Judged over all the traffic: the quietest endpoint has only 4 requests.
    # With more of it, add per = [endpoint].
    metric       = latency.p95
    max_increase = "50ms"
    min_samples  = 59
    # So few requests decide little beyond chance; leave this line out once
    # there are 1,000.
    decision = point
  }
}
