package scrub

import (
	"encoding/hex"
	"testing"
)

// The samples for FF1 that NIST published with SP 800-38G.
func TestFF1(t *testing.T) {
	const (
		key128 = "2B7E151628AED2A6ABF7158809CF4F3C"
		key192 = key128 + "EF4359D8D580AA4F"
		key256 = key192 + "7F036D6F04FC6A94"
		tweak  = "39383736353433323130"
		tweak2 = "3737373770717273373737"
		letter = "0123456789abcdefghi"
	)
	for _, tt := range []struct {
		key, tweak string
		radix      int
		in, want   string
	}{
		{key128, "", 10, "0123456789", "2433477484"},
		{key128, tweak, 10, "0123456789", "6124200773"},
		{key128, tweak2, 36, letter, "a9tv40mll9kdu509eum"},
		{key192, "", 10, "0123456789", "2830668132"},
		{key192, tweak, 10, "0123456789", "2496655549"},
		{key192, tweak2, 36, letter, "xbj3kv35jrawxv32ysr"},
		{key256, "", 10, "0123456789", "6657667009"},
		{key256, tweak, 10, "0123456789", "1001623463"},
		{key256, tweak2, 36, letter, "xs8a0azh2avyalyzuwd"},
	} {
		key, _ := hex.DecodeString(tt.key)
		tw, _ := hex.DecodeString(tt.tweak)
		f, err := newFF1(key, tt.radix)
		if err != nil {
			t.Fatal(err)
		}
		if got, err := f.encrypt(tt.in, tw); got != tt.want || err != nil {
			t.Errorf("key of %d bits, radix %d: %s became %s (%v), want %s", len(key)*8, tt.radix, tt.in, got, err, tt.want)
		}
	}
	f, _ := newFF1(make([]byte, 16), 10)
	if _, err := f.encrypt("12345", nil); err == nil {
		t.Error("a domain below a million is accepted")
	}
}

// Two accounts are two accounts afterwards.
func TestAccountsStayApart(t *testing.T) {
	s := newScrubber(t, Config{})
	seen := map[string]int{}
	for i := range 4_000 {
		in := "10" + string('0'+byte(i/10000%10)) + string('0'+byte(i/1000%10)) + string('0'+byte(i/100%10)) + string('0'+byte(i/10%10)) + string('0'+byte(i%10))
		out := inText(s.Shown([]string{"body", "account_number"}, quoted(in)))
		if out == in || len(out) != len(in) {
			t.Fatalf("%s became %s", in, out)
		}
		if j, taken := seen[out]; taken {
			t.Fatalf("%d and %d are both %s", i, j, out)
		}
		seen[out] = i
	}
}
