package lang

import (
	"github.com/shadowaudit/shadowaudit/lang/diag"
	"github.com/shadowaudit/shadowaudit/lang/schema"
)

// sourceKinds has the schema of each kind of source.
var sourceKinds = func() map[string]*schema.Block {
	out := map[string]*schema.Block{}
	s, _ := schema.Root().Block("source")
	for _, kind := range s.KindNames() {
		out[kind], _ = s.OfKind(kind)
	}
	return out
}()

func (l *loader) source(d *decl[*Source]) {
	s, ok := sourceKinds[d.value.Kind]
	if !ok {
		base, _ := schema.Root().Block("source")
		l.diags.Add(diag.Diagnostic{
			Code: diag.UnknownKind, Summary: "Unknown kind of source", Subject: diag.Range(d.block.LabelRanges[0]),
			Label: "no such kind", Help: suggestion(d.value.Kind, base.KindNames(), "kinds are "),
		})
		return
	}
	b := l.openBlock(s, d.block)
	decodeArguments(l, b, sourceFields, d.value)
	l.checkSource(b, d.value)
}

var sourceFields = fields[*Source]{
	"path": func(l *loader, a argument, s *Source) { l.pathsAttr(a, &s.Paths) },
	"hosts": func(l *loader, a argument, s *Source) {
		if hosts, ok := l.texts(a, diag.BadValue, checkHost); ok {
			s.Hosts = attrOf(a, hosts)
		}
	},
	"ports":  func(l *loader, a argument, s *Source) { l.numbersAttr(a, portRange, &s.Ports) },
	"format": keywordAttr(func(s *Source) *Attr[string] { return &s.Format }),
	"fields": fieldsAttr,

	"access_log":        func(l *loader, a argument, s *Source) { l.pathAttr(a, &s.AccessLog) },
	"access_log_format": keywordAttr(func(s *Source) *Attr[string] { return &s.Format }),
	"access_log_fields": fieldsAttr,

	"max_loss":  func(l *loader, a argument, s *Source) { l.shareAttr(a, &s.MaxLoss) },
	"on_loss":   keywordAttr(func(s *Source) *Attr[string] { return &s.OnLoss }),
	"listen":    func(l *loader, a argument, s *Source) { l.listenAttr(a, s) },
	"device":    func(l *loader, a argument, s *Source) { l.textAttr(a, &s.Device) },
	"vnis":      func(l *loader, a argument, s *Source) { l.numbersAttr(a, vniRange, &s.VNIs) },
	"cert_file": func(l *loader, a argument, s *Source) { l.pathAttr(a, &s.CertFile) },
	"key_file":  func(l *loader, a argument, s *Source) { l.pathAttr(a, &s.KeyFile) },
	"upstream":  func(l *loader, a argument, s *Source) { l.urlAttr(a, &s.Upstream) },

	"brokers": func(l *loader, a argument, s *Source) {
		if brokers, ok := l.texts(a, diag.BadValue, checkAddress); ok && len(brokers) > 0 {
			s.Bus.Brokers = attrOf(a, brokers)
		} else if ok {
			l.emptyList(a, "names no broker")
		}
	},
	"topic":        func(l *loader, a argument, s *Source) { l.textAttr(a, &s.Bus.Topic) },
	"group":        func(l *loader, a argument, s *Source) { l.textAttr(a, &s.Bus.Group) },
	"tls":          func(l *loader, a argument, s *Source) { l.boolAttr(a, &s.Bus.TLS) },
	"username_env": func(l *loader, a argument, s *Source) { l.envAttr(a, "user name", &s.Bus.UsernameEnv) },
	"password_env": func(l *loader, a argument, s *Source) { l.envAttr(a, "password", &s.Bus.PasswordEnv) },
	"mechanism":    keywordAttr(func(s *Source) *Attr[string] { return &s.Bus.Mechanism }),
	"server":       func(l *loader, a argument, s *Source) { l.textAttr(a, &s.Bus.Server) },
	"stream":       func(l *loader, a argument, s *Source) { l.textAttr(a, &s.Bus.Stream) },
	"subject":      func(l *loader, a argument, s *Source) { l.textAttr(a, &s.Bus.Subject) },
	"consumer":     func(l *loader, a argument, s *Source) { l.textAttr(a, &s.Bus.Consumer) },
	"credentials":  func(l *loader, a argument, s *Source) { l.pathAttr(a, &s.Bus.Credentials) },
	"follow":       func(l *loader, a argument, s *Source) { l.boolAttr(a, &s.Bus.Follow) },
	"start":        keywordAttr(func(s *Source) *Attr[string] { return &s.Bus.Start }),
	"map": func(l *loader, a argument, s *Source) {
		if lit, ok := l.literalOf(a, a.expr); ok {
			if v, ok := program(l, &l.values, lit, l.args.values.CompileValue); ok {
				s.Bus.Map = attrOf(a, v)
			}
		}
	},
}
