shadowaudit {
  required_version = ">= 0.1"
}

import "common" {
  path      = "common.audit.hcl"
  variables = { host = local.host }
}

variable "candidate_url" {
  type        = string
  default     = "http://127.0.0.1:8081"
  description = "Base URL of the build under test."

  validation {
    condition     = can(regex("^https?://", var.candidate_url))
    error_message = "The URL of the candidate begins with http:// or https://."
  }
}

locals {
  host    = "shop.example.com"
  regions = ["eu", "us"]
}

source "gor" "peak_hour" {
  path = "traffic/peak_*.gor"
}

source "har" "checkout" {
  path  = "traffic/checkout.har"
  hosts = [local.host]
}

source "recording" "kept" {
  path = "traffic/kept.sar"
}

source "mitm" "app" {
  path = "traffic/app.mitm"
}

source "pcap" "port_8080" {
  path  = "traffic/port_8080.pcap*"
  ports = [8080]
}

source "envoy_tap" "sidecar" {
  path = "taps/*.json"
}

source "mirror" "edge" {
  listen   = "127.0.0.1:9900"
  max_loss = "0.1%"
  on_loss  = fail
}

source "mirror" "logged" {
  listen            = "127.0.0.1:9902"
  access_log        = "/var/log/nginx/shadow.log"
  access_log_format = json
  access_log_fields = { time = "ts", time_unit = "s", id = "trace", request = "request", status = "status", latency = "urt" }
}

source "gor_tcp" "live" {
  listen    = "0.0.0.0:28020"
  cert_file = "tls/server.pem"
  key_file  = "tls/server.key"
}

source "interface" "port_8080" {
  device = "eth0"
  ports  = [8080]
}

source "vxlan" "vpc" {
  listen = "0.0.0.0:4789"
  vnis   = [123]
  ports  = [8080]
}

source "envoy_ext_proc" "mesh" {
  listen = "127.0.0.1:9901"
}

source "middleware" "app" {
  listen = "unix:/run/shadowaudit.sock"
}

source "proxy" "front" {
  listen   = "127.0.0.1:8000"
  upstream = "http://127.0.0.1:8080"
}

source "kafka" "topic" {
  brokers      = ["127.0.0.1:9092"]
  topic        = "shadow-traffic"
  group        = "shadowaudit"
  format       = jq
  map          = "{request: {method: .verb, target: .uri}, time: .ts}"
  tls          = true
  username_env = "KAFKA_USER"
  password_env = "KAFKA_PASSWORD"
  mechanism    = scram_sha_512
}

source "nats" "subject" {
  server      = "nats://127.0.0.1:4222"
  stream      = "SHADOW"
  subject     = "shadow.>"
  consumer    = "shadowaudit"
  start       = latest
  follow      = true
  format      = exchange
  credentials = "shadow.creds"
}

source "access_log" "gateway" {
  path   = "logs/access.jsonl.*.gz"
  format = json
  fields = { time = "ts", time_unit = "ms", method = "http.verb", uri = "http.path", status = "code" }
}

scrub "customer" {
  packs       = ["secrets@1", "pci@1", "gdpr@1"]
  key_env     = "SHADOWAUDIT_SCRUB_KEY"
  max_dropped = "1%"

  rule "order note" {
    jq     = [".body.note"]
    action = remove
    reason = "People write their telephone number into it."
  }
}

target "next" {
  url     = var.candidate_url
  timeout = "2s"
  host    = local.host
  headers = { "x-shadow" = "1" }
}

target "stable_too" {
  url = "http://127.0.0.1:8082"
}

ignore_set "clock" {
  ignore    = [".body.generated_at"]
  tolerance = { ".body.elapsed_ms" = "50" }
  reason    = "Clocks differ between two requests."
  expires   = "2027-06-30"
}

accept "1:3f1c09aa4be7d210" {
  audit    = "shop"
  endpoint = "GET /api/orders/{id}"
  path     = ".body.total"
  kind     = format
  from     = "number"
  to       = "number"
  max      = "5%"
  reason   = "Totals have two decimals since the new tax rules."
  owner    = "team-checkout"
  expires  = "2027-06-30"
}

audit "shop" {
  source    = source.gor.peak_hour
  scrub     = scrub.customer
  baseline  = common.target.stable
  candidate = target.next
  session   = ".request.headers[\"x-session\"]"
  endpoints = ["GET /api/orders/{id}", "/api/products/{id}"]

  select {
    args    = { host = local.host }
    methods = ["GET", "HEAD"]
    include = [".request.host == $host"]
    exclude = [".request.path == \"/healthz\""]
    sample  = "10%" # whole sessions
  }

  replay {
    timing        = recorded
    speed         = 2
    max_in_flight = 256
    warm_up       = "10s"
    max_lateness  = "100ms"
  }

  compare {
    use        = [ignore_set.clock, common.ignore_set.trace]
    headers    = ["x-price-currency"]
    optional   = [".body.next_page"]
    unordered  = [".body.tags"]
    keyed      = { ".body.items" = "id" }
    tolerance  = { ".body.total" = "0.01" }
    max_masked = "20%"
    on_stale   = fail
    ignore = [
      <<-JQ
        .body.items[]
        | select(.kind == "ad")
        | .price
      JQ
      ,
    ]
  }

  noise {
    sample = "25%"
    target = target.stable_too
  }

  cohort "region" {
    by = ".request.headers[\"x-region\"]"
  }

  gate "tail latency" {
    metric       = latency.p95
    max          = "250ms"
    max_increase = "10%" # of the baseline's, on the same requests
    per          = [endpoint, cohort.region]
    min_samples  = 100
    confidence   = "99%"
  }

  gate "errors" {
    metric = errors.rate
    max    = "0.1%"
    abort  = true
  }

  gate "mean" {
    metric   = latency.mean
    max      = "80ms"
    decision = point
  }

  gate "behaviour" {
    metric = mismatches.rate
    max    = "0%"
  }

  assert "orders were looked at" {
    condition     = result.outcomes.total >= 1000
    error_message = "Fewer than 1000 requests say little about a shop."
  }
}

audit "checkout" {
  for_each  = local.regions
  source    = source.har.checkout
  baseline  = recorded
  candidate = target.next

  select {
    args    = { region = each.key }
    methods = ["GET", "POST"]
    include = [".request.headers[\"x-region\"] == $region"]
  }

  gate "behaviour" {
    metric = mismatches.rate
    max    = "0%"
  }
}
