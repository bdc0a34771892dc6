package schema

import "slices"

// Function is one function that expressions may call.
type Function struct {
	Name  string
	Usage string // how it is called: join(separator, list)
	Doc   string // one sentence
}

// Functions lists the functions in alphabetical order. All are pure: the same
// spec, files and variables give the same plan everywhere. There is no way to
// ask for the time, the environment or a random number.
func Functions() []Function { return slices.Clone(functions) }

// FindFunction finds a function by its name.
func FindFunction(name string) (Function, bool) {
	i := slices.IndexFunc(functions, func(f Function) bool { return f.Name == name })
	if i < 0 {
		return Function{}, false
	}
	return functions[i], true
}

// FunctionNames lists the functions in alphabetical order.
func FunctionNames() []string {
	names := make([]string, len(functions))
	for i, f := range functions {
		names[i] = f.Name
	}
	return names
}

var functions = []Function{
	{"abs", "abs(number)", "The number without its sign."},
	{"alltrue", "alltrue(list)", "Whether every element is true; an empty list is."},
	{"anytrue", "anytrue(list)", "Whether at least one element is true."},
	{"base64decode", "base64decode(text)", "The text that a base64 string stands for."},
	{"base64encode", "base64encode(text)", "The text in base64."},
	{"can", "can(expression)", "Whether the expression can be evaluated; with regex, whether a text has a form."},
	{"ceil", "ceil(number)", "The next whole number that is not smaller."},
	{"chomp", "chomp(text)", "The text without the line breaks at its end."},
	{"chunklist", "chunklist(list, size)", "The list in pieces of at most so many elements."},
	{"coalesce", "coalesce(value...)", "The first value that is not null."},
	{"coalescelist", "coalescelist(list...)", "The first list that is not empty."},
	{"compact", "compact(list)", "The list without null and empty strings."},
	{"concat", "concat(list...)", "The lists joined to one."},
	{"contains", "contains(list, value)", "Whether the list has the value."},
	{"csvdecode", "csvdecode(text)", "A list with an object for each line of a CSV text; its first line has the names."},
	{"distinct", "distinct(list)", "The list without repetitions."},
	{"element", "element(list, index)", "The element at a position from 0; past the end it begins again."},
	{"endswith", "endswith(text, end)", "Whether the text ends so."},
	{"file", "file(path)", "The text of a file in the folder of the spec. Its digest becomes part of the result."},
	{"flatten", "flatten(list)", "The list with the elements of lists in it in their place."},
	{"floor", "floor(number)", "The next whole number that is not larger."},
	{"format", "format(form, value...)", "A text made by a form: format(\"%s-%03d\", \"eu\", 7)."},
	{"formatdate", "formatdate(form, time)", "A time in RFC 3339 in another form: formatdate(\"YYYY-MM-DD\", var.start)."},
	{"formatlist", "formatlist(form, list...)", "format for each element of lists."},
	{"indent", "indent(spaces, text)", "The text with spaces before every line but the first."},
	{"join", "join(separator, list)", "The strings of a list as one text."},
	{"jsondecode", "jsondecode(text)", "The value that a JSON text stands for."},
	{"jsonencode", "jsonencode(value)", "The value as JSON."},
	{"keys", "keys(map)", "The keys of a map, sorted."},
	{"length", "length(value)", "How many elements a list, set or map has, or characters a text."},
	{"log", "log(number, base)", "The logarithm."},
	{"lookup", "lookup(map, key, default)", "The value at a key of a map, or else the default."},
	{"lower", "lower(text)", "The text in lower case."},
	{"max", "max(number...)", "The largest of the numbers."},
	{"merge", "merge(map...)", "One map with the keys of all; later ones win."},
	{"min", "min(number...)", "The smallest of the numbers."},
	{"parseint", "parseint(text, base)", "The whole number that a text stands for in a base from 2 to 62."},
	{"pow", "pow(number, exponent)", "The power."},
	{"range", "range(start, limit, step)", "The numbers from start to before limit; start and step may be left out."},
	{"regex", "regex(pattern, text)", "What the pattern (RE2) finds first, or its groups; finding nothing is an error, so put it into can."},
	{"regexall", "regexall(pattern, text)", "A list of everything that the pattern finds."},
	{"replace", "replace(text, from, to)", "The text with every occurrence replaced; a from between slashes is a pattern."},
	{"reverse", "reverse(list)", "The list from its end to its start."},
	{"setintersection", "setintersection(set...)", "What all sets have."},
	{"setsubtract", "setsubtract(set, minus)", "What only the first set has."},
	{"setsymmetricdifference", "setsymmetricdifference(set...)", "What only one of the sets has."},
	{"setunion", "setunion(set...)", "What at least one set has."},
	{"signum", "signum(number)", "-1, 0 or 1, as the number's sign is."},
	{"slice", "slice(list, from, to)", "The elements from one position to before another."},
	{"sort", "sort(list)", "The strings of a list in order."},
	{"split", "split(separator, text)", "A list of the parts of a text."},
	{"startswith", "startswith(text, start)", "Whether the text begins so."},
	{"strlen", "strlen(text)", "How many characters a text has."},
	{"strrev", "strrev(text)", "The text from its end to its start."},
	{"substr", "substr(text, from, length)", "A part of a text; a length of -1 means to its end."},
	{"sum", "sum(list)", "The numbers of a list added up."},
	{"timeadd", "timeadd(time, duration)", "A time in RFC 3339 with a duration such as \"90m\" added."},
	{"title", "title(text)", "The text with a capital at the start of every word."},
	{"tobool", "tobool(value)", "The value as a bool."},
	{"tolist", "tolist(value)", "A set or tuple as a list."},
	{"tomap", "tomap(value)", "An object as a map."},
	{"tonumber", "tonumber(value)", "The value as a number."},
	{"toset", "toset(value)", "A list as a set, without repetitions."},
	{"tostring", "tostring(value)", "The value as a string."},
	{"trim", "trim(text, characters)", "The text without these characters at its ends."},
	{"trimprefix", "trimprefix(text, start)", "The text without a start that it may have."},
	{"trimspace", "trimspace(text)", "The text without white space at its ends."},
	{"trimsuffix", "trimsuffix(text, end)", "The text without an end that it may have."},
	{"try", "try(expression...)", "The first of the expressions that can be evaluated."},
	{"upper", "upper(text)", "The text in upper case."},
	{"values", "values(map)", "The values of a map, in the order of its keys."},
	{"zipmap", "zipmap(keys, values)", "A map of a list of keys and a list of values."},
}
