package bustest

import (
	"context"
	"fmt"
	"io"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/nats-io/nats-server/v2/server"
	natsgo "github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"

	"github.com/shadowaudit/shadowaudit/engine/source/nats"
)

// natsServer starts a server with JetStream, a stream SHADOW of shadow.> in it,
// and a client that publishes.
func natsServer(t *testing.T) (url string, conn *natsgo.Conn, js jetstream.JetStream) {
	t.Helper()
	srv, err := server.NewServer(&server.Options{Host: "127.0.0.1", Port: -1, JetStream: true, StoreDir: t.TempDir(), NoSigs: true})
	if err != nil {
		t.Fatal(err)
	}
	srv.Start()
	t.Cleanup(func() { srv.Shutdown(); srv.WaitForShutdown() })
	if !srv.ReadyForConnections(10 * time.Second) {
		t.Fatal("the server does not start")
	}
	if conn, err = natsgo.Connect(srv.ClientURL()); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(conn.Close)
	if js, err = jetstream.New(conn); err != nil {
		t.Fatal(err)
	}
	if _, err := js.CreateStream(t.Context(), jetstream.StreamConfig{Name: "SHADOW", Subjects: []string{"shadow.>"}}); err != nil {
		t.Fatal(err)
	}
	return srv.ClientURL(), conn, js
}

func publish(t *testing.T, js jetstream.JetStream, subject string, first, n int) {
	t.Helper()
	for i := first; i < first+n; i++ {
		if _, err := js.PublishAsync(subject, natsMessage(i)); err != nil {
			t.Fatal(err)
		}
	}
	select {
	case <-js.PublishAsyncComplete():
	case <-time.After(30 * time.Second):
		t.Fatal("the server does not take the messages")
	}
}

func natsMessage(i int) []byte {
	return fmt.Appendf(nil, `{"id":"%d","request":{"method":"GET","target":"/%d"}}`, i, i)
}

func openNATS(t *testing.T, cfg nats.Config) *nats.Source {
	t.Helper()
	cfg.Name = "bus"
	s, err := nats.Open(cfg)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { s.Close() })
	return s
}

func TestNATSReadsToTheEnd(t *testing.T) {
	t.Parallel()
	url, _, js := natsServer(t)
	publish(t, js, "shadow.a", 0, 3000)
	publish(t, js, "shadow.b", 3000, 5) // not what is asked for, and the last of the stream
	s := openNATS(t, nats.Config{URL: url, Stream: "SHADOW", Subject: "shadow.a"})
	all := openNATS(t, nats.Config{URL: url, Stream: "SHADOW"})
	publish(t, js, "shadow.a", 3005, 10)
	if got := next(t, s, -1); !slices.Equal(got[:min(3000, len(got))], numbers(0, 3000)) {
		t.Errorf("got %d exchanges", len(got))
	}
	if got := next(t, all, -1); !slices.Equal(got, numbers(0, 3005)) {
		t.Errorf("got %d exchanges", len(got))
	}
	if c := all.Counts(); c.Read != 3005 || c.Records != 3005 || c.Dropped+c.Malformed != 0 {
		t.Errorf("%+v", c)
	}
}

func TestNATSEmptyStream(t *testing.T) {
	t.Parallel()
	url, _, _ := natsServer(t)
	for _, consumer := range []string{"", "durable"} {
		if got := next(t, openNATS(t, nats.Config{URL: url, Stream: "SHADOW", Consumer: consumer}), -1); len(got) != 0 {
			t.Errorf("got %v", got)
		}
	}
}

// TestNATSKilled leaves a source in the middle. The consumer gives again what
// was not acknowledged, once its wait is over, and nothing else.
func TestNATSKilled(t *testing.T) {
	t.Parallel()
	url, _, js := natsServer(t)
	publish(t, js, "shadow.a", 0, 1000)
	if _, err := js.CreateConsumer(t.Context(), "SHADOW", jetstream.ConsumerConfig{Durable: "audit", AckPolicy: jetstream.AckExplicitPolicy, AckWait: time.Second, MaxAckPending: -1}); err != nil {
		t.Fatal(err)
	}
	cfg := nats.Config{URL: url, Stream: "SHADOW", Consumer: "audit"}
	first := openNATS(t, cfg)
	next(t, first, 300)
	if err := first.Acknowledge(t.Context()); err != nil {
		t.Fatal(err)
	}
	next(t, first, 100)
	first.Close()
	second := openNATS(t, cfg)
	got := next(t, second, -1)
	slices.SortFunc(got, func(a, b string) int {
		if len(a) != len(b) {
			return len(a) - len(b)
		}
		return strings.Compare(a, b)
	})
	if !slices.Equal(got, numbers(300, 700)) {
		t.Errorf("got %d exchanges", len(got))
	}
	if err := second.Acknowledge(t.Context()); err != nil {
		t.Fatal(err)
	}
	second.Close()
	if got := next(t, openNATS(t, cfg), -1); len(got) != 0 {
		t.Errorf("%d exchanges again", len(got))
	}
}

func TestNATSFollows(t *testing.T) {
	t.Parallel()
	url, _, js := natsServer(t)
	publish(t, js, "shadow.a", 0, 10)
	s := openNATS(t, nats.Config{URL: url, Stream: "SHADOW", Follow: true, Start: nats.Latest})
	publish(t, js, "shadow.a", 10, 10)
	if got := next(t, s, 10); !slices.Equal(got, numbers(10, 10)) {
		t.Errorf("got %v", got)
	}
	done := make(chan error)
	go func() {
		_, err := s.Next(context.Background())
		done <- err
	}()
	s.Stop()
	if err := <-done; err != io.EOF {
		t.Errorf("error %v", err)
	}
}

// TestNATSSlowReader publishes more than finds room while nobody reads: the
// publisher does not wait, and every message is either handed out or counted.
func TestNATSSlowReader(t *testing.T) {
	t.Parallel()
	url, conn, _ := natsServer(t)
	s := openNATS(t, nats.Config{URL: url, Subject: "live", Follow: true})
	const n = 40000
	begin := time.Now()
	for i := range n {
		if err := conn.Publish("live", natsMessage(i)); err != nil {
			t.Fatal(err)
		}
	}
	if err := conn.Flush(); err != nil {
		t.Fatal(err)
	}
	t.Logf("%d messages published in %s without a reader", n, time.Since(begin))
	for deadline := time.Now().Add(20 * time.Second); s.Counts().Dropped < n-16<<10 && time.Now().Before(deadline); {
		time.Sleep(time.Millisecond) // the server passes them on when it likes
	}
	next(t, s, 16<<10)
	if c := s.Counts(); c.Read+c.Dropped != n || c.Dropped != n-16<<10 {
		t.Errorf("%+v", c)
	}
}

func TestNATSErrors(t *testing.T) {
	t.Parallel()
	url, _, _ := natsServer(t)
	for _, tt := range []struct {
		name string
		cfg  nats.Config
		want string
	}{
		{"nobody there", nats.Config{URL: "nats://u:sesame@127.0.0.1:1", Stream: "SHADOW"}, "127.0.0.1:1"},
		{"no stream", nats.Config{URL: url, Stream: "OTHER"}, "stream OTHER"},
		{"no past", nats.Config{URL: url, Subject: "a"}, "follow"},
		{"nothing", nats.Config{URL: url}, "stream or a subject"},
		{"no url", nats.Config{Stream: "SHADOW"}, "url"},
		{"format", nats.Config{URL: url, Stream: "SHADOW", Format: "xml"}, "gor_json"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			_, err := nats.Open(tt.cfg)
			if err == nil || !strings.Contains(err.Error(), tt.want) || strings.Contains(err.Error(), "sesame") {
				t.Errorf("error %v", err)
			}
		})
	}
}
