package intake

import (
	"errors"
	"fmt"

	"github.com/shadowaudit/shadowaudit/engine/access"
	"github.com/shadowaudit/shadowaudit/engine/plan"
	"github.com/shadowaudit/shadowaudit/engine/source"
	"github.com/shadowaudit/shadowaudit/engine/source/accesslog"
	"github.com/shadowaudit/shadowaudit/engine/source/envoytap"
	"github.com/shadowaudit/shadowaudit/engine/source/extproc"
	"github.com/shadowaudit/shadowaudit/engine/source/gor"
	"github.com/shadowaudit/shadowaudit/engine/source/gortcp"
	"github.com/shadowaudit/shadowaudit/engine/source/har"
	"github.com/shadowaudit/shadowaudit/engine/source/kafka"
	"github.com/shadowaudit/shadowaudit/engine/source/message"
	"github.com/shadowaudit/shadowaudit/engine/source/middleware/receive"
	"github.com/shadowaudit/shadowaudit/engine/source/mirror"
	"github.com/shadowaudit/shadowaudit/engine/source/mitm"
	"github.com/shadowaudit/shadowaudit/engine/source/nats"
	"github.com/shadowaudit/shadowaudit/engine/source/nic"
	"github.com/shadowaudit/shadowaudit/engine/source/pcap"
	"github.com/shadowaudit/shadowaudit/engine/source/proxy"
	"github.com/shadowaudit/shadowaudit/engine/source/recording"
	"github.com/shadowaudit/shadowaudit/engine/source/vxlan"
)

// environment is what a kind of source may need beside its block.
type environment struct {
	access Access
	getenv func(name string) (value string, ok bool)
}

// kinds has the way to open each kind of source.
var kinds = map[string]func(s *plan.Source, e environment) (source.Source, error){
	"gor": func(s *plan.Source, _ environment) (source.Source, error) {
		return gor.Open(gor.Config{Name: s.Name, Paths: s.Paths})
	},
	"har": func(s *plan.Source, _ environment) (source.Source, error) {
		return har.Open(har.Config{Name: s.Name, Paths: s.Paths, Hosts: s.Hosts})
	},
	"recording": func(s *plan.Source, e environment) (source.Source, error) {
		return recording.Open(recording.Config{Name: s.Name, Paths: s.Paths, Identities: e.access.Identities, Opened: e.access.opened})
	},
	"mitm": func(s *plan.Source, _ environment) (source.Source, error) {
		return mitm.Open(mitm.Config{Name: s.Name, Paths: s.Paths})
	},
	"access_log": func(s *plan.Source, _ environment) (source.Source, error) {
		return accesslog.Open(accesslog.Config{Name: s.Name, Paths: s.Paths, Format: accesslog.Format(s.Format), Fields: s.Fields})
	},
	"pcap": func(s *plan.Source, _ environment) (source.Source, error) {
		return pcap.Open(pcap.Config{Name: s.Name, Paths: s.Paths, Ports: s.Ports})
	},
	"envoy_tap": func(s *plan.Source, _ environment) (source.Source, error) {
		return envoytap.Open(envoytap.Config{Name: s.Name, Paths: s.Paths})
	},
	"mirror": openMirror,
	"gor_tcp": func(s *plan.Source, _ environment) (source.Source, error) {
		return gortcp.Open(gortcp.Config{Name: s.Name, Listen: s.Listen, CertFile: s.CertFile, KeyFile: s.KeyFile})
	},
	"interface": func(s *plan.Source, _ environment) (source.Source, error) {
		return nic.Open(nic.Config{Name: s.Name, Device: s.Device, Ports: s.Ports})
	},
	"vxlan": func(s *plan.Source, _ environment) (source.Source, error) {
		return vxlan.Open(vxlan.Config{Name: s.Name, Listen: s.Listen, VNIs: s.VNIs, Ports: s.Ports})
	},
	"envoy_ext_proc": func(s *plan.Source, _ environment) (source.Source, error) {
		return extproc.Open(extproc.Config{Name: s.Name, Listen: s.Listen})
	},
	"middleware": func(s *plan.Source, _ environment) (source.Source, error) {
		return receive.Open(receive.Config{Name: s.Name, Listen: s.Listen})
	},
	"proxy": func(s *plan.Source, _ environment) (source.Source, error) {
		return proxy.Open(proxy.Config{Name: s.Name, Listen: s.Listen, Upstream: s.Upstream, CertFile: s.CertFile, KeyFile: s.KeyFile})
	},
	"kafka": openKafka,
	"nats":  openNATS,
}

// OpenSource opens a source of any kind. getenv finds environment variables that
// it names, and may be nil. Where the source is an io.Closer it is to be closed.
func OpenSource(s plan.Source, getenv func(name string) (value string, ok bool), access Access) (source.Source, error) {
	src, err := openSource(&s, environment{access, getenv})
	if err != nil {
		return nil, fmt.Errorf("source.%s: %w", s, err)
	}
	return src, nil
}

func openSource(s *plan.Source, e environment) (source.Source, error) {
	if err := e.access.openedFiles(s); err != nil {
		return nil, err
	}
	open, ok := kinds[s.Kind]
	if !ok {
		return nil, errors.New("there is no such kind of source")
	}
	return open(s, e)
}

func openMirror(s *plan.Source, e environment) (source.Source, error) {
	if s.AccessLog != "" {
		// A log that grows, or is not there yet, has nothing to know it by.
		if err := e.access.Note(access.Open, s.AccessLog, "followed"); err != nil {
			return nil, fmt.Errorf("read %s: %w", s.AccessLog, err)
		}
	}
	log := mirror.Log{Path: s.AccessLog, Format: accesslog.Format(s.Format), Fields: s.Fields}
	return mirror.Open(mirror.Config{Name: s.Name, Listen: s.Listen, Log: log})
}

func openKafka(s *plan.Source, e environment) (source.Source, error) {
	b := s.Bus
	user, err := e.secret("username_env", b.UsernameEnv)
	if err != nil {
		return nil, err
	}
	password, err := e.secret("password_env", b.PasswordEnv)
	if err != nil {
		return nil, err
	}
	return kafka.Open(kafka.Config{
		Name: s.Name, Brokers: b.Brokers, Topic: b.Topic, Group: b.Group, Start: kafka.Start(b.Start), Follow: b.Follow,
		Format: message.Format(s.Format), Map: b.Map, TLS: b.TLS, User: user, Password: password, Mechanism: kafka.Mechanism(b.Mechanism),
	})
}

func openNATS(s *plan.Source, _ environment) (source.Source, error) {
	b := s.Bus
	return nats.Open(nats.Config{
		Name: s.Name, URL: b.Server, Stream: b.Stream, Subject: b.Subject, Consumer: b.Consumer, Start: nats.Start(b.Start), Follow: b.Follow,
		CredentialsFile: b.Credentials, Format: message.Format(s.Format), Map: b.Map,
	})
}

// secret reads an environment variable that an argument of the source names; ""
// where it names none.
func (e environment) secret(argument, name string) (string, error) {
	if name == "" {
		return "", nil
	}
	if e.getenv != nil {
		if value, ok := e.getenv(name); ok {
			return value, nil
		}
	}
	return "", fmt.Errorf("the environment variable %s, which %s names, is not set; set it, or name another one", name, argument)
}
