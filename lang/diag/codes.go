package diag

// Code is the stable name of a kind of diagnostic. A code never changes its
// meaning; new ones are added.
type Code string

// The codes, in the order in which a spec is read.
const (
	UnreadableFile Code = "unreadable-file"
	FileTooLarge   Code = "file-too-large"
	TooDeep        Code = "nested-too-deep"

	Syntax         Code = "syntax"
	UnclosedBlock  Code = "unclosed-block"
	UnclosedString Code = "unclosed-string"
	OneLineBlock   Code = "one-line-block"
	BadEscape      Code = "bad-escape"
	Duplicate      Code = "duplicate-argument"

	BadVersion         Code = "bad-version-constraint"
	UnsupportedVersion Code = "unsupported-version"

	UnknownBlock    Code = "unknown-block"
	UnknownArgument Code = "unknown-argument"
	UnknownKind     Code = "unknown-kind"
	MissingArgument Code = "missing-argument"
	MissingGate     Code = "missing-gate"
	MissingAudit    Code = "missing-audit"
	RepeatedBlock   Code = "repeated-block"
	BadLabels       Code = "bad-labels"
	BadName         Code = "bad-name"
	DuplicateName   Code = "duplicate-name"

	UnknownVariable      Code = "unknown-variable"
	UndeclaredVariable   Code = "undeclared-variable"
	MissingVariableValue Code = "missing-variable-value"
	BadVariableType      Code = "bad-variable-type"
	BadVariableValue     Code = "bad-variable-value"
	VariableNotAllowed   Code = "variable-not-allowed"
	BadValuesFile        Code = "bad-values-file"
	ValidationFailed     Code = "validation-failed"
	BadCondition         Code = "bad-condition"
	Cycle                Code = "cycle"
	BadImport            Code = "bad-import"
	BadForEach           Code = "bad-for-each"
	UnknownFunction      Code = "unknown-function"
	BadExpression        Code = "bad-expression"

	WrongType      Code = "wrong-type"
	BadValue       Code = "bad-value"
	BadDuration    Code = "bad-duration"
	BadSize        Code = "bad-size"
	BadRate        Code = "bad-rate"
	BadShare       Code = "bad-share"
	BadLimit       Code = "bad-limit"
	BadURL         Code = "bad-url"
	DuplicateKey   Code = "duplicate-key"
	UnknownKeyword Code = "unknown-keyword"

	NeedsReference   Code = "needs-reference"
	UnknownReference Code = "unknown-reference"
	UnknownMetric    Code = "unknown-metric"
	UnknownCohort    Code = "unknown-cohort"

	JQSyntax     Code = "jq-syntax"
	JQNotLiteral Code = "jq-not-literal"
	JQRoot       Code = "jq-root"

	MissingReason     Code = "missing-reason"
	SelectsNothing    Code = "selects-nothing"
	ArgumentConflict  Code = "argument-conflict"
	MissingLimit      Code = "missing-limit"
	LimitOrder        Code = "limit-order"
	LimitDirection    Code = "limit-direction"
	SameTarget        Code = "same-target"
	WholeResponse     Code = "whole-response"
	Unused            Code = "unused"
	SensitiveShown    Code = "sensitive-shown"
	ReservedHeader    Code = "reserved-header"
	DuplicateEndpoint Code = "duplicate-endpoint"
)

// CodeInfo explains a code in one or two sentences.
type CodeInfo struct {
	Code Code
	Doc  string
}

// Codes lists every code in the order in which a spec is read.
func Codes() []CodeInfo {
	return []CodeInfo{
		{UnreadableFile, "The spec file cannot be read."},
		{FileTooLarge, "The spec file is larger than any spec has reason to be."},
		{TooDeep, "Brackets or operators are nested deeper than the parser can safely follow."},
		{Syntax, "The text is not HCL, or not JSON in a .json file."},
		{UnclosedBlock, "A block has no closing brace."},
		{UnclosedString, "A quoted string does not end on its line, or a heredoc has no end marker."},
		{OneLineBlock, "A block on one line may hold one argument and no blocks."},
		{BadEscape, "A backslash in a quoted string begins no escape sequence that HCL knows."},
		{Duplicate, "An argument is set twice in one block."},
		{BadVersion, "required_version is not a version constraint."},
		{UnsupportedVersion, "The spec asks for another version of shadowaudit."},
		{UnknownBlock, "There is no such block at this place."},
		{UnknownArgument, "The block has no such argument."},
		{UnknownKind, "There is no source of that kind."},
		{MissingArgument, "A required argument is missing."},
		{MissingGate, "An audit without a gate could not decide anything."},
		{MissingAudit, "A spec without an audit would do nothing."},
		{RepeatedBlock, "A block that may stand once stands twice."},
		{BadLabels, "A block has too few or too many labels."},
		{BadName, "A name is not an identifier, or is empty."},
		{DuplicateName, "Two blocks of one type share a name."},
		{UnknownVariable, "The spec declares no such variable."},
		{UndeclaredVariable, "--var or a values file sets a variable that the spec does not declare."},
		{MissingVariableValue, "A variable has no default, and nothing gives it a value."},
		{BadVariableType, "The type of a variable is not a type."},
		{BadVariableValue, "A default or a given value does not fit the variable's type."},
		{VariableNotAllowed, "A variable stands where only a fixed value can."},
		{BadValuesFile, "A values file holds something else than NAME = VALUE."},
		{ValidationFailed, "The value of a variable does not meet a condition of its validation."},
		{BadCondition, "A condition looks at nothing that it could judge, or its message is no sentence."},
		{Cycle, "Locals or imports need each other."},
		{BadImport, "An import names a file that it cannot have, or passes what the file does not take."},
		{BadForEach, "for_each is not over a list or set of strings or a map, or each stands outside of it."},
		{UnknownFunction, "There is no such function."},
		{BadExpression, "An expression cannot be evaluated."},
		{WrongType, "A value has another type than its argument."},
		{BadValue, "A value is out of range or has the wrong form."},
		{BadDuration, "A duration is not of the form \"250ms\"."},
		{BadSize, "A size is not of the form \"8MiB\"."},
		{BadRate, "A rate is not of the form \"500/s\"."},
		{BadShare, "A share is not of the form \"0.1%\"."},
		{BadLimit, "A limit does not fit the gate's metric."},
		{BadURL, "A target's URL is not an absolute http or https URL."},
		{DuplicateKey, "A key stands twice in one object."},
		{UnknownKeyword, "The argument takes one of a few bare words, and this is none of them."},
		{NeedsReference, "The argument takes a reference such as target.stable."},
		{UnknownReference, "A reference names nothing that the spec declares."},
		{UnknownMetric, "There is no such metric."},
		{UnknownCohort, "A gate is split by a cohort that its audit does not declare."},
		{JQSyntax, "A jq program does not compile."},
		{JQNotLiteral, "jq must be a literal string, so that mistakes in it can be underlined."},
		{JQRoot, "A jq path begins with a key that the document never has."},
		{MissingReason, "scrub = none needs a scrub_reason."},
		{SelectsNothing, "A filter can never let anything through."},
		{ArgumentConflict, "Arguments of one block contradict or miss each other."},
		{MissingLimit, "A gate without a limit could not fail."},
		{LimitOrder, "A gate's max is below its min."},
		{LimitDirection, "A limit points in the direction in which the metric gets better."},
		{SameTarget, "Baseline and candidate are the same target: an A/A run."},
		{WholeResponse, "A compare rule covers the whole response."},
		{Unused, "A block is declared and never used."},
		{SensitiveShown, "A sensitive variable stands in an argument that reports show."},
		{ReservedHeader, "A header is managed by the client and cannot be set."},
		{DuplicateEndpoint, "An endpoint template stands twice."},
	}
}
