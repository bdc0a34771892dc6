package schema

import "slices"

// Root gives the whole language: the file as a block without a type. Callers
// must not change it.
func Root() *Block { return &root }

// Metrics lists every metric that a gate can judge.
func Metrics() []MetricInfo { return metrics }

var metrics = []MetricInfo{
	{"latency.p50", Time, false, "Half of the requests were answered at least this fast."},
	{"latency.p90", Time, false, "Nine of ten requests were answered at least this fast."},
	{"latency.p95", Time, false, "95 % of the requests were answered at least this fast."},
	{"latency.p99", Time, false, "99 % of the requests were answered at least this fast."},
	{"latency.p999", Time, false, "99.9 % of the requests were answered at least this fast."},
	{"latency.mean", Time, false, "The arithmetic mean of the latencies."},
	{"latency.max", Time, false, "The slowest answer."},
	{"errors.rate", Part, false, "The share of requests to which the candidate answered with a status of 500 or more, or not completely."},
	{"mismatches.rate", Part, false, "The share of comparable pairs at which the candidate behaves otherwise than the baseline."},
	{"failures.rate", Part, false, "The share of pairs for which at least one side gave no complete response."},
	{"throughput", Speed, true, "Answered pairs per second."},
}

// PackNames lists the scrub packs that a spec may name.
func PackNames() []string { return slices.Clone(packs) }

// Keyword sets that decoding shares with the reference.
var (
	timings     = []string{"recorded", "constant", "ramp", "unpaced"}
	actions     = []string{"remove", "pseudonymize", "mask", "keep"}
	packs       = []string{"secrets@1", "pci@1", "gdpr@1", "hipaa@1", "strict@1"}
	logFormats  = []string{"combined", "nginx_json", "envoy", "alb", "cloudfront", "json"}
	mirrorLogs  = []string{"nginx_json", "envoy", "json"}
	logFields   = []string{"host", "id", "latency", "latency_unit", "method", "proto", "query", "referer", "request", "session", "status", "time", "time_is", "time_unit", "took", "uri", "user_agent"}
	nameLabel   = Label{Name: "name", Doc: "An identifier, by which other blocks refer to it."}
	titleLabel  = Label{Name: "name", Doc: "Free text, as reports show it.", Free: true}
	filePaths   = Type{Base: Path, Shape: OneOrList}
	pathDoc     = "The recording, relative to the folder of the spec. Globs are allowed; all files are read as one recording."
	jqPaths     = Type{Base: JQPath, Shape: List}
	stringsType = Type{Base: String, Shape: List}

	diffKinds      = []string{"value", "type", "missing", "extra", "order", "length", "status", "header", "encoding", "format"}
	decisions      = []string{"interval", "point"}
	staleness      = []string{"warn", "fail"}
	onLoss         = []string{"inconclusive", "fail"}
	messageFormats = []string{"gor", "gor_json", "exchange", "jq"}
	starts         = []string{"earliest", "latest"}
	mechanisms     = []string{"plain", "scram_sha_256", "scram_sha_512"}

	ports = Argument{Name: "ports", Type: Type{Base: Integer, Shape: List}, Example: `[8080]`,
		Doc: "The TCP ports of the servers. Without it every connection is taken that begins with an HTTP request."}
	certFile = Argument{Name: "cert_file", Type: Type{Base: Path}, Example: `"tls/server.pem"`,
		Doc: "The certificate with which TLS is spoken, with key_file. Without them it is not."}
	keyFile = Argument{Name: "key_file", Type: Type{Base: Path}, Example: `"tls/server.key"`,
		Doc: "The key of cert_file."}
	follow = Argument{Name: "follow", Type: Type{Base: Bool}, Default: "false", Example: "true",
		Doc: "Goes on with what arrives after the start, until --for, --count or Ctrl-C."}
	start = Argument{Name: "start", Type: Type{Base: Keyword}, Keywords: starts, Default: "earliest", Example: "latest",
		Doc: "Where to begin where no position is kept: at the oldest message, or with those that come from now on, which needs follow."}
	messageFormat = Argument{Name: "format", Type: Type{Base: Keyword}, Keywords: messageFormats, Required: true, Example: "gor",
		Doc: "What a message is: gor as GoReplay writes it, gor_json as GoReplay does with --output-kafka-json-format, exchange an object of our own form (explain message), jq anything in JSON that map turns into such an object."}
	messageMap = Argument{Name: "map", Type: Type{Base: JQValue}, Example: `"{request: {method: .verb, target: .uri}, time: .ts}"`,
		Doc: "With jq: makes the object of format exchange from a message: request {method, target, headers, body}, response {status, headers, body}, id, session, time."}

	message = Argument{Name: "error_message", Type: Type{Base: String}, Required: true,
		Doc: "What is said when the condition is false: a full sentence."}
	jqArgs = Argument{Name: "args", Type: Type{Base: Any, Shape: Object, Key: String}, Example: `{ region = var.region }`,
		Doc: "Constants for the jq programs of this block: each one is read as $NAME. The only way for a value to get into jq."}
	forEach = Argument{Name: "for_each", Type: Type{Base: Collection}, Example: `["eu", "us"]`,
		Doc: "Makes one block for each element, which is each.key and each.value inside it. The key becomes part of the name: checkout[\"eu\"]."}
	enabled = Argument{Name: "enabled", Type: Type{Base: Bool}, Default: "true", Example: "false"}
)

// listen is the address of a live source.
func listen(example, doc string) Argument {
	return Argument{Name: "listen", Type: Type{Base: String}, Required: true, Example: example, Doc: doc + " Port 0 takes a free one, which is printed."}
}

// with gives a shared argument the words of one block.
func (a Argument) with(example, doc string) Argument {
	if example != "" {
		a.Example = example
	}
	if doc != "" {
		a.Doc = doc
	}
	return a
}

var root = Block{
	Doc: "An audit spec: where the traffic comes from, what is scrubbed, who answers, and which gates decide.",
	Blocks: []Block{
		settings,
		variable,
		locals,
		importBlock,
		source,
		scrub,
		target,
		ignoreSet,
		accept,
		audit,
	},
}

var settings = Block{
	Type: "shadowaudit", Max: 1,
	Doc: "Settings of the file itself.",
	Arguments: []Argument{
		{Name: "required_version", Type: Type{Base: Version}, Example: `">= 0.1"`,
			Doc: "The versions of shadowaudit that can run this file. It is read before everything else, so it has to be a fixed string."},
	},
}

var variable = Block{
	Type: "variable", Labels: []Label{nameLabel},
	Doc: "A value that is given from outside and used as var.NAME. The last of these that has one wins: the default, the environment variable SHADOWAUDIT_VAR_NAME, *.auto.auditvars.hcl beside the spec, and --var and --var-file in their order.",
	Arguments: []Argument{
		{Name: "type", Type: Type{Base: TypeName}, Example: "string",
			Doc: "The type of the value: string, number, bool, list(string), and so on. Without it the value has the type of the default."},
		{Name: "default", Type: Type{Base: Any}, Example: `"http://127.0.0.1:8081"`,
			Doc: "The value when none is given. A variable without a default has to be given."},
		{Name: "description", Type: Type{Base: String}, Example: `"Base URL of the build under test."`,
			Doc: "What the variable is for."},
		{Name: "sensitive", Type: Type{Base: Bool}, Default: "false", Example: "true",
			Doc: "Keeps the value out of every message, plan and report."},
		{Name: "nullable", Type: Type{Base: Bool}, Default: "true", Example: "false",
			Doc: "Whether the value may be null, which leaves out every argument that is set to it."},
	},
	Blocks: []Block{{
		Type: "validation",
		Doc:  "A condition that the value has to meet. A variable may have several.",
		Arguments: []Argument{
			{Name: "condition", Type: Type{Base: Condition}, Required: true, Example: `can(regex("^https?://", var.candidate_url))`,
				Doc: "Has to be true. It has to look at the variable itself, and may look at others."},
			message.with(`"The URL of the candidate begins with http:// or https://."`, ""),
		},
	}},
}

var locals = Block{
	Type: "locals",
	Doc:  "Names for values, used as local.NAME. They may use variables and each other, in any order and from any locals block.",
	Free: &Argument{Name: "NAME", Type: Type{Base: Any}, Example: `"https://${var.host}"`, Doc: "The value of local.NAME."},
}

var importBlock = Block{
	Type: "import", Labels: []Label{nameLabel},
	Doc: "Makes the source, scrub, target and ignore_set blocks of another spec known here: NAME.target.stable. Audits of that spec are neither run nor looked at.",
	Arguments: []Argument{
		{Name: "path", Type: Type{Base: Path}, Required: true, Example: `"common.audit.hcl"`,
			Doc: "The other spec, relative to the folder of this one. It has to be a fixed string."},
		{Name: "variables", Type: Type{Base: Any, Shape: Object, Key: String}, Example: `{ host = var.host }`,
			Doc: "Values for the variables of the other spec. Those that are not given have their defaults; --var and the like do not reach them."},
	},
}

var source = Block{
	Type: "source", Labels: []Label{{Name: "kind", Doc: "What the traffic comes in: gor, har or recording, for example."}, nameLabel},
	Doc: "Where traffic comes from: files, or live from what carries it.",
	Arguments: []Argument{
		{Name: "max_loss", Type: Type{Base: Share}, Default: `"5%"`, Example: `"0.1%"`,
			Doc: "The share of the traffic that may be lost before the audit can no longer pass: malformed, truncated, dropped for want of room or by the scrubber. Where it is set, responses without a request and gaps in a capture count as well."},
		{Name: "on_loss", Type: Type{Base: Keyword}, Keywords: onLoss, Default: "inconclusive", Example: "fail",
			Doc: "What an audit is whose source lost more than max_loss."},
	},
	Kinds: []Kind{
		{Name: "gor", Doc: "Files written by GoReplay.", Arguments: []Argument{
			{Name: "path", Type: filePaths, Required: true, Example: `"traffic/peak_hour.gor"`, Doc: pathDoc},
		}},
		{Name: "har", Doc: "HTTP archives, as browsers and proxies export them.", Arguments: []Argument{
			{Name: "path", Type: filePaths, Required: true, Example: `"traffic/session.har"`, Doc: pathDoc},
			{Name: "hosts", Type: stringsType, Example: `["shop.example.com"]`,
				Doc: "The hosts whose requests are taken. Without it all hosts of the archive are."},
		}},
		{Name: "mitm", Doc: "Flow files of mitmproxy, as mitmdump -w writes them.", Arguments: []Argument{
			{Name: "path", Type: filePaths, Required: true, Example: `"traffic/day.mitm"`, Doc: pathDoc},
		}},
		{Name: "access_log", Doc: "Access logs: the request line, the status and little more. Requests that carry a body cannot be replayed from them.", Arguments: []Argument{
			{Name: "path", Type: filePaths, Required: true, Example: `"logs/access.log*"`, Doc: pathDoc},
			{Name: "format", Type: Type{Base: Keyword}, Keywords: logFormats, Required: true, Example: "combined",
				Doc: "How lines are written: combined by nginx or Apache, nginx_json as objects with the names of nginx's variables, envoy in Envoy's default text or Istio's JSON, alb by an AWS load balancer, cloudfront as CloudFront's standard log, json as objects that fields describes."},
			{Name: "fields", Type: Type{Base: String, Shape: Object, Key: String}, OneOf: logFields, Example: `{ time = "ts", method = "verb", uri = "path", status = "code" }`,
				Doc: "With json: the name under which a line has each thing; a name with dots leads into objects. time, and request or method and uri, are required. Beside them: query, proto, host, user_agent, referer, id, session, status, latency (the time of the server itself) and took (all of it). Three say how to read: time_unit is text, s, ms, us or ns, time_is is start or end, latency_unit is ms, s, us or ns; the first of each is the default."},
		}},
		{Name: "pcap", Doc: "Packet captures, pcap or pcapng, as tcpdump -s 0 -w writes them. HTTP/1.x without TLS is read from them.", Arguments: []Argument{
			{Name: "path", Type: filePaths, Required: true, Example: `"traffic/peak_hour.pcap"`, Doc: pathDoc},
			ports,
		}},
		{Name: "recording", Doc: "Files written by shadowaudit record: traffic that has been scrubbed, in a format of our own.", Arguments: []Argument{
			{Name: "path", Type: filePaths, Required: true, Example: `"traffic/peak_hour.sar"`, Doc: pathDoc},
		}},
		{Name: "envoy_tap", Doc: "Files that Envoy's tap filter writes, as JSON or protobuf, buffered or streamed.", Arguments: []Argument{
			{Name: "path", Type: filePaths, Required: true, Example: `"taps/*.json"`, Doc: pathDoc},
		}},
		{Name: "mirror", Live: true, Doc: "Live: requests that a proxy mirrors, nginx, Envoy, Istio or any other. They are answered at once. A mirror has no responses, unless access_log tells of them, so the baseline is a target.", Arguments: []Argument{
			listen(`"127.0.0.1:9900"`, "Where the mirrored requests are sent."),
			{Name: "access_log", Type: Type{Base: Path}, Example: `"/var/log/nginx/shadow.log"`,
				Doc: "The access log of the proxy that mirrors, followed as it grows and through rotation. A mirrored request waits up to 5s for the line with its X-Request-Id, which tells the status of production's answer and its time. With it, baseline = recorded compares statuses, once compare ignores .body, which no log has. Lines of requests that were not mirrored are counted as responses without a request."},
			{Name: "access_log_format", Type: Type{Base: Keyword}, Keywords: mirrorLogs, Example: "nginx_json",
				Doc: "How the lines of access_log are written: nginx_json as objects with the names of nginx's variables, among them request_id, envoy in Envoy's default text or Istio's JSON, json as objects that access_log_fields describes."},
			{Name: "access_log_fields", Type: Type{Base: String, Shape: Object, Key: String}, OneOf: logFields, Example: `{ time = "ts", id = "trace", method = "verb", uri = "path", status = "code" }`,
				Doc: "With json: the name under which a line of access_log has each thing, as fields of a source of kind access_log says. id is required as well: without it nothing can be paired."},
		}},
		{Name: "gor_tcp", Live: true, Doc: "Live: what an unmodified GoReplay sends with --output-tcp.", Arguments: []Argument{
			listen(`"127.0.0.1:28020"`, "Where GoReplay sends to."),
			certFile, keyFile,
		}},
		{Name: "interface", Live: true, Doc: "Live: HTTP/1.x and cleartext HTTP/2 captured from a network interface. Linux only, with the right to capture packets.", Arguments: []Argument{
			{Name: "device", Type: Type{Base: String}, Required: true, Example: `"eth0"`, Doc: "The network interface, or any for all of them."},
			ports.with(`[8080]`, ""),
		}},
		{Name: "vxlan", Live: true, Doc: "Live: packets in VXLAN, as AWS VPC Traffic Mirroring and Azure vTAP send them.", Arguments: []Argument{
			listen(`"0.0.0.0:4789"`, "The UDP address that is the mirror target."),
			{Name: "vnis", Type: Type{Base: Integer, Shape: List}, Example: `[123]`, Doc: "The VXLAN network identifiers to take. Without it all are."},
			ports.with(`[8080]`, ""),
		}},
		{Name: "envoy_ext_proc", Live: true, Doc: "Live: requests and responses that Envoy sends to an external processor in observability mode.", Arguments: []Argument{
			listen(`"127.0.0.1:9901"`, "The address of the gRPC service, without TLS."),
		}},
		{Name: "middleware", Live: true, Doc: "Live: exchanges that the middleware package records inside a Go service.", Arguments: []Argument{
			listen(`"127.0.0.1:28022"`, "Where the service sends to: an address, or unix: and the path of a socket."),
		}},
		{Name: "proxy", Live: true, Doc: "Live: a reverse proxy of our own in front of the service, which records what passes.", Arguments: []Argument{
			listen(`"127.0.0.1:8000"`, "Where clients connect."),
			{Name: "upstream", Type: Type{Base: URL}, Required: true, Example: `"http://127.0.0.1:8080"`, Doc: "The service that answers."},
			certFile, keyFile,
		}},
		{Name: "kafka", Doc: "A Kafka topic with a copy of the traffic, from its beginning to where it ends when the run starts, or live with follow.", Arguments: []Argument{
			{Name: "brokers", Type: stringsType, Required: true, Example: `["127.0.0.1:9092"]`, Doc: "Addresses of brokers to begin with."},
			{Name: "topic", Type: Type{Base: String}, Required: true, Example: `"shadow-traffic"`, Doc: "The topic."},
			{Name: "group", Type: Type{Base: String}, Example: `"shadowaudit"`, Doc: "A consumer group, whose offsets are committed once messages are accounted for. Without it nothing is committed."},
			follow, start, messageFormat, messageMap,
			{Name: "tls", Type: Type{Base: Bool}, Default: "false", Example: "true", Doc: "Speaks TLS with the brokers."},
			{Name: "username_env", Type: Type{Base: String}, Example: `"KAFKA_USER"`, Doc: "The environment variable that holds the user name, where brokers want one."},
			{Name: "password_env", Type: Type{Base: String}, Example: `"KAFKA_PASSWORD"`, Doc: "The environment variable that holds the password. The password itself never stands in a spec."},
			{Name: "mechanism", Type: Type{Base: Keyword}, Keywords: mechanisms, Default: "plain", Example: "scram_sha_512", Doc: "How the user proves to be who it is."},
		}},
		{Name: "nats", Doc: "A NATS subject with a copy of the traffic: a JetStream stream from its beginning to where it ends when the run starts, or live with follow.", Arguments: []Argument{
			{Name: "server", Type: Type{Base: String}, Required: true, Example: `"nats://127.0.0.1:4222"`, Doc: "The URL of the server, or several with commas between them."},
			{Name: "stream", Type: Type{Base: String}, Example: `"SHADOW"`, Doc: "The JetStream stream. Without it the subject is subscribed to, live, and follow is needed."},
			{Name: "subject", Type: Type{Base: String}, Example: `"shadow.>"`, Doc: "The subjects to take. With a stream it may be left out."},
			{Name: "consumer", Type: Type{Base: String}, Example: `"shadowaudit"`, Doc: "A durable consumer, which acknowledges messages once they are accounted for. Without it the server keeps nothing."},
			follow, start, messageFormat, messageMap,
			{Name: "credentials", Type: Type{Base: Path}, Example: `"shadow.creds"`, Doc: "A file with the user's credentials."},
		}},
	},
}

var scrub = Block{
	Type: "scrub", Labels: []Label{nameLabel},
	Doc: "What is done to personal data and secrets before anything is replayed, stored or shown.",
	Arguments: []Argument{
		{Name: "packs", Type: stringsType, Default: `["secrets@1", "pci@1", "gdpr@1"]`, OneOf: packs, Example: `["secrets@1", "pci@1"]`,
			Doc: "The sets of detectors to apply. A list replaces the default, so name all that are wanted."},
		{Name: "key_env", Type: Type{Base: String}, Example: `"SHADOWAUDIT_SCRUB_KEY"`,
			Doc: "The environment variable that holds the key for pseudonyms. The key itself never stands in a spec. Without it every run draws a new key, and the same person gets another pseudonym in every run."},
		{Name: "max_body", Type: Type{Base: Size}, Default: `"8MiB"`, Example: `"16MiB"`,
			Doc: "Bodies that are larger when decoded are not searched but dropped."},
		{Name: "max_dropped", Type: Type{Base: Share}, Example: `"1%"`,
			Doc: "The share of the exchanges that may be dropped because they cannot be scrubbed. With more the audit is an error. max_loss of the source counts them as well."},
		{Name: "canaries", Type: stringsType, Example: `["marker-7f3c"]`,
			Doc: "Texts of at least 8 characters that were planted in the traffic to see whether the scrubber takes them out: as somebody's name, say. An exchange in which one is still found after scrubbing is dropped, and counted under a reason of its own."},
	},
	Blocks: []Block{{
		Type: "rule", Labels: []Label{titleLabel},
		Doc: "One thing to scrub, or to keep, beside what the packs find. Rules apply before packs.",
		Arguments: []Argument{
			{Name: "jq", Type: jqPaths, Example: `[".body.note"]`, Doc: "Places in the message."},
			{Name: "keys", Type: stringsType, Example: `["nickname"]`, Doc: "Names of fields, wherever in a body they stand."},
			{Name: "headers", Type: stringsType, Example: `["x-customer"]`, Doc: "Names of header fields."},
			{Name: "cookies", Type: stringsType, Example: `["sid"]`, Doc: "Names of cookies."},
			{Name: "query", Type: stringsType, Example: `["email"]`, Doc: "Names of query parameters."},
			{Name: "action", Type: Type{Base: Keyword}, Keywords: actions, Required: true, Example: "remove",
				Doc: "remove deletes the value, pseudonymize replaces it by one of the same shape, mask blanks its letters and digits, keep exempts it from the packs."},
			{Name: "reason", Type: Type{Base: String}, Example: `"Support staff's own names, public on the site."`,
				Doc: "Why the rule is there, for reports."},
		},
	}},
}

var target = Block{
	Type: "target", Labels: []Label{nameLabel},
	Doc: "A running service that receives replayed requests.",
	Arguments: []Argument{
		{Name: "url", Type: Type{Base: URL}, Required: true, Example: `"http://127.0.0.1:8080"`,
			Doc: "Where requests go: scheme, host and, where the service does not live at the root, a path that is put before each request's own."},
		{Name: "timeout", Type: Type{Base: Duration}, Default: `"10s"`, Example: `"2s"`,
			Doc: "How long a complete response may take."},
		{Name: "host", Type: Type{Base: String}, Keywords: []string{"url"}, Example: `"shop.example.com"`,
			Doc: "The Host field to send. Without it the recorded one is sent; url sends the host of the target's URL."},
		{Name: "headers", Type: Type{Base: String, Shape: Object, Key: String}, Example: `{ "x-shadow" = "1" }`,
			Doc: "Header fields that are added to every request, or replace the recorded ones."},
		{Name: "tls_skip_verify", Type: Type{Base: Bool}, Default: "false", Example: "true",
			Doc: "Accepts any certificate. For test environments with certificates of their own."},
	},
}

var audit = Block{
	Type: "audit", Labels: []Label{nameLabel},
	Doc: "One comparison of a candidate with a baseline, with the gates that decide it.",
	Arguments: []Argument{
		forEach,
		enabled.with("", "Whether the audit runs. One that is switched off is checked like any other and shown as skipped."),
		{Name: "source", Type: Type{Base: Reference, To: []string{"source"}}, Required: true, Example: "source.gor.peak_hour",
			Doc: "The traffic to replay."},
		{Name: "scrub", Type: Type{Base: Reference, To: []string{"scrub"}}, Keywords: []string{"none"}, Example: "scrub.customer",
			Doc: "How personal data is scrubbed. Without it all default packs apply. none switches scrubbing off and needs a scrub_reason."},
		{Name: "scrub_reason", Type: Type{Base: String}, Example: `"Synthetic traffic, no person in it."`,
			Doc: "Why nothing is scrubbed. Printed in every report."},
		{Name: "baseline", Type: Type{Base: Reference, To: []string{"target"}}, Keywords: []string{"recorded"}, Required: true, Example: "target.stable",
			Doc: "The build that is trusted, or recorded for the recorded responses."},
		{Name: "candidate", Type: Type{Base: Reference, To: []string{"target"}}, Required: true, Example: "target.next",
			Doc: "The build under audit."},
		{Name: "session", Type: Type{Base: JQValue}, Example: `".request.headers[\"x-session\"]"`,
			Doc: "What tells one user from another, read from the exchange. Without it a recorded connection is a session."},
		{Name: "endpoints", Type: Type{Base: Endpoint, Shape: List}, Example: `["GET /api/orders/{id}"]`,
			Doc: "Path templates by which requests are grouped, with or without a method. Requests that fit none are grouped by what their paths have in common."},
	},
	Blocks: []Block{
		selectBlock,
		replay,
		compare,
		noise,
		cohort,
		gate,
		assert,
	},
}

var selectBlock = Block{
	Type: "select", Max: 1,
	Doc: "Which exchanges of the recording are replayed.",
	Arguments: []Argument{
		jqArgs.with(`{ host = var.host }`, ""),
		{Name: "methods", Type: stringsType, Default: `["GET", "HEAD"]`, Example: `["GET", "POST"]`,
			Doc: "The request methods to replay. Others can change something at a target and have to be named."},
		{Name: "include", Type: Type{Base: JQTest, Shape: List}, Example: `[".request.host == \"shop.example.com\""]`,
			Doc: "Only exchanges for which at least one of these is true."},
		{Name: "exclude", Type: Type{Base: JQTest, Shape: List}, Example: `[".request.path == \"/healthz\""]`,
			Doc: "No exchange for which one of these is true."},
		{Name: "sample", Type: Type{Base: Share}, Default: `"100%"`, Example: `"10%"`,
			Doc: "The share of sessions to replay: whole sessions, and with the same seed the same ones every time."},
		{Name: "from", Type: Type{Base: Duration}, Example: `"5m"`, Doc: "Leaves out what was recorded earlier than this after the first exchange."},
		{Name: "to", Type: Type{Base: Duration}, Example: `"15m"`, Doc: "Leaves out what was recorded later than this after the first exchange."},
		{Name: "limit", Type: Type{Base: Integer}, Example: "10000", Doc: "At most this many exchanges, the first ones."},
	},
}

var replay = Block{
	Type: "replay", Max: 1,
	Doc: "When requests are sent. A slow target makes them late, never fewer.",
	Arguments: []Argument{
		{Name: "timing", Type: Type{Base: Keyword}, Keywords: timings, Default: "recorded", Example: "constant",
			Doc: "recorded keeps the recorded gaps, constant sends at one rate, ramp raises the rate over time, unpaced sends as fast as max_in_flight allows."},
		{Name: "speed", Type: Type{Base: Number}, Default: "1", Example: "2", Doc: "With recorded timing: how many times faster than recorded."},
		{Name: "rate", Type: Type{Base: Rate}, Example: `"500/s"`, Doc: "With constant timing the rate, with ramp the rate at its end."},
		{Name: "start_rate", Type: Type{Base: Rate}, Example: `"10/s"`, Doc: "With ramp: the rate at its beginning. Without it the ramp begins at zero."},
		{Name: "over", Type: Type{Base: Duration}, Example: `"2m"`, Doc: "With ramp: how long the rate rises. It stays at its end rate after that."},
		{Name: "max_in_flight", Type: Type{Base: Integer}, Default: "256", Example: "64", Doc: "At most this many requests wait for an answer at one time, for each target."},
		{Name: "max_gap", Type: Type{Base: Duration}, Example: `"5s"`, Doc: "With recorded timing: longer pauses between requests are cut to this."},
		{Name: "warm_up", Type: Type{Base: Duration}, Example: `"10s"`, Doc: "How long from the first request on latencies are not judged. Behaviour is."},
		{Name: "max_lateness", Type: Type{Base: Duration}, Default: `"500ms"`, Example: `"50ms"`, Doc: "When one request in a hundred leaves later than this, the load was not the planned one, and no gate on latency or throughput can pass."},
	},
}

var compare = Block{
	Type: "compare", Max: 1,
	Doc: "What counts as a difference. Paths are read from a response: .status, .headers, .cookies, .body; $request is the request.",
	Arguments: slices.Concat([]Argument{
		jqArgs.with(`{ clock = var.clock_field }`, ""),
		{Name: "use", Type: Type{Base: Reference, Shape: List, To: []string{"ignore_set"}}, Example: "[ignore_set.clock]",
			Doc: "Rules that several audits share. They come after the block's own."},
	}, compareRules, []Argument{
		{Name: "headers", Type: stringsType, Example: `["x-price-currency"]`,
			Doc: "Header fields to compare beside those that always are."},
		{Name: "max_masked", Type: Type{Base: Share}, Default: `"50%"`, Example: `"20%"`,
			Doc: "The share of the values of the responses that one ignore rule may leave out of the comparison. One that leaves out more is a rule that hides what it is about."},
		{Name: "on_stale", Type: Type{Base: Keyword}, Keywords: staleness, Default: "warn", Example: "fail",
			Doc: "What becomes of an audit with a rule that masks too much, never matches or has expired: a warning in the report, or a failure."},
	}),
}

var noise = Block{
	Type: "noise", Max: 1,
	Doc: "Asks the baseline a second time, to learn which differences mean nothing: a difference then counts only where candidate and baseline differ more often than the baseline differs from itself.",
	Arguments: []Argument{
		{Name: "sample", Type: Type{Base: Share}, Default: `"100%"`, Example: `"25%"`, Doc: "The share of the requests that are asked again."},
		{Name: "target", Type: Type{Base: Reference, To: []string{"target"}}, Example: "target.stable_too", Doc: "Who answers: another instance of the same build. Without it the baseline itself is asked again."},
	},
}

var compareRules = []Argument{
	{Name: "ignore", Type: jqPaths, Example: `[".body.generated_at", ".headers[\"x-request-id\"]"]`,
		Doc: "Values that may differ. That they are there, of which type and in which form, is compared all the same; optional lets go of that too."},
	{Name: "optional", Type: jqPaths, Example: `[".body.next_page"]`,
		Doc: "Places that may be absent or null on one side. What is ignored as well may be of any type and form."},
	{Name: "unordered", Type: jqPaths, Example: `[".body.tags"]`, Doc: "Lists whose order means nothing."},
	{Name: "keyed", Type: Type{Base: String, Shape: Object, Key: JQPath}, Example: `{ ".body.items" = "id" }`,
		Doc: "Lists whose elements are matched by the value of a field and not by position."},
	{Name: "tolerance", Type: Type{Base: String, Shape: Object, Key: JQPath}, Example: `{ ".body.total" = "0.01" }`,
		Doc: "Numbers that may differ by an amount (\"0.01\") or by a part of the baseline's value (\"1%\")."},
}

var ignoreSet = Block{
	Type: "ignore_set", Labels: []Label{nameLabel},
	Doc: "Compare rules that several audits share: compare { use = [ignore_set.NAME] }.",
	Arguments: slices.Concat([]Argument{
		jqArgs.with(`{ clock = var.clock_field }`, ""),
	}, compareRules, []Argument{
		{Name: "reason", Type: Type{Base: String}, Example: `"Clocks differ between two requests."`,
			Doc: "Why these differences mean nothing, for reports."},
		{Name: "expires", Type: Type{Base: Date}, Example: `"2027-06-30"`,
			Doc: "The last day, in UTC, on which the rules hold. After it they excuse nothing."},
	}),
}

var accept = Block{
	Type: "accept", Labels: []Label{{Name: "fingerprint", Doc: "The fingerprint of the difference, as reports show it.", Free: true}},
	Doc: "A difference that somebody has looked at and lets pass, up to a ceiling and until a day. shadowaudit accept writes these blocks into NAME.accepted.hcl beside NAME.audit.hcl, which is read with the spec.",
	Arguments: []Argument{
		{Name: "audit", Type: Type{Base: String}, Required: true, Example: `"checkout"`, Doc: "The audit in which it was seen."},
		{Name: "endpoint", Type: Type{Base: String}, Required: true, Example: `"GET /api/orders/{id}"`, Doc: "The endpoint that shows it."},
		{Name: "path", Type: Type{Base: String}, Required: true, Example: `".body.items[].price"`, Doc: "Where in the response it is."},
		{Name: "kind", Type: Type{Base: Keyword}, Keywords: diffKinds, Required: true, Example: "value", Doc: "In which way the responses differ."},
		{Name: "from", Type: Type{Base: String}, Example: `"number"`, Doc: "What class of value the baseline has there. Another class is another difference."},
		{Name: "to", Type: Type{Base: String}, Example: `"string"`, Doc: "What class of value the candidate has there."},
		{Name: "max", Type: Type{Base: Share}, Default: `"100%"`, Example: `"5%"`, Doc: "The share of the endpoint's pairs that may show it."},
		{Name: "reason", Type: Type{Base: String}, Required: true, Example: `"Prices are rounded since the new tax rules."`, Doc: "Why it may pass."},
		{Name: "owner", Type: Type{Base: String}, Required: true, Example: `"team-checkout"`, Doc: "Who has looked at it."},
		{Name: "expires", Type: Type{Base: Date}, Required: true, Example: `"2027-06-30"`, Doc: "The last day, in UTC, on which it may pass. After it the difference counts again."},
	},
}

var cohort = Block{
	Type: "cohort", Labels: []Label{nameLabel},
	Doc: "A way to slice the traffic, for gates that are judged per slice.",
	Arguments: []Argument{
		forEach.with("var.tenants", "Makes one cohort for each element, which is each.key and each.value inside it. The key becomes part of the name: cohort.tenant[\"eu\"]."),
		jqArgs.with(`{ tenant = each.key }`, ""),
		{Name: "by", Type: Type{Base: JQValue}, Required: true, Example: `".request.headers[\"x-region\"]"`,
			Doc: "What the slice of an exchange is called, read from the exchange."},
	},
}

var gate = Block{
	Type: "gate", Labels: []Label{titleLabel}, Min: 1,
	Doc: "A limit that decides the verdict.",
	Arguments: []Argument{
		forEach.with(`{ p95 = "250ms", p99 = "400ms" }`, "Makes one gate for each element, which is each.key and each.value inside it. The key becomes part of the name: tail latency[\"eu\"]."),
		enabled.with("", "Whether the gate is judged. One that is switched off is checked like any other and shown as skipped."),
		{Name: "metric", Type: Type{Base: Metric}, Required: true, Example: "latency.p95", Doc: "What is measured."},
		{Name: "max", Type: Type{Base: Limit}, Example: `"250ms"`, Doc: "The candidate's value may be at most this."},
		{Name: "min", Type: Type{Base: Limit}, Example: `"500/s"`, Doc: "The candidate's value has to be at least this."},
		{Name: "max_increase", Type: Type{Base: Limit}, Example: `"10%"`,
			Doc: "How far the candidate's value may be above the baseline's on the same requests: a part of it (\"10%\"), a duration for latencies, or percentage points (\"0.5pp\") for shares."},
		{Name: "per", Type: Type{Base: Dimension, Shape: List}, Example: "[endpoint, cohort.region]",
			Doc: "Judges every combination of these on its own."},
		{Name: "min_samples", Type: Type{Base: Integer}, Example: "100",
			Doc: "With fewer samples the gate is inconclusive. Without it, as many as the metric needs."},
		{Name: "decision", Type: Type{Base: Keyword}, Keywords: decisions, Default: "interval", Example: "point",
			Doc: "interval decides by a confidence interval: fail when the limit is broken beyond chance, pass when it is kept beyond chance, inconclusive between. point compares the measured value with the limit and nothing else."},
		{Name: "confidence", Type: Type{Base: Share}, Default: `"95%"`, Example: `"99%"`,
			Doc: "With decision = interval: how sure a verdict has to be. It is shared out among all groups of the gate."},
		{Name: "abort", Type: Type{Base: Bool}, Default: "false", Example: "true",
			Doc: "Ends the replay as soon as it is certain enough that the gate will fail, so that a burning candidate is not burned further. For max of errors.rate, mismatches.rate, failures.rate and latency quantiles, over all the traffic."},
	},
}

var assert = Block{
	Type: "assert", Labels: []Label{titleLabel},
	Doc: "A condition over the result of the audit, for what gates cannot say. It is checked for sense when the spec loads and decided after the run. Where it cannot be decided, because what it looks at was not measured, it is inconclusive.",
	Arguments: []Argument{
		{Name: "condition", Type: Type{Base: Condition}, Required: true, Example: `result.outcomes.mismatched < 10`,
			Doc: "Has to be true. It has to look at result."},
		message.with(`"Ten orders or more differ."`, ""),
	},
}
