# What the teams share. It is imported, never run.

variable "host" {
  type    = string
  default = "shop.example.com"
}

target "stable" {
  url  = "http://127.0.0.1:8080"
  host = var.host
}

ignore_set "trace" {
  ignore = [".headers[\"x-request-id\"]", ".body.trace_id"]
  reason = "Every answer has a trace id of its own."
}
