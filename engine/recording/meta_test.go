package recording

import (
	"bytes"
	"errors"
	"io"
	"reflect"
	"testing"
	"time"
)

var someMeta = Meta{
	ID: "00112233445566778899aabbccddeeff", KeyID: "0123456789abcdef", Packs: []string{"gdpr@1", "pci@1"}, Rules: "r1", Tool: "0.1.0",
	Created: time.Date(2026, 11, 20, 9, 0, 0, 1, time.UTC), Expires: time.Date(2026, 12, 20, 9, 0, 0, 2, time.UTC),
}

// described makes a recording with n exchanges that says m of itself, or nothing.
func described(t testing.TB, m *Meta, n int) []byte {
	t.Helper()
	var out bytes.Buffer
	w, err := NewWriter(&out)
	if err != nil {
		t.Fatal(err)
	}
	if m != nil {
		if err := w.Describe(*m); err != nil {
			t.Fatal(err)
		}
	}
	for i := range n {
		if err := w.Write(plain(i)); err != nil {
			t.Fatal(err)
		}
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	return out.Bytes()
}

// metas returns what is said of each exchange.
func metas(t testing.TB, file []byte) (before *Meta, all []*Meta, damage int) {
	t.Helper()
	r, err := NewReader(bytes.NewReader(file))
	if err != nil {
		t.Fatal(err)
	}
	defer r.Close()
	if err := r.Describe(); err != nil {
		t.Fatal(err)
	}
	before = r.Meta()
	for {
		_, err := r.Next()
		var d *DamageError
		switch {
		case err == nil:
			all = append(all, r.Meta())
		case errors.As(err, &d):
			damage++
		case err == io.EOF:
			return before, all, damage
		default:
			t.Fatal(err)
		}
	}
}

func TestMeta(t *testing.T) {
	file := described(t, &someMeta, 3)
	before, all, damage := metas(t, file)
	if !reflect.DeepEqual(before, &someMeta) || len(all) != 3 || damage != 0 {
		t.Fatalf("%+v %d %d", before, len(all), damage)
	}
	for _, m := range all {
		if !reflect.DeepEqual(m, &someMeta) {
			t.Errorf("%+v", m)
		}
	}
	if blocks, err := ReadIndex(bytes.NewReader(file), int64(len(file))); err != nil || len(blocks) != 1 || blocks[0].Exchanges != 3 {
		t.Errorf("%v %v", blocks, err)
	}
	if before, all, _ := metas(t, described(t, nil, 2)); before != nil || len(all) != 2 || all[1] != nil {
		t.Errorf("%v %v", before, all)
	}
	if before, _, _ := metas(t, described(t, &Meta{}, 0)); !reflect.DeepEqual(before, &Meta{}) {
		t.Errorf("%+v", before)
	}
}

// What one recording says does not hold for the next one in the same file.
func TestMetaOfJoinedFiles(t *testing.T) {
	other := Meta{ID: "2"}
	file := append(described(t, &someMeta, 1), described(t, nil, 1)...)
	file = append(file, described(t, &other, 1)...)
	_, all, damage := metas(t, file)
	if len(all) != 3 || damage != 0 || all[0].ID != someMeta.ID || all[1] != nil || all[2].ID != "2" {
		t.Errorf("%v %d", all, damage)
	}
}

// Of a meta block that is damaged nothing is believed.
func TestDamagedMeta(t *testing.T) {
	whole := described(t, &someMeta, 2)
	for at := fileHeaderSize; at < fileHeaderSize+headerSize+20; at++ {
		file := bytes.Clone(whole)
		file[at] ^= 0x40
		before, all, damage := metas(t, file)
		if before != nil || damage == 0 || len(all) != 2 || all[0] != nil {
			t.Fatalf("byte %d: %v %v %d", at, before, all, damage)
		}
	}
}

func TestExpired(t *testing.T) {
	for _, tt := range []struct {
		m    *Meta
		at   time.Time
		want bool
	}{
		{nil, someMeta.Expires, false},
		{&Meta{}, someMeta.Expires, false},
		{&someMeta, someMeta.Expires.Add(-1), false},
		{&someMeta, someMeta.Expires, true},
	} {
		if got := tt.m.Expired(tt.at); got != tt.want {
			t.Errorf("%+v at %v: %v", tt.m, tt.at, got)
		}
	}
}

func TestScrubbed(t *testing.T) {
	nobodys := someMeta
	nobodys.KeyID = Ephemeral
	for _, tt := range []struct {
		name  string
		m     *Meta
		key   string
		packs []string
		rules string
		want  bool
	}{
		{"the same", &someMeta, "0123456789abcdef", []string{"gdpr@1", "pci@1"}, "r1", true},
		{"fewer packs", &someMeta, "0123456789abcdef", []string{"pci@1"}, "r1", true},
		{"more packs", &someMeta, "0123456789abcdef", []string{"gdpr@1", "pci@1", "secrets@1"}, "r1", false},
		{"another version", &someMeta, "0123456789abcdef", []string{"gdpr@2"}, "r1", false},
		{"another key", &someMeta, "0123456789abcdee", []string{"gdpr@1"}, "r1", false},
		{"other rules", &someMeta, "0123456789abcdef", []string{"gdpr@1"}, "r2", false},
		{"keys of one run", &nobodys, Ephemeral, nil, "r1", false},
		{"no scrubbing", &Meta{}, "", nil, "", false},
		{"unknown", nil, "0123456789abcdef", nil, "r1", false},
	} {
		if got := tt.m.Scrubbed(tt.key, tt.packs, tt.rules); got != tt.want {
			t.Errorf("%s: %v", tt.name, got)
		}
	}
}

func FuzzMeta(f *testing.F) {
	f.Add(string(someMeta.append(nil)))
	f.Add("\x03\x05ab")
	f.Fuzz(func(t *testing.T, s string) {
		m, err := parseMeta(s)
		if err != nil {
			return
		}
		again, err := parseMeta(string(m.append(nil)))
		if err != nil || !equivalent(m, again) {
			t.Errorf("%+v\n%+v %v", m, again, err)
		}
	})
}

// equivalent compares what is read of metas: an empty pack is not written.
func equivalent(a, b *Meta) bool {
	full := func(m *Meta) (packs []string) {
		for _, p := range m.Packs {
			if p != "" {
				packs = append(packs, p)
			}
		}
		return packs
	}
	return a.ID == b.ID && a.KeyID == b.KeyID && a.Rules == b.Rules && a.Tool == b.Tool &&
		a.Created.Equal(b.Created) && a.Expires.Equal(b.Expires) && reflect.DeepEqual(full(a), full(b))
}
