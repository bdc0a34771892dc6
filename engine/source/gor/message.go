package gor

import (
	"bytes"
	"errors"
	"io"
	"time"

	"github.com/shadowaudit/shadowaudit/engine/traffic"
)

// The errors of ParseMessage and Answer, beside those of package http1.
var (
	ErrNotRecord = errors.New("not a GoReplay record")
	ErrReplayed  = errors.New("an answer to a replay")
	ErrInterim   = errors.New("an interim response")
)

// Message is one record on its own, as GoReplay sends it over a message bus: a
// first line and a payload, without a separator.
type Message struct {
	ID      string
	Session string
	At      time.Time        // the zero time where the record has none
	Request *traffic.Request // nil: a response, which Answer reads

	stamp   stamp
	payload []byte
}

// Messages reads single records. It belongs to one goroutine.
type Messages struct{ parser *parser }

// NewMessages makes a Messages.
func NewMessages() *Messages { return &Messages{newParser()} }

// Parse reads one record. What it returns shares nothing with b. A request
// that is cut gives io.ErrUnexpectedEOF.
func (ms *Messages) Parse(b []byte) (*Message, error) {
	head, payload, ok := parseMeta(b)
	if !ok {
		return nil, ErrNotRecord
	}
	m := &Message{
		ID:      string(head.id),
		Session: session(string(head.id), head.wide),
		stamp:   stamp{at: head.at, latency: head.latency, timed: head.timed, wide: head.wide},
	}
	if head.timed {
		m.At = time.Unix(0, head.at).UTC()
	}
	switch {
	case head.kind == typeReplayed:
		return nil, ErrReplayed
	case head.kind == typeResponse && isInterim(payload):
		return nil, ErrInterim
	case head.kind == typeResponse:
		m.payload = bytes.Clone(payload) // the rest of b may be large
		return m, nil
	}
	request, _, err := ms.parser.request(payload)
	if err == io.EOF {
		err = ErrNotRecord
	}
	if err != nil {
		return nil, err
	}
	m.Request = request
	return m, nil
}

// Answer reads the response in the record answer, which is one to the request
// in m. A response that is cut has a Truncated body and no error.
func (ms *Messages) Answer(m, answer *Message) (*traffic.Response, traffic.Timing, error) {
	r, _, err := ms.parser.response(answer.payload, m.Request.Method)
	if err != nil && (err != io.ErrUnexpectedEOF || r == nil) {
		if err == io.EOF || err == io.ErrUnexpectedEOF {
			err = ErrNotRecord
		}
		return nil, traffic.Timing{}, err
	}
	return r, timing(m.ID, m.stamp, answer.stamp), nil
}

// Size is what the message takes in memory beside its request, in bytes.
func (m *Message) Size() int64 { return int64(len(m.payload)) + overhead }
