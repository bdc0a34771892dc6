package traffic

import "time"

// Outcome is what came of sending one request to one target. Failures are
// data: a target that resets the connection has answered, in its way.
type Outcome struct {
	Response *Response // nil when not even a status line arrived
	Failure  Failure   // NoFailure: Response is complete

	Sent    time.Time     // when the first byte of the request was written
	TTFB    time.Duration // from Sent to the first byte of the response
	Latency time.Duration // from Sent to the last byte, or to the failure
}

// OK reports whether the outcome is a complete response, whatever its status.
func (o *Outcome) OK() bool { return o.Failure == NoFailure }

// IsError reports whether a client would call the outcome an error: no
// complete response, or a status of 500 or more.
func (o *Outcome) IsError() bool {
	return o.Failure != NoFailure || o.Response.Status >= 500
}

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
	NotRecorded Failure = "no recorded response"
	Interrupted Failure = "interrupted"
)
