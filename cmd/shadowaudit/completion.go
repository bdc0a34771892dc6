package main

import (
	"context"
	"flag"
	"fmt"
	"regexp"
	"slices"
	"strings"

	"github.com/shadowaudit/shadowaudit/lang/reference"
)

const completionUsage = `Print a script by which a shell completes commands, flags, specs, and the words
that explain knows.

Usage:
  shadowaudit completion bash|zsh|fish

Examples:
  source <(shadowaudit completion bash)                # in ~/.bashrc
  source <(shadowaudit completion zsh)                 # in ~/.zshrc, after compinit
  shadowaudit completion fish | source                 # in config.fish
`

// shells are the shells that completion knows, with the scripts for them.
var shells = []struct {
	name   string
	script func([]verb) string
}{
	{"bash", bashScript},
	{"zsh", zshScript},
	{"fish", fishScript},
}

func completionCommand(_ context.Context, args []string, c *console) int {
	rest, code, ok := parse(flag.NewFlagSet("completion", flag.ContinueOnError), completionUsage, args, c)
	if !ok {
		return code
	}
	if len(rest) == 1 {
		for _, s := range shells {
			if s.name == rest[0] {
				return c.show("completion", []byte(s.script(verbs())), nil)
			}
		}
	}
	fmt.Fprintf(c.stderr, "shadowaudit completion: name the shell: bash, zsh or fish\n")
	return exitUsage
}

// verb is what a shell has to know of a command.
type verb struct {
	name, short string
	flags       []flagInfo
	words       []string // what its arguments can be
	files       []string // suffixes of the files that it takes; "" is any file
}

// flagInfo is a flag as a usage text shows it.
type flagInfo struct {
	name   string   // with its dashes
	values []string // of a closed set
	value  bool     // takes one
	file   bool     // which is a file
	doc    string
}

var (
	usageFlagRE = regexp.MustCompile(`(?m)^  (--?[a-z][a-z-]*)(=false)?(?: ([A-Z=]+))? {2,}(.*)$`)
	modesRE     = regexp.MustCompile(`^((?:[a-z]+, )+[a-z]+ or [a-z]+)`)
	usageLineRE = regexp.MustCompile(`(?m)^Usage:\n  shadowaudit [a-z]+(.*)$`)
)

// verbs reads the usage texts, so that what is completed is what is documented.
func verbs() []verb {
	var all []verb
	for _, cmd := range commands() {
		v := verb{name: cmd.name, short: cmd.short}
		for _, m := range usageFlagRE.FindAllStringSubmatch(cmd.usage, -1) {
			info := flagInfo{name: m[1], value: m[3] != "", doc: m[4]}
			if m[2] != "" {
				info.name += m[2]
			}
			info.file = m[3] == "FILE" || m[3] == "PATH" || m[3] == "DIR"
			if modes := modesRE.FindString(m[4]); m[3] == "MODE" && modes != "" {
				info.values = strings.Split(strings.ReplaceAll(modes, " or ", ", "), ", ")
			}
			v.flags = append(v.flags, info)
		}
		v.flags = append(v.flags, flagInfo{name: "--help", doc: "show the arguments of the command"})
		if line := usageLineRE.FindStringSubmatch(cmd.usage); line != nil {
			v.arguments(line[1])
		}
		all = append(all, v)
	}
	names := verb{name: "help", short: "show the arguments of a command"}
	for _, v := range all {
		names.words = append(names.words, v.name)
	}
	return append(all, names)
}

// arguments reads what the usage line says of a command's arguments.
func (v *verb) arguments(line string) {
	switch {
	case strings.Contains(line, "SPEC"):
		v.files = []string{".audit.hcl", ".audit.json"}
	case strings.Contains(line, "PATH"):
		v.files = []string{".audit.hcl", ".auditvars.hcl"}
	case strings.Contains(line, "FILE"), strings.Contains(line, "BUNDLE"):
		v.files = []string{""}
	case strings.Contains(line, "WORD"):
		// Shells break words at other signs than these.
		plain := regexp.MustCompile(`^[a-z0-9_.-]+$`)
		v.words = append(slices.DeleteFunc(reference.Words(), func(w string) bool { return !plain.MatchString(w) }), exitTopic)
	default:
		for _, choice := range strings.Fields(line) {
			if strings.Contains(choice, "|") && !strings.HasPrefix(choice, "[") {
				v.words = strings.Split(choice, "|")
			}
		}
	}
}

// flagNames lists the flags of a command.
func (v verb) flagNames() []string {
	var names []string
	for _, f := range v.flags {
		names = append(names, f.name)
	}
	return names
}

// bashScript completes without the package bash-completion, and leaves names
// of files to readline's own quoting.
func bashScript(all []verb) string {
	var b strings.Builder
	var names []string
	for _, v := range all {
		names = append(names, v.name)
	}
	b.WriteString(`# Completion of shadowaudit for bash: source <(shadowaudit completion bash)

_shadowaudit_files() {
  local suffix
  COMPREPLY+=($(compgen -d -- "$cur"))
  for suffix in "$@"; do
    COMPREPLY+=($(compgen -f -X "!*$suffix" -- "$cur"))
  done
  compopt -o filenames 2>/dev/null
}

_shadowaudit() {
  local IFS=$' \t\n' cur="${COMP_WORDS[COMP_CWORD]}" prev="${COMP_WORDS[COMP_CWORD-1]}" verb="${COMP_WORDS[1]}"
  COMPREPLY=()
  if ((COMP_CWORD == 1)); then
`)
	fmt.Fprintf(&b, "    COMPREPLY=($(compgen -W %s -- \"$cur\"))\n    return\n  fi\n  case \"$verb $prev\" in\n", quoted(names))
	for _, v := range all {
		for _, f := range v.flags {
			if len(f.values) > 0 {
				fmt.Fprintf(&b, "    '%s %s') COMPREPLY=($(compgen -W %s -- \"$cur\")); return ;;\n", v.name, f.name, quoted(f.values))
			} else if f.file {
				fmt.Fprintf(&b, "    '%s %s') local IFS=$'\\n'; _shadowaudit_files ''; return ;;\n", v.name, f.name)
			} else if f.value {
				fmt.Fprintf(&b, "    '%s %s') return ;;\n", v.name, f.name)
			}
		}
	}
	b.WriteString("  esac\n  case \"$verb\" in\n")
	for _, v := range all {
		fmt.Fprintf(&b, "    %s)\n", v.name)
		if len(v.flags) > 0 {
			fmt.Fprintf(&b, "      if [[ $cur == -* ]]; then COMPREPLY=($(compgen -W %s -- \"$cur\")); return; fi\n", quoted(v.flagNames()))
		}
		if len(v.words) > 0 {
			fmt.Fprintf(&b, "      COMPREPLY=($(compgen -W %s -- \"$cur\"))\n", quoted(v.words))
		}
		if len(v.files) > 0 {
			fmt.Fprintf(&b, "      local IFS=$'\\n'; _shadowaudit_files %s\n", strings.Join(each(v.files, quote), " "))
		}
		b.WriteString("      ;;\n")
	}
	b.WriteString("  esac\n}\n\ncomplete -F _shadowaudit shadowaudit\n")
	return b.String()
}

// zshScript uses the functions of zsh's own completion system.
func zshScript(all []verb) string {
	var b strings.Builder
	b.WriteString(`#compdef shadowaudit
# Completion of shadowaudit for zsh: source <(shadowaudit completion zsh)

_shadowaudit() {
  local -a verbs
  verbs=(
`)
	for _, v := range all {
		fmt.Fprintf(&b, "    %s\n", quote(v.name+":"+strings.ReplaceAll(v.short, ":", `\:`)))
	}
	b.WriteString(`  )
  if (( CURRENT == 2 )); then
    _describe command verbs
    return
  fi
  local verb=$words[2]
  shift words
  (( CURRENT-- ))
  case $verb in
`)
	for _, v := range all {
		fmt.Fprintf(&b, "    %s)\n      _arguments", v.name)
		for _, f := range v.flags {
			fmt.Fprintf(&b, " \\\n        %s", quote(zshFlag(f)))
		}
		switch {
		case len(v.words) > 0:
			fmt.Fprintf(&b, " \\\n        %s", quote("*:word:("+strings.Join(v.words, " ")+")"))
		case slices.Contains(v.files, ""):
			fmt.Fprintf(&b, " \\\n        %s", quote("*:file:_files"))
		case len(v.files) > 0:
			fmt.Fprintf(&b, " \\\n        %s", quote("*:file:_files -g \"*("+strings.Join(v.files, "|")+")\""))
		}
		b.WriteString("\n      ;;\n")
	}
	b.WriteString("  esac\n}\n\nif [ \"$funcstack[1]\" = _shadowaudit ]; then _shadowaudit \"$@\"; else compdef _shadowaudit shadowaudit; fi\n")
	return b.String()
}

// zshFlag is a flag as _arguments wants it; it may be repeated.
func zshFlag(f flagInfo) string {
	doc := strings.NewReplacer("[", "(", "]", ")", ":", "").Replace(f.doc)
	s := "*" + f.name + "[" + doc + "]"
	switch {
	case len(f.values) > 0:
		return s + ":value:(" + strings.Join(f.values, " ") + ")"
	case f.file:
		return s + ":file:_files"
	case f.value:
		return s + ":value: "
	}
	return s
}

func fishScript(all []verb) string {
	var b strings.Builder
	b.WriteString("# Completion of shadowaudit for fish: shadowaudit completion fish | source\n\ncomplete -c shadowaudit -f\n")
	for _, v := range all {
		fmt.Fprintf(&b, "complete -c shadowaudit -n __fish_use_subcommand -a %s -d %s\n", v.name, fishQuote(v.short))
	}
	for _, v := range all {
		on := fmt.Sprintf("complete -c shadowaudit -n '__fish_seen_subcommand_from %s'", v.name)
		for _, f := range v.flags {
			kind := "-l"
			if !strings.HasPrefix(f.name, "--") {
				kind = "-o"
			}
			line := fmt.Sprintf("%s %s %s", on, kind, strings.TrimLeft(f.name, "-"))
			switch {
			case len(f.values) > 0:
				line += " -x -a " + fishQuote(strings.Join(f.values, " "))
			case f.file:
				line += " -r -F"
			case f.value:
				line += " -x"
			}
			fmt.Fprintf(&b, "%s -d %s\n", line, fishQuote(f.doc))
		}
		switch {
		case len(v.words) > 0:
			fmt.Fprintf(&b, "%s -a %s\n", on, fishQuote(strings.Join(v.words, " ")))
		case slices.Contains(v.files, ""):
			fmt.Fprintf(&b, "%s -F\n", on)
		case len(v.files) > 0:
			first := func(suffix string) string { return "__fish_complete_suffix " + suffix }
			fmt.Fprintf(&b, "%s -k -a '(%s)'\n", on, strings.Join(each(v.files, first), "; "))
		}
	}
	return b.String()
}

// quoted joins words to one that a shell takes literally.
func quoted(words []string) string { return quote(strings.Join(words, " ")) }

// quote keeps bash and zsh from reading anything into a text.
func quote(s string) string { return "'" + strings.ReplaceAll(s, "'", `'\''`) + "'" }

// fishQuote is quote for fish, which has escapes inside of single quotes.
func fishQuote(s string) string {
	return "'" + strings.NewReplacer(`\`, `\\`, "'", `\'`).Replace(s) + "'"
}

func each(words []string, f func(string) string) []string {
	out := make([]string, len(words))
	for i, w := range words {
		out[i] = f(w)
	}
	return out
}
