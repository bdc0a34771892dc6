package schema

// Document is what expressions of a spec look at: a JSON document that jq
// programs are given, or an object of HCL.
type Document struct {
	Name   string
	Doc    string
	Fields []Field
}

// Field is a place in a document.
type Field struct {
	Path string // as jq names it: .request.headers["x-region"]
	Type string
	Doc  string
}

// Documents lists what expressions see.
func Documents() []Document {
	return []Document{
		{"exchange", "What select, cohort.by and audit.session see: a recorded request and its recorded response, scrubbed.", []Field{
			{".request.method", "string", "In upper case."},
			{".request.path", "string", "Without the query."},
			{".request.query.NAME", "string or list", "A query parameter, decoded; a list where it stands more than once."},
			{".request.host", "string", "Where the request was sent to."},
			{".request.headers[\"NAME\"]", "string", "A header field. Names are in lower case; repeated fields are joined with a comma and a space."},
			{".request.cookies.NAME", "string", "A cookie that the request carries."},
			{".request.body", "any value", "The body, decoded by its media type."},
			{".response", "object or null", "null where the source has no response."},
			{".response.status", "number", "The status code."},
			{".response.headers[\"NAME\"]", "string", "As in the request."},
			{".response.cookies.NAME", "object", "What Set-Cookie says: value, path, domain, max_age, secure, http_only, same_site."},
			{".response.body", "any value", "As in the request."},
			{".source", "string", "The source that the exchange comes from."},
			{".session", "string", "The recorded connection or user that it belongs to."},
			{".time", "string", "When the request was recorded, in RFC 3339."},
		}},
		{"message", "What a message of a kafka or nats source holds with format = exchange, and what map makes of one with format = jq: one JSON object in UTF-8. Members that are not named here are ignored; bodies have their content coding still on.", []Field{
			{".id", "string", "The id of the request. Optional."},
			{".session", "string", "What keeps requests in order. Without it the key of the message does."},
			{".time", "string or number", "When the request began: RFC 3339, or nanoseconds since 1970. Without it the time of the message counts."},
			{".request.method", "string", "In upper case."},
			{".request.target", "string", "Path and query, as in the request line."},
			{".request.proto", "string", "HTTP/1.1 when it is left out."},
			{".request.headers", "list or object", "[[name, value], ...] in order, or {name: value or list of values}."},
			{".request.body", "string", "The body as text; body_base64 in its place for other bytes; neither where there is none."},
			{".request.body_state", "string", "truncated where the body is cut, missing where it was not recorded."},
			{".response", "object or null", "Optional: headers, body and body_state as in the request, and those that follow."},
			{".response.status", "number", "The status code."},
			{".response.latency_ns", "number", "From the end of the request to the last byte, in nanoseconds. Optional."},
			{".response.ttfb_ns", "number", "From the end of the request to the first byte, in nanoseconds. Optional."},
		}},
		{"response", "What the rules of compare and ignore_set see: one response. $request is the request, as the exchange has it.", []Field{
			{".status", "number", "The status code."},
			{".headers[\"NAME\"]", "string", "A header field. Names are in lower case; repeated fields are joined with a comma and a space."},
			{".cookies.NAME", "object", "What Set-Cookie says: value, path, domain, max_age, secure, http_only, same_site."},
			{".body", "any value", "The body, decoded by its media type."},
		}},
		{"result", "What the conditions of assert see: an object of HCL, not a jq document. Latencies are in milliseconds and rates from 0 to 1; a latency is null where nothing was measured.", []Field{
			{"result.outcomes.total", "number", "Pairs, each of which has exactly one of the outcomes that follow."},
			{"result.outcomes.matched", "number", "Pairs without a difference."},
			{"result.outcomes.ignored", "number", "Pairs that differ only where a rule says so."},
			{"result.outcomes.mismatched", "number", "Pairs with a difference that counts."},
			{"result.outcomes.failed", "number", "Pairs of which a side gave no complete response."},
			{"result.outcomes.inconclusive", "number", "Pairs that could not be judged."},
			{"result.traffic.read", "number", "Exchanges that were read."},
			{"result.traffic.paired", "number", "Exchanges with a recorded response."},
			{"result.traffic.selected", "number", "Exchanges to replay."},
			{"result.traffic.excluded", "number", "Exchanges that select leaves out by rule."},
			{"result.traffic.sampled_out", "number", "Exchanges of sessions outside of the sample."},
			{"result.traffic.outside_window", "number", "Exchanges outside of from, to and limit."},
			{"result.traffic.unsafe_skipped", "number", "Exchanges whose method select does not name."},
			{"result.traffic.scrub_dropped", "number", "Exchanges that could not be scrubbed."},
			{"result.traffic.not_sent", "number", "Selected exchanges that an interrupted run did not send."},
			{"result.traffic.malformed", "number", "Pieces of the source that are no exchange."},
			{"result.traffic.orphan_responses", "number", "Responses without a request."},
			{"result.traffic.truncated", "number", "Recordings that end in the middle of an exchange."},
			{"result.replay.rate_per_s", "number", "Requests sent per second."},
			{"result.replay.lateness_p50_ms", "number", "Half of the requests were sent at most this late."},
			{"result.replay.lateness_p99_ms", "number", "99 % of the requests were sent at most this late."},
			{"result.replay.lateness_max_ms", "number", "How late the latest request was."},
			{"result.endpoints[\"NAME\"].pairs", "number", "Pairs of an endpoint, such as \"GET /api/orders/{id}\"."},
			{"result.endpoints[\"NAME\"].matched", "number", "Those without a difference that counts."},
			{"result.endpoints[\"NAME\"].mismatched", "number", "Those with one."},
			{"result.endpoints[\"NAME\"].failed", "number", "Those of which a side gave no complete response."},
			{"result.endpoints[\"NAME\"].errors_rate", "number", "The candidate's share of errors."},
			{"result.endpoints[\"NAME\"].baseline.errors", "number", "How many errors the baseline gave."},
			{"result.endpoints[\"NAME\"].baseline.p50_ms", "number", "The median latency of the baseline."},
			{"result.endpoints[\"NAME\"].baseline.p95_ms", "number", "Its 95th percentile."},
			{"result.endpoints[\"NAME\"].baseline.p99_ms", "number", "Its 99th percentile."},
			{"result.endpoints[\"NAME\"].candidate.errors", "number", "How many errors the candidate gave."},
			{"result.endpoints[\"NAME\"].candidate.p50_ms", "number", "The median latency of the candidate."},
			{"result.endpoints[\"NAME\"].candidate.p95_ms", "number", "Its 95th percentile."},
			{"result.endpoints[\"NAME\"].candidate.p99_ms", "number", "Its 99th percentile."},
			{"result.gates[\"NAME\"].verdict", "string", "pass, fail, inconclusive, error or skipped: the worst of the gate's cohorts."},
			{"result.gates[\"NAME\"].samples", "number", "The samples of all its cohorts."},
		}},
	}
}

// Body says what .body is for a media type.
type Body struct {
	Media string
	Doc   string
}

// Bodies lists how bodies are decoded. Content codings are undone first.
func Bodies() []Body {
	return []Body{
		{"application/json, +json", "The JSON value. Numbers keep their literal: 9007199254740993 is not 9007199254740992."},
		{"application/x-www-form-urlencoded", "An object of the fields."},
		{"application/x-ndjson", "A list of the documents."},
		{"text/event-stream", "A list of the events."},
		{"other text", "A string."},
		{"all else", "An object of bytes, the length, and sha256, the digest."},
	}
}
