package schema

import (
	"bytes"
	"cmp"
	"regexp"
	"slices"
	"strings"

	"github.com/hashicorp/hcl/v2"
)

// parseProblems says in words of a plan what is wrong with a source: the first mistake of each
// line, without those that follow from it.
func parseProblems(diags hcl.Diagnostics, source []byte) hcl.Diagnostics {
	if !diags.HasErrors() || len(diags) == 0 || diags[0].Subject == nil {
		return diags
	}
	if d := otherLanguage(diags[0].Subject.Filename, source); d != nil {
		return hcl.Diagnostics{d}
	}
	diags = firstOfLines(diags)
	for i, d := range diags {
		if d.Summary == "Unterminated template string" {
			atHeredoc(d, source)
		}
		if explainSyntax(d, source); d.Summary == "Invalid heredoc" { // its text is taken for arguments
			return diags[:i+1]
		}
	}
	return diags
}

// otherLanguage recognises a file that is no plan at all.
func otherLanguage(name string, source []byte) *hcl.Diagnostic {
	at := hcl.Range{Filename: name, Start: hcl.InitialPos, End: hcl.Pos{Line: 1, Column: 2, Byte: 1}}
	text := bytes.TrimSpace(source)
	switch {
	case bytes.HasPrefix(text, []byte("{")), bytes.HasPrefix(text, []byte("[")):
		return problem(at, "Not a plan", "This is JSON, and plans are written in HCL: plan \"lab\" { … }. Keep tables of machines in a JSON file, and read it with jsondecode(file(\"hosts.json\")).")
	case yamlBegin.Match(text):
		return problem(at, "Not a plan", "This is YAML, and plans are written in HCL: plan \"lab\" { … }. Keep tables of machines in a YAML file, and read it with yamldecode(file(\"hosts.yaml\")).")
	}
	if place := conflictMarker.FindIndex(source); place != nil {
		line := bytes.Count(source[:place[0]], []byte("\n")) + 1
		at.Start = hcl.Pos{Line: line, Column: 1, Byte: place[0]}
		at.End = hcl.Pos{Line: line, Column: 8, Byte: place[0] + 7}
		return problem(at, "Merge conflict", "Git left a conflict in this file. Decide for one side, and remove the lines with <<<<<<<, ======= and >>>>>>>.")
	}
	return nil
}

var (
	yamlBegin      = regexp.MustCompile(`^(---|- |[A-Za-z_]+:[ \r\n])`)
	conflictMarker = regexp.MustCompile(`(?m)^(<{7} |>{7} |={7}\r?$)`)
)

// firstOfLines keeps one problem of each line: what is wrong with a character, else the first.
// After a text without its end, the parser takes the rest of the file for texts.
func firstOfLines(diags hcl.Diagnostics) hcl.Diagnostics {
	byLine := map[int]*hcl.Diagnostic{}
	var out hcl.Diagnostics
	open := false
	for _, d := range diags {
		if d.Subject == nil {
			out = append(out, d)
			continue
		}
		line := d.Subject.Start.Line
		first := byLine[line]
		switch {
		case first == nil && open && endlessText[d.Summary]:
		case first == nil:
			byLine[line] = d
			out = append(out, d)
		case rank(d) < rank(first):
			*first = *d
		}
		open = open || endlessText[d.Summary] || strings.HasPrefix(d.Summary, "Unclosed template") || strings.HasPrefix(d.Summary, "Invalid character")
	}
	if i := slices.IndexFunc(out, func(d *hcl.Diagnostic) bool { return endlessText[d.Summary] }); i >= 0 {
		out = out[:i+1]
	}
	return out
}

// atHeredoc moves a problem from the end of the file to the heredoc whose end is missing.
func atHeredoc(d *hcl.Diagnostic, source []byte) {
	all := heredoc.FindAllIndex(source, -1)
	if len(all) == 0 || d.Subject == nil {
		return
	}
	last := all[len(all)-1]
	line := bytes.Count(source[:last[0]], []byte("\n")) + 1
	column := last[0] - bytes.LastIndexByte(source[:last[0]], '\n')
	d.Subject = &hcl.Range{Filename: d.Subject.Filename, Start: hcl.Pos{Line: line, Column: column, Byte: last[0]},
		End: hcl.Pos{Line: line, Column: column + last[1] - last[0], Byte: last[1]}}
}

var heredoc = regexp.MustCompile(`<<-?[A-Za-z_][A-Za-z0-9_-]*`)

// rank orders problems of a line by what they say about the cause.
func rank(d *hcl.Diagnostic) int {
	switch {
	case d.Summary == "Invalid character":
		return 0
	case endlessText[d.Summary]:
		return 2
	}
	return 1
}

// endlessText are summaries of a text whose end is missing.
var endlessText = map[string]bool{"Invalid multi-line string": true, "Invalid string literal": true, "Unterminated template string": true}

// mistake is a common mistake, and what to do about it.
type mistake struct {
	summary string         // of the parser
	source  *regexp.Regexp // of the source from the place on; nil: any
	now     string         // the summary instead, "": the same
	detail  string         // ${1} is the first group of source
}

var mistakes = []mistake{
	{"Invalid character", regexp.MustCompile(`^[“”„‟″]`), "Typographic quotation mark", "A string is enclosed in straight quotation marks: \"text\". Word processors and chat programs replace them."},
	{"Invalid character", regexp.MustCompile(`^['‘’]`), "Single quotation mark", "A string is enclosed in double quotation marks: \"text\"."},
	{"Invalid character", regexp.MustCompile(`^\$`), "Dollar sign outside of a text", "Refer to a value by its name alone: var.name. Only inside of a text write \"${var.name}\"."},
	{"Invalid character", regexp.MustCompile(`^\\`), "Backslash in a text", "Write a backslash in a text twice: \"C:\\\\folder\"."},
	{"Invalid escape sequence", nil, "Backslash in a text", "Write a backslash in a text twice: \"C:\\\\folder\"."},
	{"Invalid character", regexp.MustCompile(`^;`), "Semicolon", "Remove the semicolon: an argument ends with its line."},
	{"Invalid expression", regexp.MustCompile(`^<<-?[A-Za-z]`), "Invalid heredoc", "After <<EOT the line ends; the text follows on the next lines, and EOT ends it, alone on its line."},
	{"Invalid expression", regexp.MustCompile(`^[\r\n]`), "Missing value", "The value is missing at the end of this line, or its second half."},
	{"Invalid number literal", regexp.MustCompile(`^([0-9.]+)`), "", "This is not a number. Write an address, a version or another text in quotes: \"10.0.0.1\"."},
	{"Missing newline after argument", regexp.MustCompile(`^(and|or|not|if|is)\b`), "Unknown operator", "There is no operator \"${1}\". Write && for and, || for or, ! for not, == for equal, and CONDITION ? A : B for a choice."},
	{"Missing newline after argument", nil, "Unexpected text after a value", "The value ends before this. Write a text in quotes, such as \"00:11:22:33:44:55\" or \"5m\"; the next argument begins on a line of its own."},
	{"Argument or block definition required", regexp.MustCompile(`^}`), "Closing brace too many", "No block is open here. Remove this brace, or look for one too many before it."},
	{"Argument or block definition required", regexp.MustCompile(`^/\*`), "Unclosed comment", "The end of this comment is missing: */."},
	{"Argument or block definition required", regexp.MustCompile(`^[A-Za-z0-9_-]+[ \t]*(==|:=|:)`), "Invalid argument", "Write one equals sign between the name and the value of an argument: name = value."},
	{"Argument or block definition required", regexp.MustCompile(`^[A-Za-z_]+(?: "[^"]*")*[ \t]*\r?\n[ \t]*{`), "Opening brace on the wrong line", "The opening brace of a block must be on the line of its name: name {."},
	{"Argument or block definition required", nil, "Neither argument nor block", "Only arguments (name = value) and blocks (name { … }) are allowed here."},
	{"Invalid single-argument block definition", nil, "Several arguments on one line", "A block on one line has one argument. Write each of several on a line of its own."},
	{"Missing attribute separator", nil, "Missing comma", "A comma or a new line is missing before this key."},
	{"Missing item separator", nil, "Missing comma", "A comma is missing before this, or the closing bracket of the list: ]."},
	{"Unexpected comma after argument", nil, "Comma after an argument", "Remove the comma: an argument ends with its line. Commas are allowed only within lists, objects and calls."},
	{"Unclosed configuration block", nil, "Unclosed block", "The closing brace of this block is missing: }. If it is there, one is missing in a block within it."},
	{"Invalid multi-line string", nil, "Unclosed text", "The closing quotation mark of a text is missing on this line. A text of several lines is written <<EOT, the lines, and EOT alone on its line."},
	{"Unterminated template string", nil, "Unclosed text", "The end of this text is missing: a quotation mark, or for one that begins with <<EOT a line with EOT alone."},
	{"Unclosed template interpolation sequence", nil, "Unclosed reference in a text", "The closing brace is missing: \"${var.name}\". If the text really holds ${, write it with two dollar signs: $${."},
	{"Invalid template directive", nil, "Percent sign and brace in a text", "In a text, %{ begins a directive such as %{ if … }. If the text really holds it, write it with two percent signs: %%{."},
	{"Extraneous label for plan", nil, "Too many names", "A plan block has one name: plan \"lab\" { … }."},
	{"Extraneous label for group", nil, "Too many names", "A group block has one name: group \"lab\" { … }."},
	{"Extraneous label for host", nil, "Too many names", "A host block has one name: host \"esxi-01\" { … }."},
	{"Extraneous label for variable", nil, "Too many names", "A variable block has one name: variable \"root_password\" { … }."},
	{"Extraneous label for image", nil, "Too many names", "An image block has one name: image \"esxi\" { … }."},
	{"Extraneous label for step", nil, "Too many names", "A step block has a type and a name, and no more: step \"power\" \"restart\" { … }."},
	{"Extraneous label for media", nil, "Too many names", "A media block has no name: media { … }."},
	{"Extraneous label for locals", nil, "Too many names", "A locals block has no name: locals { … }."},
	{"Extraneous label for bmc", nil, "Too many names", "A bmc block has no name: bmc { … }."},
	{"Extraneous label for esxi", nil, "Too many names", "An esxi block has no name: esxi { … }."},
	{"Attribute redefined", nil, "Duplicate argument", "This block sets the argument twice. Remove one of the two."},
	{"Missing name for step", nil, "", "A step block has a type and a name: step \"power\" \"restart\" { … }."},
	{"Missing name for group", nil, "", "A group block has a name: group \"lab\" { … }."},
	{"Missing name for host", nil, "", "A host block has a name: host \"esxi-01\" { … }."},
	{"Missing name for plan", nil, "", "A plan block has a name: plan \"lab\" { … }."},
	{"Missing name for variable", nil, "", "A variable block has a name: variable \"root_password\" { … }."},
	{"Missing name for image", nil, "", "An image block has a name: image \"esxi\" { … }."},
}

// explainSyntax replaces the parser's message about a common mistake.
func explainSyntax(d *hcl.Diagnostic, source []byte) {
	var rest []byte
	if d.Subject != nil && d.Subject.Start.Byte < len(source) {
		rest = source[d.Subject.Start.Byte:min(len(source), d.Subject.Start.Byte+200)]
	}
	for _, m := range mistakes {
		if m.summary != d.Summary || m.source != nil && !m.source.Match(rest) {
			continue
		}
		d.Summary, d.Detail = cmp.Or(m.now, d.Summary), m.detail
		if m.source == nil {
			return
		}
		if found := m.source.FindSubmatch(rest); len(found) > 1 {
			d.Detail = strings.ReplaceAll(m.detail, "${1}", string(found[1]))
		}
		return
	}
}
