package bustest

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"runtime"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kfake"
	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/shadowaudit/shadowaudit/engine/source/kafka"
	"github.com/shadowaudit/shadowaudit/engine/source/message"
	"github.com/shadowaudit/shadowaudit/engine/traffic"
)

// broker starts a Kafka that lives as long as the test.
func broker(t *testing.T, opts ...kfake.Opt) []string {
	t.Helper()
	c, err := kfake.NewCluster(append([]kfake.Opt{kfake.NumBrokers(1)}, opts...)...)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(c.Close)
	return c.ListenAddrs()
}

func producer(t *testing.T, brokers []string, opts ...kgo.Opt) *kgo.Client {
	t.Helper()
	client, err := kgo.NewClient(append([]kgo.Opt{kgo.SeedBrokers(brokers...), kgo.RecordPartitioner(kgo.ManualPartitioner())}, opts...)...)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(client.Close)
	return client
}

// produce writes exchanges whose ids are the numbers from first on, by turns to
// each of the partitions.
func produce(t *testing.T, client *kgo.Client, topic string, partitions, first, n int) {
	t.Helper()
	var records []*kgo.Record
	for i := first; i < first+n; i++ {
		records = append(records, &kgo.Record{
			Topic: topic, Partition: int32(i % partitions), Key: fmt.Appendf(nil, "user%d", i%7),
			Timestamp: time.UnixMilli(int64(i)),
			Value:     fmt.Appendf(nil, `{"id":"%d","time":%d,"request":{"method":"GET","target":"/%d"}}`, i, i*1e6, i),
		})
	}
	if err := client.ProduceSync(t.Context(), records...).FirstErr(); err != nil {
		t.Fatal(err)
	}
}

func open(t *testing.T, cfg kafka.Config) *kafka.Source {
	t.Helper()
	cfg.Name, cfg.Topic = "bus", "shadow"
	s, err := kafka.Open(cfg)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { s.Close() })
	return s
}

// next reads n exchanges, or all where n is negative, and gives their ids.
func next(t *testing.T, s interface {
	Next(context.Context) (*traffic.Exchange, error)
}, n int) []string {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 60*time.Second)
	defer cancel()
	var ids []string
	for n < 0 || len(ids) < n {
		x, err := s.Next(ctx)
		if err == io.EOF && n < 0 {
			break
		}
		if err != nil {
			t.Fatalf("after %d: %v", len(ids), err)
		}
		ids = append(ids, x.ID)
	}
	return ids
}

func numbers(first, n int) []string {
	var ids []string
	for i := first; i < first+n; i++ {
		ids = append(ids, fmt.Sprint(i))
	}
	return ids
}

func TestKafkaReadsToTheEnd(t *testing.T) {
	t.Parallel()
	brokers := broker(t, kfake.SeedTopics(3, "shadow"))
	p := producer(t, brokers)
	produce(t, p, "shadow", 3, 0, 20000)
	s := open(t, kafka.Config{Brokers: brokers})
	produce(t, p, "shadow", 3, 20000, 10) // after the end was looked up
	if got := next(t, s, -1); !slices.Equal(got, numbers(0, 20000)) {
		t.Errorf("got %d exchanges, not all in order", len(got))
	}
	if c := s.Counts(); c.Read != 20000 || c.Records != 20000 || c.Malformed+c.Gaps != 0 {
		t.Errorf("%+v", c)
	}
	if ws := s.Warnings(); len(ws) != 0 {
		t.Error(ws)
	}
}

func TestKafkaMergesAPartitionThatLags(t *testing.T) {
	t.Parallel()
	brokers := broker(t, kfake.SeedTopics(2, "shadow"))
	p := producer(t, brokers)
	// The first partition has a long backlog of early messages, the second one
	// late ones, which may not come first.
	for i := range 2 {
		var records []*kgo.Record
		for k := range 15000 {
			n := i*15000 + k
			records = append(records, &kgo.Record{Topic: "shadow", Partition: int32(i), Timestamp: time.UnixMilli(int64(n)),
				Value: fmt.Appendf(nil, `{"id":"%d","request":{"method":"GET","target":"/"}}`, n)})
		}
		if err := p.ProduceSync(t.Context(), records...).FirstErr(); err != nil {
			t.Fatal(err)
		}
	}
	s := open(t, kafka.Config{Brokers: brokers})
	if got := next(t, s, -1); !slices.Equal(got, numbers(0, 30000)) {
		t.Errorf("got %d exchanges, not all in order", len(got))
	}
}

func TestKafkaGorPairsAcrossPartitions(t *testing.T) {
	t.Parallel()
	brokers := broker(t, kfake.SeedTopics(2, "shadow"))
	p := producer(t, brokers, kgo.ProducerBatchCompression(kgo.SnappyCompression()))
	var records []*kgo.Record
	for i := range 1000 {
		at := 1795166295952376787 + int64(i)*1e6
		stamp := time.Unix(0, at)
		records = append(records,
			&kgo.Record{Topic: "shadow", Partition: int32(i % 2), Timestamp: stamp, Value: fmt.Appendf(nil, "1 id%d %d 0\nGET /%d HTTP/1.1\r\nHost: h\r\n\r\n", i, at, i)},
			&kgo.Record{Topic: "shadow", Partition: int32((i + 1) % 2), Timestamp: stamp, Value: fmt.Appendf(nil, "2 id%d %d 0\nHTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\n%04d", i, at+5000, i)})
	}
	records = append(records, &kgo.Record{Topic: "shadow", Value: []byte("junk"), Timestamp: time.Unix(0, 1795166295952376787)})
	if err := p.ProduceSync(t.Context(), records...).FirstErr(); err != nil {
		t.Fatal(err)
	}
	s := open(t, kafka.Config{Brokers: brokers, Format: message.Gor})
	for i := range 1000 {
		x, err := s.Next(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		if x.Request.Target != fmt.Sprint("/", i) || x.Response == nil || string(x.Response.Body.Bytes) != fmt.Sprintf("%04d", i) {
			t.Fatalf("exchange %d is %s", i, x.Request.Target)
		}
	}
	if _, err := s.Next(t.Context()); err != io.EOF {
		t.Errorf("error %v", err)
	}
	if c := s.Counts(); c.Read != 1000 || c.Paired != 1000 || c.Malformed != 1 || c.Records != 2001 {
		t.Errorf("%+v", c)
	}
}

// TestKafkaKilled leaves a source in the middle, as a kill does, and begins
// again: nothing is lost, and only what came after the last Acknowledge comes
// twice.
func TestKafkaKilled(t *testing.T) {
	t.Parallel()
	brokers := broker(t, kfake.SeedTopics(2, "shadow"))
	produce(t, producer(t, brokers), "shadow", 2, 0, 5000)
	cfg := kafka.Config{Brokers: brokers, Group: "audit"}

	first := open(t, cfg)
	acknowledged := next(t, first, 1500)
	if err := first.Acknowledge(t.Context()); err != nil {
		t.Fatal(err)
	}
	lost := next(t, first, 700)
	first.Close()

	second := open(t, cfg)
	rest := next(t, second, -1)
	again := map[string]bool{}
	for _, id := range rest {
		again[id] = true
	}
	for _, id := range acknowledged {
		if again[id] {
			t.Fatalf("exchange %s comes again although it was acknowledged", id)
		}
	}
	for _, id := range lost {
		if !again[id] {
			t.Fatalf("exchange %s is lost", id)
		}
	}
	if len(acknowledged)+len(rest) != 5000 {
		t.Errorf("%d and %d exchanges", len(acknowledged), len(rest))
	}
	if err := second.Acknowledge(t.Context()); err != nil {
		t.Fatal(err)
	}
	second.Close()
	if got := next(t, open(t, cfg), -1); len(got) != 0 {
		t.Errorf("%d exchanges again after the end", len(got))
	}
}

func TestKafkaWithoutGroupKeepsNothing(t *testing.T) {
	t.Parallel()
	brokers := broker(t, kfake.SeedTopics(1, "shadow"))
	produce(t, producer(t, brokers), "shadow", 1, 0, 10)
	for range 2 {
		s := open(t, kafka.Config{Brokers: brokers})
		if got := next(t, s, -1); len(got) != 10 {
			t.Errorf("got %v", got)
		}
		if err := s.Acknowledge(t.Context()); err != nil {
			t.Error(err)
		}
	}
}

func TestKafkaFollows(t *testing.T) {
	t.Parallel()
	brokers := broker(t, kfake.SeedTopics(3, "shadow"))
	p := producer(t, brokers)
	produce(t, p, "shadow", 3, 0, 10)
	s := open(t, kafka.Config{Brokers: brokers, Follow: true, Start: kafka.Latest})
	produce(t, p, "shadow", 1, 10, 20) // the other partitions stay empty
	if got := next(t, s, 20); !slices.Equal(got, numbers(10, 20)) {
		t.Errorf("got %v", got)
	}
	done := make(chan error)
	go func() {
		_, err := s.Next(context.Background())
		done <- err
	}()
	s.Stop()
	s.Stop()
	if err := <-done; err != io.EOF {
		t.Errorf("error %v", err)
	}
	if !strings.Contains(s.Listening(), "shadow") {
		t.Error(s.Listening())
	}
}

// TestKafkaPassesOverAbortedTransactions ends with a control record, after
// messages that nobody is to see.
func TestKafkaPassesOverAbortedTransactions(t *testing.T) {
	t.Parallel()
	brokers := broker(t, kfake.SeedTopics(1, "shadow"))
	p := producer(t, brokers, kgo.TransactionalID("t"))
	for i, end := range []kgo.TransactionEndTry{kgo.TryCommit, kgo.TryAbort} {
		if err := p.BeginTransaction(); err != nil {
			t.Fatal(err)
		}
		produce(t, p, "shadow", 1, i*10, 10)
		if err := p.EndTransaction(t.Context(), end); err != nil {
			t.Fatal(err)
		}
	}
	if got := next(t, open(t, kafka.Config{Brokers: brokers}), -1); !slices.Equal(got, numbers(0, 10)) {
		t.Errorf("got %v", got)
	}
}

func TestKafkaScram(t *testing.T) {
	t.Parallel()
	brokers := broker(t, kfake.SeedTopics(1, "shadow"), kfake.EnableSASL(), kfake.Superuser("SCRAM-SHA-256", "u", "p"))
	good := kafka.Config{Brokers: brokers, User: "u", Password: "p", Mechanism: kafka.ScramSHA256}
	if got := next(t, open(t, good), -1); len(got) != 0 {
		t.Errorf("got %v", got)
	}
	bad := good
	bad.Password, bad.Topic = "sesame-17", "shadow"
	if _, err := kafka.Open(bad); err == nil || strings.Contains(err.Error(), "sesame") {
		t.Errorf("error %v", err)
	}
}

func TestKafkaErrors(t *testing.T) {
	t.Parallel()
	brokers := broker(t, kfake.SeedTopics(1, "shadow"))
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	closed := ln.Addr().String()
	ln.Close()
	for _, tt := range []struct {
		name string
		cfg  kafka.Config
		want string
	}{
		{"nobody there", kafka.Config{Brokers: []string{closed}, Topic: "shadow"}, closed},
		{"no topic", kafka.Config{Brokers: brokers, Topic: "other"}, "topic other"},
		{"nothing given", kafka.Config{}, "needed"},
		{"format", kafka.Config{Brokers: brokers, Topic: "shadow", Format: "xml"}, "gor_json"},
		{"mechanism", kafka.Config{Brokers: brokers, Topic: "shadow", User: "u", Mechanism: "x"}, "scram_sha_256"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			begin := time.Now()
			_, err := kafka.Open(tt.cfg)
			if err == nil || !strings.Contains(err.Error(), tt.want) {
				t.Errorf("error %v", err)
			}
			if took := time.Since(begin); took > 15*time.Second {
				t.Errorf("it took %s", took)
			}
		})
	}
}

func TestKafkaCloseLeavesNothing(t *testing.T) {
	brokers := broker(t, kfake.SeedTopics(1, "shadow"))
	produce(t, producer(t, brokers), "shadow", 1, 0, 10)
	before := runtime.NumGoroutine()
	s := open(t, kafka.Config{Brokers: brokers, Follow: true})
	next(t, s, 5)
	s.Close()
	if _, err := s.Next(t.Context()); err == nil || errors.Is(err, io.EOF) {
		t.Errorf("error %v", err)
	}
	for deadline := time.Now().Add(5 * time.Second); runtime.NumGoroutine() > before+8 && time.Now().Before(deadline); {
		runtime.Gosched()
	}
	if n := runtime.NumGoroutine(); n > before+8 { // the broker keeps some for a while
		t.Errorf("%d goroutines, %d before", n, before)
	}
}
