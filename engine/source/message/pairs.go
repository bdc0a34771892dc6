package message

import (
	"container/list"
	"errors"
	"io"
	"time"

	"github.com/shadowaudit/shadowaudit/engine/http1"
	"github.com/shadowaudit/shadowaudit/engine/source/gor"
	"github.com/shadowaudit/shadowaudit/engine/traffic"
)

// pairs brings GoReplay's requests and responses together by their id,
// whichever of the two comes first: they may lie in different partitions. What
// has waited long enough leaves as it is, a request without a response, a
// response as an orphan.
type pairs struct {
	cfg    Config
	log    *ledger
	parser *gor.Messages

	byID    map[string]*list.Element // the half that is here
	waiting *list.List               // of *half, in the order of arrival
	held    int
	bytes   int64
	forced  int64 // requests that left early for want of room
}

// half is a request or a response that waits for the other.
type half struct {
	message *gor.Message
	receipt *Receipt
	offset  int64
	size    int64
	due     time.Time
}

func newPairs(cfg Config, log *ledger) *pairs {
	if cfg.Window.Records <= 0 {
		cfg.Window.Records = 16 << 10
	}
	if cfg.Window.Bytes <= 0 {
		cfg.Window.Bytes = 64 << 20
	}
	return &pairs{cfg: cfg, log: log, parser: gor.NewMessages(), byID: make(map[string]*list.Element), waiting: list.New()}
}

func (p *pairs) add(m Message, now time.Time) []Item {
	record, err := p.parser.Parse(m.Value)
	if errors.Is(err, gor.ErrInterim) {
		return nil
	}
	p.log.Records++
	switch {
	case errors.Is(err, gor.ErrReplayed):
		p.log.ReplayedResponses++
		return nil
	case errors.Is(err, io.ErrUnexpectedEOF):
		p.log.Truncated++
		p.log.TruncatedRequests++
		p.log.Warn("", -1, "a request is cut, left out")
		return nil
	case err != nil:
		p.log.Malformed++
		p.log.Warn("", -1, "a message is no record of GoReplay, left out: "+reason(err))
		return nil
	case record.Request != nil && record.Request.Body.State == traffic.Oversized:
		p.log.Truncated++
		p.log.TruncatedRequests++
		return nil
	}
	h := &half{message: record, receipt: m.Receipt, offset: m.Offset, size: record.Size(), due: now.Add(p.cfg.Wait)}
	if record.Request != nil {
		h.size += int64(len(record.Request.Body.Bytes))
	}
	var out []Item
	if e := p.byID[record.ID]; e != nil {
		other := e.Value.(*half)
		if (other.message.Request == nil) != (record.Request == nil) {
			p.remove(e)
			h.receipt.hold()
			if record.Request == nil {
				return []Item{p.pair(other, h)}
			}
			return []Item{p.pair(h, other)}
		}
		out = append(out, p.leave(e)...) // the id is used again: the older one has waited in vain
	}
	h.receipt.hold()
	p.byID[record.ID] = p.waiting.PushBack(h)
	p.held++
	p.bytes += h.size
	for p.held > p.cfg.Window.Records || p.bytes > p.cfg.Window.Bytes && p.held > 1 {
		if p.waiting.Front().Value.(*half).message.Request != nil {
			p.forced++
		}
		out = append(out, p.leave(p.waiting.Front())...)
	}
	return out
}

// pair makes an exchange of both halves.
func (p *pairs) pair(request, answer *half) Item {
	it := p.alone(request)
	response, timing, err := p.parser.Answer(request.message, answer.message)
	if err != nil {
		p.log.Malformed++
		p.log.Warn("", -1, "a response is not HTTP/1.x, left out: "+reason(err))
		answer.receipt.release()
		return it
	}
	if response.Body.State == traffic.Truncated {
		p.log.Truncated++
	}
	p.log.Paired++
	it.Exchange.Response, it.Exchange.Timing = response, timing
	it.receipts[1] = answer.receipt
	return it
}

func (p *pairs) alone(h *half) Item {
	m := h.message
	return Item{
		Exchange: &traffic.Exchange{Source: p.cfg.Name, ID: m.ID, Session: m.Session, At: m.At, Request: *m.Request, Offset: h.offset},
		receipts: [2]*Receipt{h.receipt},
	}
}

// leave lets a half go without the other.
func (p *pairs) leave(e *list.Element) []Item {
	h := e.Value.(*half)
	p.remove(e)
	if h.message.Request == nil {
		p.log.OrphanResponses++
		h.receipt.release()
		return nil
	}
	return []Item{p.alone(h)}
}

func (p *pairs) remove(e *list.Element) {
	h := e.Value.(*half)
	p.waiting.Remove(e)
	delete(p.byID, h.message.ID)
	p.held--
	p.bytes -= h.size
}

func (p *pairs) expire(now time.Time) []Item {
	var out []Item
	for e := p.waiting.Front(); e != nil && !now.Before(e.Value.(*half).due); e = p.waiting.Front() {
		out = append(out, p.leave(e)...)
	}
	return out
}

func (p *pairs) flush() []Item {
	var out []Item
	for p.held > 0 {
		out = append(out, p.leave(p.waiting.Front())...)
	}
	return out
}

// reason gives the error of a parser without its preface.
func reason(err error) string {
	var syntax *http1.SyntaxError
	if errors.As(err, &syntax) {
		return syntax.What
	}
	return err.Error()
}
