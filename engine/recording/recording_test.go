package recording

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"math"
	"math/rand/v2"
	"os"
	"path/filepath"
	"reflect"
	"strings"
	"testing"
	"time"

	"github.com/shadowaudit/shadowaudit/engine/traffic"
)

// random makes an exchange of which every part may be absent, strange or large.
func random(r *rand.Rand) *traffic.Exchange {
	text := func(n int) string {
		b := make([]byte, r.IntN(n))
		for i := range b {
			b[i] = byte(r.Uint32())
		}
		return string(b)
	}
	fields := func() traffic.Header {
		var h traffic.Header
		for range r.IntN(5) {
			h = append(h, traffic.Field{Name: []string{"Accept", "aCCEPT", "X-" + text(5), ""}[r.IntN(4)], Value: text(200)})
		}
		return h
	}
	body := func() traffic.Body {
		b := traffic.Body{State: traffic.BodyState(r.IntN(4))}
		if s := text(3000); s != "" {
			b.Bytes = []byte(s)
		}
		if b.State == traffic.Oversized {
			b.Size = r.Int64()
			copy(b.SHA256[:], text(40))
		}
		return b
	}
	times := []time.Time{
		{}, time.Unix(0, 0).UTC(), time.Unix(1795166295, 123456789).UTC(), time.Unix(-1, 1).UTC(),
		time.Date(1600, 1, 1, 0, 0, 0, 5, time.UTC), time.Date(2500, 1, 1, 0, 0, 0, 5, time.UTC),
	}
	x := &traffic.Exchange{
		Source: text(10), ID: text(30), Session: []string{"", "a", text(20)}[r.IntN(3)], At: times[r.IntN(len(times))],
		Request: traffic.Request{Method: text(8), Target: text(100), Proto: text(9), Header: fields(), Trailer: fields(), Body: body()},
		Offset:  r.Int64() - r.Int64(),
	}
	if r.IntN(3) > 0 {
		x.Response = &traffic.Response{Status: r.IntN(1000) - 1, Reason: text(10), Proto: text(9), Header: fields(), Trailer: fields(), Body: body()}
		x.Timing = traffic.Timing{Kind: []traffic.TimingKind{"", traffic.TimingWire, traffic.TimingClient, "other"}[r.IntN(4)], TTFB: time.Duration(r.Int64()), Total: -1}
	}
	return x
}

// plain makes the i-th of some ordinary exchanges.
func plain(i int) *traffic.Exchange {
	at := time.Date(2026, 11, 20, 9, 0, 0, 0, time.UTC).Add(time.Duration(i) * time.Millisecond)
	return &traffic.Exchange{
		Source: "day", Session: fmt.Sprintf("s%d", i/10), At: at,
		Request: traffic.Request{Method: "GET", Target: fmt.Sprintf("/api/orders/%d?page=2", i), Proto: "HTTP/1.1",
			Header: traffic.Header{{Name: "Host", Value: "shop.example"}, {Name: "Accept", Value: "application/json"}, {Name: "User-Agent", Value: "Mozilla/5.0 (X11; Linux x86_64)"}, {Name: "X-Region", Value: "eu"}}},
		Response: &traffic.Response{Status: 200, Reason: "OK", Proto: "HTTP/1.1",
			Header: traffic.Header{{Name: "Content-Type", Value: "application/json"}, {Name: "Cache-Control", Value: "no-store"}},
			Body:   traffic.Body{Bytes: []byte(`{"items":[` + strings.Repeat(fmt.Sprintf(`{"sku":"A-%d","price":"12.%02d","currency":"EUR"},`, i*7919, i%100), 20) + `null]}`)}},
		Timing: traffic.Timing{Kind: traffic.TimingWire, TTFB: 3 * time.Millisecond, Total: 4 * time.Millisecond},
	}
}

// write makes a recording with a block after each blockful of exchanges.
func write(t testing.TB, xs []*traffic.Exchange, perBlock int) []byte {
	t.Helper()
	var out bytes.Buffer
	w, err := NewWriter(&out)
	if err != nil {
		t.Fatal(err)
	}
	for i, x := range xs {
		if err := w.Write(x); err != nil {
			t.Fatal(err)
		}
		if (i+1)%perBlock == 0 {
			if err := w.Flush(); err != nil {
				t.Fatal(err)
			}
		}
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	return out.Bytes()
}

// read returns everything that is in a recording.
func read(t testing.TB, file []byte) (xs []*traffic.Exchange, damage []*DamageError, closed bool) {
	t.Helper()
	r, err := NewReader(bytes.NewReader(file))
	if err != nil {
		t.Fatal(err)
	}
	defer r.Close()
	for {
		x, err := r.Next()
		var d *DamageError
		switch {
		case err == nil:
			xs = append(xs, x)
		case errors.As(err, &d):
			damage = append(damage, d)
		case err == io.EOF:
			return xs, damage, r.Closed()
		default:
			t.Fatal(err)
		}
	}
}

// What is written is what is read, whatever it is.
func TestIdentity(t *testing.T) {
	for seed := range uint64(20) {
		r := rand.New(rand.NewPCG(seed, 1))
		var xs []*traffic.Exchange
		for range r.IntN(200) {
			xs = append(xs, random(r))
		}
		got, damage, closed := read(t, write(t, xs, 1+r.IntN(100)))
		if len(damage) > 0 || !closed || len(got) != len(xs) {
			t.Fatalf("seed %d: %d of %d, %v, closed %v", seed, len(got), len(xs), damage, closed)
		}
		for i := range xs {
			if !reflect.DeepEqual(got[i], xs[i]) {
				t.Fatalf("seed %d, exchange %d:\n%+v\n%+v", seed, i, got[i], xs[i])
			}
		}
	}
}

// A file that stops anywhere loses the block that is cut and nothing before it.
func TestTruncation(t *testing.T) {
	const perBlock = 3
	var xs []*traffic.Exchange
	for i := range 4 * perBlock {
		x := plain(i)
		x.Response.Body.Bytes = x.Response.Body.Bytes[:40]
		xs = append(xs, x)
	}
	file := write(t, xs, perBlock)
	blocks, err := ReadIndex(bytes.NewReader(file), int64(len(file)))
	if err != nil || len(blocks) != 4 {
		t.Fatalf("%v %v", blocks, err)
	}
	for n := range len(file) {
		whole := 0
		boundary := n == fileHeaderSize
		for _, b := range blocks {
			if int64(n) >= b.Offset+b.Size {
				whole++
			}
			boundary = boundary || int64(n) == b.Offset+b.Size
		}
		if n < fileHeaderSize {
			if _, err := NewReader(bytes.NewReader(file[:n])); !errors.Is(err, ErrNotRecording) {
				t.Fatalf("%d bytes: %v", n, err)
			}
			continue
		}
		got, damage, closed := read(t, file[:n])
		if len(got) != whole*perBlock {
			t.Fatalf("%d bytes: %d exchanges of %d whole blocks", n, len(got), whole)
		}
		if closed || len(damage) > 1 || boundary && len(damage) > 0 {
			t.Fatalf("%d bytes: closed %v, %v", n, closed, damage)
		}
		if indexAt := len(file) - endSize; n != indexAt && !boundary && (len(damage) != 1 || !damage[0].Cut) {
			t.Fatalf("%d bytes: %v", n, damage)
		}
		if _, err := ReadIndex(bytes.NewReader(file[:n]), int64(n)); !errors.Is(err, ErrNoIndex) {
			t.Fatalf("%d bytes have an index: %v", n, err)
		}
	}
}

// A byte that is wrong costs the block that it is in and no other one.
func TestDamage(t *testing.T) {
	const perBlock = 3
	var xs []*traffic.Exchange
	for i := range 3 * perBlock {
		x := plain(i)
		x.Response.Body.Bytes = x.Response.Body.Bytes[:40]
		xs = append(xs, x)
	}
	file := write(t, xs, perBlock)
	blocks, _ := ReadIndex(bytes.NewReader(file), int64(len(file)))
	for n := fileHeaderSize; n < len(file); n++ {
		broken := bytes.Clone(file)
		broken[n] ^= 0x55
		got, damage, _ := read(t, broken)
		inside := int64(n) < blocks[2].Offset+blocks[2].Size
		want := len(xs)
		if inside {
			want -= perBlock
		}
		if len(got) != want || inside && len(damage) != 1 {
			t.Fatalf("byte %d: %d exchanges, want %d; %v", n, len(got), want, damage)
		}
	}
}

func TestJoinedFiles(t *testing.T) {
	one, two := write(t, []*traffic.Exchange{plain(1)}, 1), write(t, []*traffic.Exchange{plain(2)}, 1)
	got, damage, closed := read(t, append(bytes.Clone(one), two...))
	if len(got) != 2 || len(damage) > 0 || !closed {
		t.Errorf("%d, %v, %v", len(got), damage, closed)
	}
}

func TestNotOurs(t *testing.T) {
	file := write(t, nil, 1)
	newer := bytes.Clone(file)
	newer[8] = 2
	binary.LittleEndian.PutUint32(newer[12:], checksum(newer[:12]))
	minor := bytes.Clone(file)
	minor[10] = 9
	binary.LittleEndian.PutUint32(minor[12:], checksum(minor[:12]))
	for _, tt := range []struct {
		name string
		file []byte
		want error
	}{
		{"nothing", nil, ErrNotRecording},
		{"text", []byte("GET / HTTP/1.1\r\nHost: shop.example\r\n\r\n"), ErrNotRecording},
		{"line feeds changed", bytes.ReplaceAll(file, []byte("\r\n"), []byte("\n")), ErrNotRecording},
		{"another major version", newer, ErrNewer},
		{"another minor version", minor, nil},
		{"no exchange", file, nil},
	} {
		if _, err := NewReader(bytes.NewReader(tt.file)); !errors.Is(err, tt.want) {
			t.Errorf("%s: %v", tt.name, err)
		}
	}
}

// Fields and kinds of block that this version does not know are passed over.
func TestUnknownIsPassedOver(t *testing.T) {
	var e encoder
	record := e.record(nil, plain(1))
	head, bodies, _, _ := cutRecord(record)
	more := appendText(append([]byte(nil), head...), 99<<1|1, "new")
	more = appendUint(more, 98<<1, 7)
	raw := binary.AppendUvarint(nil, uint64(len(more)))
	raw = binary.AppendUvarint(raw, uint64(len(bodies)))
	raw = append(append(raw, more...), bodies...)

	var out bytes.Buffer
	w, err := NewWriter(&out)
	if err != nil {
		t.Fatal(err)
	}
	w.putBlock(header{kind: 77, count: 5}, []byte("something new"))
	w.putBlock(header{kind: kindExchanges, count: 1}, raw)
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	got, damage, _ := read(t, out.Bytes())
	if len(got) != 1 || len(damage) > 0 || !reflect.DeepEqual(got[0], plain(1)) {
		t.Errorf("%v %v", got, damage)
	}
}

// A record inside of a sound block that breaks the rules costs itself.
func TestBadRecord(t *testing.T) {
	var e encoder
	good := e.record(nil, plain(1))
	for _, tt := range []struct {
		name string
		bad  []byte
		got  int
		lost int64
	}{
		{"unknown state", frame(appendBytes(nil, keyRequest, appendUint(nil, keyState, 4))), 2, 1},
		{"body that is not there", frame(appendBytes(nil, keyRequest, appendUint(nil, keyLength, 4))), 2, 1},
		{"short checksum", frame(appendBytes(nil, keyRequest, appendBytes(nil, keySHA256, []byte("x")))), 2, 1},
		{"header with a name alone", frame(appendBytes(nil, keyRequest, appendBytes(nil, keyHeader, []byte("\x01a")))), 2, 1},
		{"field that is too long", frame([]byte{keyID, 200, 1, 'x'}), 2, 1},
		{"time with too many nanoseconds", frame(appendBytes(nil, keyTime, binary.AppendUvarint([]byte{0}, 1e9))), 2, 1},
		{"record that is too long", []byte{0xff, 0xff, 0x7f, 0}, 1, 2},
		{"integer without end", bytes.Repeat([]byte{0xff}, 11), 1, 2},
	} {
		var out bytes.Buffer
		w, err := NewWriter(&out)
		if err != nil {
			t.Fatal(err)
		}
		w.putBlock(header{kind: kindExchanges, count: 3}, bytes.Join([][]byte{good, tt.bad, good}, nil))
		if err := w.Close(); err != nil {
			t.Fatal(err)
		}
		got, damage, _ := read(t, out.Bytes())
		if len(got) != tt.got || len(damage) != 1 || damage[0].Exchanges != tt.lost {
			t.Errorf("%s: %d exchanges, %v", tt.name, len(got), damage)
		}
	}
}

// frame makes a record without bodies.
func frame(head []byte) []byte {
	return append(append(binary.AppendUvarint(nil, uint64(len(head))), 0), head...)
}

func TestIndex(t *testing.T) {
	var xs []*traffic.Exchange
	for i := range 5000 {
		xs = append(xs, plain(i))
	}
	file := write(t, xs, 500)
	blocks, err := ReadIndex(bytes.NewReader(file), int64(len(file)))
	if err != nil {
		t.Fatal(err)
	}
	at, mistaken := 0, 0
	for i, b := range blocks {
		n := int(b.Exchanges)
		if !b.First.Equal(xs[at].At) || !b.Last.Equal(xs[at+n-1].At) {
			t.Errorf("block %d is from %s to %s", i, b.First, b.Last)
		}
		// A block can be read alone, behind a file header.
		alone := append(appendFileHeader(nil), file[b.Offset:b.Offset+b.Size]...)
		if got, _, _ := read(t, alone); len(got) != n || !reflect.DeepEqual(got[0], xs[at]) {
			t.Errorf("block %d alone has %d exchanges", i, len(got))
		}
		for j, x := range xs {
			inside := j >= at && j < at+n
			if inside && !b.May(x.Session) {
				t.Fatalf("block %d denies the session of exchange %d", i, j)
			}
			if !inside && b.May(x.Session) {
				mistaken++
			}
		}
		at += n
	}
	if at != len(xs) {
		t.Errorf("%d exchanges in the index", at)
	}
	if share := float64(mistaken) / float64(len(xs)*len(blocks)); share > 0.03 {
		t.Errorf("a session is found by mistake in %.3f of the blocks", share)
	}
}

func TestCreate(t *testing.T) {
	path := filepath.Join(t.TempDir(), "day.sar")
	w, err := Create(path)
	if err != nil {
		t.Fatal(err)
	}
	if info, err := os.Stat(path); err != nil || info.Mode().Perm() != 0o600 {
		t.Errorf("%v %v", info.Mode(), err)
	}
	if _, err := Create(path); !errors.Is(err, os.ErrExist) {
		t.Errorf("a second time: %v", err)
	}
	if err := errors.Join(w.Write(plain(1)), w.Close(), w.Close()); err != nil {
		t.Error(err)
	}
	if err := w.Write(plain(2)); err == nil {
		t.Error("wrote after close")
	}
	if info, err := os.Stat(path); err != nil || info.Size() != w.Size() {
		t.Errorf("%d bytes, said to be %d", info.Size(), w.Size())
	}
}

// What has been written is on the disk before long, also when nothing follows.
func TestIdleWriterFlushes(t *testing.T) {
	written := make(chan int, 10)
	w, err := NewWriter(writerFunc(func(b []byte) (int, error) { written <- len(b); return len(b), nil }))
	if err != nil {
		t.Fatal(err)
	}
	<-written // the file header
	w.age = time.Millisecond
	for range 3 {
		if err := w.Write(plain(1)); err != nil {
			t.Fatal(err)
		}
		if n := <-written; n <= headerSize {
			t.Errorf("a block of %d bytes", n)
		}
	}
}

type writerFunc func([]byte) (int, error)

func (f writerFunc) Write(b []byte) (int, error) { return f(b) }

func TestDiskFull(t *testing.T) {
	full := errors.New("no space left")
	n := 0
	w, err := NewWriter(writerFunc(func(b []byte) (int, error) {
		if n++; n > 1 {
			return 0, full
		}
		return len(b), nil
	}))
	if err != nil {
		t.Fatal(err)
	}
	if err := w.Write(plain(1)); err != nil {
		t.Fatal(err)
	}
	for _, err := range []error{w.Flush(), w.Write(plain(2)), w.Close()} {
		if !errors.Is(err, full) {
			t.Error(err)
		}
	}
	if n != 2 {
		t.Errorf("%d writes", n)
	}
}

// A body of many megabytes goes through, beside small ones.
func TestGiant(t *testing.T) {
	giant := plain(1)
	giant.Response.Body.Bytes = make([]byte, 20<<20)
	rng := rand.NewChaCha8([32]byte{})
	rng.Read(giant.Response.Body.Bytes)
	xs := []*traffic.Exchange{plain(0), giant, plain(2)}
	got, damage, _ := read(t, write(t, xs, math.MaxInt))
	if len(damage) > 0 || !reflect.DeepEqual(got, xs) {
		t.Errorf("%d exchanges, %v", len(got), damage)
	}
}

func FuzzReader(f *testing.F) {
	file := write(f, []*traffic.Exchange{plain(1), plain(2), plain(3)}, 2)
	f.Add(file)
	f.Add(file[:len(file)/2])
	f.Add(append(bytes.Clone(file[:100]), file...))
	f.Add(described(f, &someMeta, 3))
	f.Add([]byte(magic))
	f.Fuzz(func(t *testing.T, file []byte) {
		ReadIndex(bytes.NewReader(file), int64(len(file)))
		r, err := NewReader(bytes.NewReader(file))
		if err != nil {
			return
		}
		defer r.Close()
		for n := 0; ; n++ {
			x, err := r.Next()
			var d *DamageError
			if err != nil && !errors.As(err, &d) {
				if err != io.EOF {
					t.Fatal(err)
				}
				return
			}
			if n > 10*len(file)+100 {
				t.Fatal("more exchanges than the file can hold")
			}
			if x != nil {
				_ = x.Request.Body.State.String()
			}
		}
	})
}

// FuzzRecord changes what is inside of a block that is sound otherwise: what is
// understood of it can be written, and is then read as the same.
func FuzzRecord(f *testing.F) {
	var e encoder
	f.Add(e.record(nil, plain(1)))
	f.Add(e.record(nil, random(rand.New(rand.NewPCG(1, 2)))))
	f.Fuzz(func(t *testing.T, record []byte) {
		head, bodies, _, ok := cutRecord(record)
		if !ok {
			return
		}
		x, err := decodeRecord(head, bodies)
		if err != nil {
			return
		}
		var e encoder
		head, bodies, rest, ok := cutRecord(e.record(nil, x))
		if !ok || len(rest) > 0 {
			t.Fatal("what was written is no record")
		}
		if again, err := decodeRecord(head, bodies); err != nil || !reflect.DeepEqual(again, x) {
			t.Fatalf("%v\n%+v\n%+v", err, x, again)
		}
	})
}

func benchmarkFile(b *testing.B) ([]byte, int) {
	var xs []*traffic.Exchange
	raw := 0
	var e encoder
	for i := range 20000 {
		xs = append(xs, plain(i))
		raw += len(e.record(nil, xs[i]))
	}
	return write(b, xs, math.MaxInt), raw
}

// BenchmarkRead measures decoded bytes.
func BenchmarkRead(b *testing.B) {
	file, raw := benchmarkFile(b)
	b.SetBytes(int64(raw))
	b.ReportAllocs()
	for b.Loop() {
		r, err := NewReader(bytes.NewReader(file))
		if err != nil {
			b.Fatal(err)
		}
		for {
			if _, err := r.Next(); err == io.EOF {
				break
			} else if err != nil {
				b.Fatal(err)
			}
		}
		r.Close()
	}
}

// BenchmarkWrite measures bytes before compression.
func BenchmarkWrite(b *testing.B) {
	var xs []*traffic.Exchange
	raw := 0
	var e encoder
	for i := range 20000 {
		xs = append(xs, plain(i))
		raw += len(e.record(nil, xs[i]))
	}
	b.SetBytes(int64(raw))
	for b.Loop() {
		w, err := NewWriter(io.Discard)
		if err != nil {
			b.Fatal(err)
		}
		for _, x := range xs {
			if err := w.Write(x); err != nil {
				b.Fatal(err)
			}
		}
		if err := w.Close(); err != nil {
			b.Fatal(err)
		}
	}
}
