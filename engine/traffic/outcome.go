package traffic

import "time"

// Outcome is what came of sending one request to one target. Failures are
// data: a target that resets the connection has answered, in its way.
type Outcome struct {
	Response *Response // nil when not even a status line arrived
	Failure  Failure   // NoFailure: Response is complete

	// Latency is how long a client would have waited: from the moment of
	// sending, connecting included where it was needed, to the last byte or to
	// the failure.
	Latency time.Duration

	Retried bool // sent twice, because the target closed the connection as the request left
}

// OK reports whether the outcome is a complete response, whatever its status.
func (o *Outcome) OK() bool { return o.Failure == NoFailure }

// Failure says why there is no complete response. Its text is safe to print:
// it never quotes what the target sent.
type Failure string

// The ways in which a request can fail.
const (
	NoFailure   Failure = ""
	Refused     Failure = "connection refused"
	Reset       Failure = "connection reset"
	Closed      Failure = "connection closed before the response"
	TimedOut    Failure = "timed out"
	Cut         Failure = "response truncated"
	Malformed   Failure = "malformed response"
	NoHost      Failure = "host not found"
	Unreachable Failure = "host unreachable"
	TLS         Failure = "TLS handshake failed"
	NoResources Failure = "no local sockets or ports left" // our side's fault, not the target's
	NotRecorded Failure = "no recorded response"
	Interrupted Failure = "interrupted"
)
