package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"math"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"github.com/shadowaudit/shadowaudit/engine"
	"github.com/shadowaudit/shadowaudit/engine/result"
	"github.com/shadowaudit/shadowaudit/lang"
	"github.com/shadowaudit/shadowaudit/lang/diag"
)

const acceptUsage = `Let differences of a run pass from now on, after a look at each of them.

Usage:
  shadowaudit accept [flags] --reason TEXT --owner NAME BUNDLE

Flags:
  --reason TEXT         why they may pass
  --owner NAME          who has looked at them
  --only FINGERPRINT    accept this difference; repeat for more (default: all that
                        counted in the run)
  --expires DATE        the last day on which they may pass (default: in 90 days)
  --max SHARE           the share of an endpoint's pairs that may show them, as in
                        5% (default: twice what the run saw)
  --identity FILE       file with your age identity, for an encrypted bundle
  --spec SPEC           the spec beside which to write (default: that of the run)

The differences go into NAME.accepted.hcl beside NAME.audit.hcl, sorted, to be
reviewed and committed like the spec. Each one names its endpoint, path, kind,
and the classes of the two values. It counts again when its last day is over,
when more pairs show it than were accepted, or when a value is of another class.

Exit codes:
  0  the file was written
  2  the command line or the bundle is wrong; nothing was written
  4  there was nothing to accept

Examples:
  shadowaudit run checkout.audit.hcl --bundle run.bundle
  shadowaudit accept run.bundle --only 1:3f1c09aa4be7d210 --owner team-checkout \
      --reason "Totals have two decimals since the new tax rules."
`

// acceptDays is how long a difference is accepted when nothing is said.
const acceptDays = 90

// acceptFlags are the flags of accept.
type acceptFlags struct {
	reason, owner, expires, max, spec string
	only                              values
	access                            engine.Access
}

func acceptCommand(_ context.Context, args []string, c *console) int {
	var f acceptFlags
	fs := flag.NewFlagSet("accept", flag.ContinueOnError)
	fs.StringVar(&f.reason, "reason", "", "")
	fs.StringVar(&f.owner, "owner", "", "")
	fs.StringVar(&f.expires, "expires", "", "")
	fs.StringVar(&f.max, "max", "", "")
	fs.StringVar(&f.spec, "spec", "", "")
	fs.Var(&f.only, "only", "")
	accessFlags(fs, &f.access)
	paths, code, ok := parse(fs, acceptUsage, args, c)
	if !ok {
		return code
	}
	run, code := readBundle("accept", paths, f.access, c)
	if run == nil {
		return code
	}
	chosen, err := f.choose(run, time.Now())
	if err != nil {
		fmt.Fprintf(c.stderr, "shadowaudit accept: %v\n", err)
		return exitUsage
	}
	if len(chosen) == 0 {
		fmt.Fprintln(c.stdout, "There is nothing to accept: no difference of the run counts.")
		return exitInconclusive
	}
	for _, path := range sortedFiles(chosen) {
		if err := writeAccepted(path, chosen[path], c); err != nil {
			fmt.Fprintf(c.stderr, "shadowaudit accept: %v\n", err)
			return exitUsage
		}
	}
	return exitPass
}

func sortedFiles(m map[string][]*lang.Accepted) []string {
	var out []string
	for path := range m {
		out = append(out, path)
	}
	slices.Sort(out)
	return out
}

// choose makes acceptances of the differences that are meant, by the file that
// they go into.
func (f *acceptFlags) choose(run *result.Run, now time.Time) (map[string][]*lang.Accepted, error) {
	switch {
	case strings.TrimSpace(f.reason) == "":
		return nil, errors.New("--reason says why the differences may pass")
	case strings.TrimSpace(f.owner) == "":
		return nil, errors.New("--owner says who has looked at them")
	}
	expires := now.UTC().AddDate(0, 0, acceptDays)
	if f.expires != "" {
		day, err := time.Parse(time.DateOnly, f.expires)
		if err != nil || day.AddDate(0, 0, 1).Before(now.UTC()) {
			return nil, fmt.Errorf("--expires takes a day that is not over, as in %s", expires.Format(time.DateOnly))
		}
		expires = day
	}
	ceiling := -1.0
	if f.max != "" {
		var err error
		if ceiling, err = lang.ParseShare(f.max); err != nil {
			return nil, fmt.Errorf("--max takes a share, as in 5%%: %v", err)
		}
	}
	found := map[string]bool{}
	chosen := map[string][]*lang.Accepted{}
	for i := range run.Audits {
		a := &run.Audits[i]
		spec := f.spec
		if spec == "" {
			spec = a.Origin.File
		}
		for j := range a.Differences {
			d := &a.Differences[j]
			if d.IgnoredBy != "" || len(f.only) > 0 && !slices.Contains(f.only, d.Fingerprint) {
				continue
			}
			if _, err := os.Stat(spec); err != nil {
				return nil, fmt.Errorf("%s, the spec of the run, is not here: go to the folder that the run was started in, or name the spec with --spec", spec)
			}
			found[d.Fingerprint] = true
			x := accepted(a.Name, d)
			x.Reason.Value, x.Owner.Value, x.Expires.Value = f.reason, f.owner, expires
			x.Max.Value = ceiling
			if ceiling < 0 {
				x.Max.Value = min(1, math.Ceil(d.Share*200)/100)
			}
			path := lang.AcceptedFile(spec)
			chosen[path] = append(chosen[path], x)
		}
	}
	for _, want := range f.only {
		if !found[want] {
			return nil, fmt.Errorf("--only %s: the run has no such difference that counts", want)
		}
	}
	return chosen, nil
}

func accepted(audit string, d *result.Diff) *lang.Accepted {
	x := &lang.Accepted{Fingerprint: d.Fingerprint}
	x.Audit.Value, x.Endpoint.Value, x.Path.Value, x.Kind.Value = audit, d.Endpoint, d.Path, string(d.Kind)
	x.From.Value, x.To.Value = d.From, d.To
	return x
}

// writeAccepted adds to a file of accepted differences, in place of those that
// have the same fingerprint. The file is replaced in one step.
func writeAccepted(path string, more []*lang.Accepted, c *console) error {
	opts := lang.Options{Sources: diag.Sources{}}
	all, diags := lang.ReadAccepted(path, opts)
	if diags.HasErrors() {
		width, _ := c.terminal(c.stderr)
		printer := diag.Printer{Sources: opts.Sources, Width: width}
		printer.Print(c.stderr, diags)
		return fmt.Errorf("%s has mistakes and is left as it is", path)
	}
	replaced := 0
	for _, x := range more {
		all = slices.DeleteFunc(all, func(old *lang.Accepted) bool {
			same := old.Fingerprint == x.Fingerprint && old.Audit.Value == x.Audit.Value
			if same {
				replaced++
			}
			return same
		})
	}
	temp, err := os.CreateTemp(filepath.Dir(path), "."+filepath.Base(path)+".*")
	if err != nil {
		return err
	}
	defer os.Remove(temp.Name())
	_, err = temp.Write(lang.FormatAccepted(append(all, more...)))
	if err := errors.Join(err, temp.Close(), os.Chmod(temp.Name(), 0o644)); err != nil {
		return err
	}
	if err := os.Rename(temp.Name(), path); err != nil {
		return err
	}
	fmt.Fprintf(c.stdout, "%s: %s accepted, %d in place of an earlier entry. Review the file and commit it.\n", path, result.Plural(int64(len(more)), "difference"), replaced)
	return nil
}
