// Package schema is the language of audit specs as data: which blocks there
// are, which arguments they take, of which type, with which default, and what
// each one means. Decoding, suggestions and the reference are all driven by
// it, so that an argument exists in one place only.
package schema

import (
	"slices"
	"strings"
)

// Block is one type of block.
type Block struct {
	Type      string
	Doc       string
	Labels    []Label
	Min, Max  int // how often it may stand in its parent; Max 0 means any number
	Arguments []Argument
	Blocks    []Block

	// Free is set for a block whose argument names the user chooses. It
	// describes every one of them; its own name stands for theirs.
	Free *Argument

	// Kinds are the implementations among which the first label chooses. Each
	// adds its arguments to the block's own.
	Kinds []Kind
}

// Label is a word between a block's type and its body.
type Label struct {
	Name string
	Doc  string
	Free bool // any text; otherwise an identifier
}

// Kind is one implementation of a plugin-shaped block.
type Kind struct {
	Name      string
	Doc       string
	Live      bool // a source without an end of its own
	Arguments []Argument
}

// Argument is one argument of a block.
type Argument struct {
	Name     string
	Type     Type
	Required bool
	Default  string // as it would be written in a spec; "" means none
	Doc      string
	Example  string // a value as it would be written in a spec

	// Keywords are the bare words of a closed set. Where the type is not
	// Keyword they stand beside the values of the type.
	Keywords []string
	// OneOf is the closed set of a string argument.
	OneOf []string
}

// Argument finds an argument by name.
func (b *Block) Argument(name string) (*Argument, bool) {
	i := slices.IndexFunc(b.Arguments, func(a Argument) bool { return a.Name == name })
	if i < 0 {
		return nil, false
	}
	return &b.Arguments[i], true
}

// Block finds a child block by type.
func (b *Block) Block(name string) (*Block, bool) {
	i := slices.IndexFunc(b.Blocks, func(c Block) bool { return c.Type == name })
	if i < 0 {
		return nil, false
	}
	return &b.Blocks[i], true
}

// ArgumentNames lists the arguments in the order of the schema.
func (b *Block) ArgumentNames() []string {
	names := make([]string, len(b.Arguments))
	for i, a := range b.Arguments {
		names[i] = a.Name
	}
	return names
}

// BlockTypes lists the child blocks in the order of the schema.
func (b *Block) BlockTypes() []string {
	names := make([]string, len(b.Blocks))
	for i, c := range b.Blocks {
		names[i] = c.Type
	}
	return names
}

// LabelNames lists the labels in order.
func (b *Block) LabelNames() []string {
	names := make([]string, len(b.Labels))
	for i, l := range b.Labels {
		names[i] = l.Name
	}
	return names
}

// KindNames lists the kinds in the order of the schema.
func (b *Block) KindNames() []string {
	names := make([]string, len(b.Kinds))
	for i, k := range b.Kinds {
		names[i] = k.Name
	}
	return names
}

// OfKind gives the block with the arguments of one kind added.
func (b *Block) OfKind(name string) (*Block, bool) {
	for _, k := range b.Kinds {
		if k.Name == name {
			c := *b
			c.Arguments = append(slices.Clone(b.Arguments), k.Arguments...)
			return &c, true
		}
	}
	return nil, false
}

// IsLive reports whether a kind has no end of its own.
func (b *Block) IsLive(kind string) bool {
	return slices.ContainsFunc(b.Kinds, func(k Kind) bool { return k.Name == kind && k.Live })
}

// Header shows how the block is written: `source "KIND" "NAME"`.
func (b *Block) Header() string {
	var s strings.Builder
	s.WriteString(b.Type)
	for _, l := range b.Labels {
		s.WriteString(` "` + strings.ToUpper(l.Name) + `"`)
	}
	return s.String()
}

// Base is the type of one value.
type Base uint8

// The base types. Durations, sizes, rates and shares are strings with a unit
// in a spec.
const (
	String Base = iota
	Bool
	Integer
	Number
	Duration  // "250ms"
	Size      // "8MiB"
	Rate      // "500/s"
	Share     // "0.1%"
	Keyword   // a bare word of Argument.Keywords
	Reference // target.stable
	Metric    // latency.p95, a bare word of Metrics
	Limit     // a duration, share or rate, as the metric wants it
	Dimension // endpoint or cohort.NAME
	Path      // a path relative to the spec, or a glob
	URL       // an absolute http or https URL
	Endpoint  // "GET /api/orders/{id}"
	JQPath    // a jq path expression: ".body.items[].price"
	JQTest    // a jq expression that is true or false
	JQValue   // a jq expression that gives a value
	Version   // a version constraint: ">= 0.1"
	Date      // "2027-06-30"
	TypeName  // the type of a variable: string, number, list(string)
	Any       // any value

	Collection // a set or list of strings, or a map
	Condition  // an expression that is true or false: length(var.x) > 0
)

var baseNames = map[Base]string{
	String: "string", Bool: "bool", Integer: "integer", Number: "number", Duration: "duration", Size: "size",
	Rate: "rate", Share: "share", Keyword: "keyword", Reference: "reference", Metric: "metric", Limit: "limit",
	Dimension: "dimension", Path: "path", URL: "URL", Endpoint: "endpoint", JQPath: "jq path", JQTest: "jq test",
	JQValue: "jq value", Version: "version constraint", Date: "date", TypeName: "type", Any: "any value",
	Collection: "list, set or map", Condition: "condition",
}

// String gives the name of the type for people.
func (b Base) String() string { return baseNames[b] }

// Shape says how many values an argument holds.
type Shape uint8

// The shapes.
const (
	One       Shape = iota
	List            // [a, b]
	OneOrList       // a or [a, b]
	Object          // { key = value }, with keys that the user chooses
)

// Type is the type of an argument.
type Type struct {
	Base  Base
	Shape Shape
	Key   Base     // of an Object: String or JQPath
	To    []string // of a Reference: the block types it may name
}

// String gives the type for people: "list of jq paths", "reference to a
// target".
func (t Type) String() string {
	one := t.Base.String()
	if t.Base == Reference {
		one = "reference to " + article(t.To)
	}
	switch t.Shape {
	case List:
		if t.Base == Reference {
			return "list of references to " + strings.Join(t.To, "s or ") + "s"
		}
		return "list of " + plural(one)
	case OneOrList:
		return one + " or list of " + plural(one)
	case Object:
		if t.Key != String {
			return "object of " + plural(one) + " by " + t.Key.String()
		}
		return "object of " + plural(one)
	}
	return one
}

// article puts "a" or "an" before each of the words.
func article(words []string) string {
	out := make([]string, len(words))
	for i, w := range words {
		out[i] = "a " + w
		if strings.ContainsRune("aeiou", rune(w[0])) {
			out[i] = "an " + w
		}
	}
	return strings.Join(out, " or ")
}

func plural(noun string) string {
	if strings.HasSuffix(noun, "y") {
		return strings.TrimSuffix(noun, "y") + "ies"
	}
	return noun + "s"
}

// Dimensional says what a metric measures, and so which limits it takes.
type Dimensional uint8

// The dimensions of metrics.
const (
	Time  Dimensional = iota // limits are durations
	Part                     // limits are shares
	Speed                    // limits are rates
)

// MetricInfo is one metric that a gate can judge.
type MetricInfo struct {
	Name         string
	Dimension    Dimensional
	MoreIsBetter bool
	Doc          string
}

// FindMetric finds a metric by its name.
func FindMetric(name string) (MetricInfo, bool) {
	for _, m := range Metrics() {
		if m.Name == name {
			return m, true
		}
	}
	return MetricInfo{}, false
}

// MetricNames lists the metrics in the order of the reference.
func MetricNames() []string {
	var names []string
	for _, m := range Metrics() {
		names = append(names, m.Name)
	}
	return names
}
