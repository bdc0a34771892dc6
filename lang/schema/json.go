package schema

import (
	"bytes"
	"encoding/json"
	"io"
	"strings"
)

// FormatVersion is the version of the JSON form. Its second number grows with
// every field that is added; no field ever goes or changes its meaning without
// the first number growing.
const FormatVersion = "1.0"

// Code is the stable name of a kind of diagnostic.
type Code struct {
	Name string `json:"name"`
	Doc  string `json:"doc"`
}

// WriteJSON writes the language as one JSON document, for editors. This
// package does not know the diagnostics, so that the caller has to give their
// codes. Lists are never null, and what does not apply is left out.
func WriteJSON(w io.Writer, codes []Code) error {
	var b bytes.Buffer
	enc := json.NewEncoder(&b)
	enc.SetEscapeHTML(false)
	enc.SetIndent("", "  ")
	if err := enc.Encode(languageOf(codes)); err != nil {
		return err
	}
	_, err := w.Write(b.Bytes())
	return err
}

// The JSON form. What a field means is said in the generated reference too,
// from the table in JSONFields.
type (
	jsonLanguage struct {
		FormatVersion string         `json:"format_version"`
		Files         []string       `json:"files"`
		Blocks        []jsonBlock    `json:"blocks"`
		Types         []jsonType     `json:"types"`
		Metrics       []jsonMetric   `json:"metrics"`
		Packs         []jsonPack     `json:"packs"`
		Functions     []jsonFunction `json:"functions"`
		Documents     []jsonDocument `json:"documents"`
		Codes         []Code         `json:"diagnostic_codes"`
	}
	jsonBlock struct {
		Type      string         `json:"type"`
		Doc       string         `json:"doc"`
		Labels    []jsonLabel    `json:"labels"`
		Min       int            `json:"min"`
		Max       int            `json:"max,omitempty"`
		Arguments []jsonArgument `json:"arguments"`
		Free      *jsonArgument  `json:"free_arguments,omitempty"`
		Kinds     []jsonKind     `json:"kinds,omitempty"`
		Blocks    []jsonBlock    `json:"blocks"`
		Example   string         `json:"example"`
	}
	jsonLabel struct {
		Name       string `json:"name"`
		Doc        string `json:"doc"`
		Identifier bool   `json:"identifier"`
	}
	jsonKind struct {
		Name      string         `json:"name"`
		Doc       string         `json:"doc"`
		Arguments []jsonArgument `json:"arguments"`
	}
	jsonArgument struct {
		Name     string       `json:"name"`
		Type     jsonTypeExpr `json:"type"`
		Required bool         `json:"required"`
		Default  string       `json:"default,omitempty"`
		Keywords []string     `json:"keywords,omitempty"`
		OneOf    []string     `json:"one_of,omitempty"`
		Doc      string       `json:"doc"`
		Example  string       `json:"example"`
	}
	jsonTypeExpr struct {
		Text  string   `json:"text"`
		Base  string   `json:"base"`
		Shape string   `json:"shape"`
		Key   string   `json:"key,omitempty"`
		To    []string `json:"to,omitempty"`
	}
	jsonType struct {
		Name    string `json:"name"`
		Doc     string `json:"doc"`
		Example string `json:"example"`
	}
	jsonMetric struct {
		Name   string `json:"name"`
		Limit  string `json:"limit"`
		Better string `json:"better"`
		Doc    string `json:"doc"`
	}
	jsonPack struct {
		Name    string `json:"name"`
		Default bool   `json:"default"`
		Doc     string `json:"doc"`
	}
	jsonFunction struct {
		Name  string `json:"name"`
		Usage string `json:"usage"`
		Doc   string `json:"doc"`
	}
	jsonDocument struct {
		Name   string      `json:"name"`
		Doc    string      `json:"doc"`
		Fields []jsonField `json:"fields"`
	}
	jsonField struct {
		Path string `json:"path"`
		Type string `json:"type"`
		Doc  string `json:"doc"`
	}
)

// JSONFields says what the fields of the JSON form mean, in their order.
func JSONFields() []Field {
	return []Field{
		{"format_version", "string", "\"1.0\". Fields are only ever added; the second number grows with them."},
		{"files", "list", "The patterns of names that spec files have."},
		{"blocks", "list", "The blocks of the top level."},
		{"blocks[].type", "string", "The word that the block begins with."},
		{"blocks[].doc", "string", "What it is for."},
		{"blocks[].labels", "list", "name, doc and identifier of each label, in order. identifier says that the label has to be one; otherwise it is free text."},
		{"blocks[].min, max", "number", "How often it may stand in its parent. Without max any number of times."},
		{"blocks[].arguments", "list", "The arguments."},
		{"blocks[].free_arguments", "object", "Where the user chooses the names of arguments: what describes each of them."},
		{"blocks[].kinds", "list", "name, doc and arguments of the implementations among which the first label chooses."},
		{"blocks[].blocks", "list", "The blocks inside of it."},
		{"blocks[].example", "string", "A block as it stands in a spec, without those inside of it."},
		{"arguments[].name", "string", "The name."},
		{"arguments[].type", "object", "text is the type for people; base is the name of a type; shape is one, list, one_or_list or object; key is the type of an object's keys; to are the block types that a reference may name."},
		{"arguments[].required", "bool", "Whether it has to be there."},
		{"arguments[].default", "string", "Its value when it is not, as a spec would have it."},
		{"arguments[].keywords", "list", "The bare words that it takes, beside values of its type where that is not keyword."},
		{"arguments[].one_of", "list", "The strings that it takes, where they are a closed set."},
		{"arguments[].doc, example", "string", "What it does, and a value as a spec would have it."},
		{"types", "list", "name, doc and example of the types."},
		{"metrics", "list", "name and doc of the metrics, with the type of their limits, and whether lower or higher is better."},
		{"packs", "list", "name and doc of the scrub packs, and whether each applies where a spec names none."},
		{"functions", "list", "name, usage and doc of the functions."},
		{"documents", "list", "name, doc and fields of what expressions look at."},
		{"diagnostic_codes", "list", "name and doc of the codes that diagnostics have."},
	}
}

func languageOf(codes []Code) jsonLanguage {
	l := jsonLanguage{
		FormatVersion: FormatVersion, Files: []string{"*.audit.hcl", "*.audit.json"}, Blocks: jsonBlocks(root.Blocks, ""),
		Types: []jsonType{}, Metrics: []jsonMetric{}, Packs: []jsonPack{}, Functions: []jsonFunction{}, Documents: []jsonDocument{},
		Codes: append([]Code{}, codes...),
	}
	for _, t := range Types() {
		l.Types = append(l.Types, jsonType{t.Name(), t.Doc, t.Example})
	}
	for _, m := range Metrics() {
		better := "lower"
		if m.MoreIsBetter {
			better = "higher"
		}
		l.Metrics = append(l.Metrics, jsonMetric{m.Name, m.Dimension.LimitOf().String(), better, m.Doc})
	}
	for _, p := range Packs() {
		l.Packs = append(l.Packs, jsonPack(p))
	}
	for _, f := range Functions() {
		l.Functions = append(l.Functions, jsonFunction(f))
	}
	for _, d := range Documents() {
		doc := jsonDocument{d.Name, d.Doc, []jsonField{}}
		for _, f := range d.Fields {
			doc.Fields = append(doc.Fields, jsonField(f))
		}
		l.Documents = append(l.Documents, doc)
	}
	return l
}

func jsonBlocks(blocks []Block, parent string) []jsonBlock {
	out := []jsonBlock{}
	for _, b := range blocks {
		path := strings.TrimPrefix(parent+"."+b.Type, ".")
		j := jsonBlock{
			Type: b.Type, Doc: b.Doc, Labels: []jsonLabel{}, Min: b.Min, Max: b.Max,
			Arguments: jsonArguments(b.Arguments), Blocks: jsonBlocks(b.Blocks, path), Example: ExampleOf(path),
		}
		for _, l := range b.Labels {
			j.Labels = append(j.Labels, jsonLabel{l.Name, l.Doc, !l.Free})
		}
		if b.Free != nil {
			j.Free = &jsonArguments([]Argument{*b.Free})[0]
		}
		for _, k := range b.Kinds {
			j.Kinds = append(j.Kinds, jsonKind{k.Name, k.Doc, jsonArguments(k.Arguments)})
		}
		out = append(out, j)
	}
	return out
}

func jsonArguments(arguments []Argument) []jsonArgument {
	out := []jsonArgument{}
	for _, a := range arguments {
		out = append(out, jsonArgument{
			Name: a.Name, Type: jsonTypeOf(a.Type), Required: a.Required, Default: a.Default,
			Keywords: a.Keywords, OneOf: a.OneOf, Doc: a.Doc, Example: a.Example,
		})
	}
	return out
}

func jsonTypeOf(t Type) jsonTypeExpr {
	shapes := map[Shape]string{One: "one", List: "list", OneOrList: "one_or_list", Object: "object"}
	j := jsonTypeExpr{Text: t.String(), Base: t.Base.String(), Shape: shapes[t.Shape], To: t.To}
	if t.Shape == Object {
		j.Key = t.Key.String()
	}
	return j
}
