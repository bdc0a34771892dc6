package main

import (
	"errors"
	"flag"
	"strings"

	"github.com/shadowaudit/shadowaudit/lang"
)

// varFlags are --var and --var-file, in the order in which they were given:
// of several values for one variable the last counts.
type varFlags []lang.Assignment

// register gives the flags to a command.
func (v *varFlags) register(fs *flag.FlagSet) {
	fs.Func("var", "", func(s string) error {
		*v = append(*v, lang.Assignment{Kind: lang.Var, Value: s})
		return nil
	})
	fs.Func("var-file", "", func(s string) error {
		*v = append(*v, lang.Assignment{Kind: lang.VarFile, Name: s})
		return nil
	})
}

// options gives what a spec gets from outside: values from the flags and the
// environment, and the version of this program. Errors do not quote values,
// which may be secret.
func (v varFlags) options(c *console) (lang.Options, error) {
	opts := lang.Options{Getenv: c.getenv, Version: version()}
	for _, a := range v {
		if a.Kind == lang.Var {
			name, value, ok := strings.Cut(a.Value, "=")
			if !ok || name == "" || strings.TrimSpace(name) != name {
				return opts, errors.New("--var takes NAME=VALUE without spaces around the =, as in --var candidate_url=http://127.0.0.1:8081")
			}
			a.Name, a.Value = name, value
		} else if a.Name == "" {
			return opts, errors.New("--var-file takes a file, as in --var-file staging.auditvars.hcl")
		}
		opts.Assignments = append(opts.Assignments, a)
	}
	return opts, nil
}
