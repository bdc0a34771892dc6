package main

import (
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

// completeInBash runs the function of the bash script as bash would after the
// given words, the last of which is to be completed.
func completeInBash(t *testing.T, bash, dir string, words ...string) []string {
	t.Helper()
	code, script, _ := inProcess("completion", "bash")
	if code != exitPass {
		t.Fatalf("exit code %d", code)
	}
	cmd := exec.Command(bash, "--norc", "--noprofile", "-u", "-c",
		script+"\nCOMP_WORDS=(\"$@\")\nCOMP_CWORD=$((${#COMP_WORDS[@]} - 1))\n_shadowaudit\n((${#COMPREPLY[@]})) && printf '%s\\n' \"${COMPREPLY[@]}\"\nexit 0", "bash")
	cmd.Args = append(cmd.Args, "shadowaudit")
	cmd.Args = append(cmd.Args, words...)
	cmd.Dir = dir
	var errs strings.Builder
	cmd.Stderr = &errs
	out, err := cmd.Output()
	if err != nil || errs.Len() > 0 {
		t.Fatalf("%v: %s", err, errs.String())
	}
	return slices.DeleteFunc(strings.Split(string(out), "\n"), func(s string) bool { return s == "" })
}

func TestBashCompletion(t *testing.T) {
	bash, err := exec.LookPath("bash")
	if err != nil {
		t.Skip("bash is not installed: the completion script was NOT run")
	}
	dir := t.TempDir()
	for _, name := range []string{"shop.audit.hcl", "my shop.audit.hcl", "shop.audit.json", "prod.auditvars.hcl", "notes.txt"} {
		if err := os.WriteFile(filepath.Join(dir, name), nil, 0o644); err != nil {
			t.Fatal(err)
		}
	}
	if err := os.Mkdir(filepath.Join(dir, "specs"), 0o755); err != nil {
		t.Fatal(err)
	}
	tests := []struct {
		name  string
		words []string
		want  []string
	}{
		{"commands", []string{"va"}, []string{"validate"}},
		{"command after help", []string{"help", "expl"}, []string{"explain"}},
		{"flags", []string{"run", "--see"}, []string{"--seed"}},
		{"flags with one dash", []string{"fmt", "-r"}, []string{"-recursive"}},
		{"flag that switches off", []string{"fmt", "-w"}, []string{"-write=false"}},
		{"modes", []string{"run", "--color", ""}, []string{"auto", "always", "never"}},
		{"modes begun", []string{"run", "--progress", "p"}, []string{"plain"}},
		{"value of a flag that is anything", []string{"run", "--seed", ""}, nil},
		{"files of a flag", []string{"run", "--var-file", "pr"}, []string{"prod.auditvars.hcl"}},
		{"specs", []string{"run", ""}, []string{"specs", "my shop.audit.hcl", "shop.audit.hcl", "shop.audit.json"}},
		{"specs begun", []string{"validate", "--json", "sh"}, []string{"shop.audit.hcl", "shop.audit.json"}},
		{"specs and values to format", []string{"fmt", ""}, []string{"specs", "my shop.audit.hcl", "shop.audit.hcl", "prod.auditvars.hcl"}},
		{"words", []string{"explain", "max_in_"}, []string{"max_in_flight"}},
		{"words with dots", []string{"explain", "latency.p99"}, []string{"latency.p99", "latency.p999"}},
		{"codes", []string{"explain", "jq-s"}, []string{"jq-syntax"}},
		{"exit codes", []string{"explain", "exi"}, []string{"exit"}},
		{"shells", []string{"completion", ""}, []string{"bash", "zsh", "fish"}},
		{"nothing", []string{"nothing", ""}, nil},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			got := completeInBash(t, bash, dir, tt.words...)
			slices.Sort(got)
			if want := slices.Sorted(slices.Values(tt.want)); !slices.Equal(got, want) {
				t.Errorf("got %q, want %q", got, want)
			}
		})
	}
}

// The scripts for the other shells are read by them where they are installed.
func TestCompletionScriptsParse(t *testing.T) {
	for _, shell := range []string{"zsh", "fish", "bash"} {
		t.Run(shell, func(t *testing.T) {
			path, err := exec.LookPath(shell)
			if err != nil {
				t.Skipf("%s is not installed: its script was NOT read", shell)
			}
			code, script, _ := inProcess("completion", shell)
			if code != exitPass {
				t.Fatalf("exit code %d", code)
			}
			file := filepath.Join(t.TempDir(), "script")
			if err := os.WriteFile(file, []byte(script), 0o644); err != nil {
				t.Fatal(err)
			}
			if out, err := exec.Command(path, "-n", file).CombinedOutput(); err != nil || len(out) > 0 {
				t.Errorf("%v: %s", err, out)
			}
		})
	}
}

// Every flag that a command takes stands in its usage, from which completion
// has it.
func TestUsageNamesFlags(t *testing.T) {
	for _, v := range verbs() {
		for _, f := range v.flags {
			if f.doc == "" || f.name == "" {
				t.Errorf("%s: flag %+v", v.name, f)
			}
			if v.name == "help" || f.name == "--help" || f.value {
				continue
			}
			// A flag that stands in the usage and is not taken would be refused.
			if _, _, errs := inProcess(v.name, f.name, "--no-such-flag"); !strings.Contains(errs, "no flag --no-such-flag") {
				t.Errorf("%s %s: %s", v.name, f.name, errs)
			}
		}
	}
}
