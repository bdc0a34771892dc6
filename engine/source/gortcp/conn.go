package gortcp

import (
	"context"
	"io"
	"net"
	"time"

	"github.com/shadowaudit/shadowaudit/engine/source/gor"
)

// conn is a connection of a GoReplay.
type conn struct {
	net.Conn
	source *Source
	held   int64 // bytes of the source's room that the record in hand takes
}

// serve reads records to the end of the connection.
func (c *conn) serve() {
	s := c.source
	if handshake(c.Conn) == nil {
		stream := gor.NewStream(c, maxRecord)
		for stream.Advance(context.Background()) == nil {
			now := time.Now()
			s.mu.Lock()
			s.put(s.pairer.Add(stream, now))
			s.mu.Unlock()
			c.settle()
		}
		s.mu.Lock()
		s.pairer.Account(stream)
		s.mu.Unlock()
	}
	c.settle()
	c.Conn.Close()
	s.mu.Lock()
	delete(s.conns, c)
	s.mu.Unlock()
}

// Read takes room for what it reads. Whatever ends the connection is its end,
// so that what came before it is looked at.
func (c *conn) Read(p []byte) (int, error) {
	n, err := c.Conn.Read(p)
	if c.held < int64(2*maxRecord) { // a buffer does not grow beyond that
		if !c.source.room.take(n) {
			c.source.crowded.Add(1)
			return 0, io.EOF
		}
		c.held += int64(n)
	}
	if err != nil {
		err = io.EOF
	}
	return n, err
}

// settle gives back what the record took.
func (c *conn) settle() {
	c.source.room.give(c.held)
	c.held = 0
}
