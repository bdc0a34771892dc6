package intake

import (
	"fmt"

	"github.com/shadowaudit/shadowaudit/engine/access"
	"github.com/shadowaudit/shadowaudit/engine/plan"
	"github.com/shadowaudit/shadowaudit/engine/recording"
	"github.com/shadowaudit/shadowaudit/engine/source"
)

// Access is with what right files of traffic are read. The zero value reads what
// is not encrypted, and writes nothing down.
type Access struct {
	Identity string // file with age identities, for encrypted recordings; "": there is none
	Log      string // file that every opening is noted in; "": none
	Command  string // for the log
	Purpose  string // for the log; "": the name of the audit
}

// Note writes down that something was done with a file, where there is a log.
// recording is its id, "" where it has none.
func (a Access) Note(action access.Action, path, recording string) error {
	if a.Log == "" {
		return nil
	}
	return (&access.Log{Path: a.Log, Command: a.Command, Purpose: a.Purpose}).Note(action, path, recording)
}

// For fills in the purpose where none is given.
func (a Access) For(audit string) Access {
	if a.Purpose == "" && audit != "" {
		a.Purpose = "audit " + audit
	}
	return a
}

// Identities reads the identities.
func (a Access) Identities() (recording.Identities, error) {
	if a.Identity == "" {
		return nil, recording.ErrNoIdentity
	}
	return recording.ReadIdentities(a.Identity)
}

// opened notes the opening of a recording, which may have an id.
func (a Access) opened(file string, m *recording.Meta) error {
	id := ""
	if m != nil {
		id = m.ID
	}
	return a.Note(access.Open, file, id)
}

// openedFiles notes the opening of the files of a source that has files, except
// for recordings, which are noted one by one when their ids are known.
func (a Access) openedFiles(s *plan.Source) error {
	if a.Log == "" || len(s.Paths) == 0 || s.Kind == "recording" {
		return nil
	}
	files, err := source.Files(s.Paths)
	if err != nil {
		return err
	}
	for _, name := range files {
		if err := a.Note(access.Open, name, ""); err != nil {
			return fmt.Errorf("read %s: %w", name, err)
		}
	}
	return nil
}
