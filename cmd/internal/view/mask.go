package view

import (
	"bytes"
	"regexp"
	"strings"
	"unicode/utf8"

	"github.com/hashicorp/hcl/v2"
	"github.com/hashicorp/hcl/v2/hclsyntax"
)

var (
	// secretName matches names of arguments, variables and keys whose value is a secret.
	secretName = regexp.MustCompile(`(?i)(pas+w|passphrase|secret|token|credential|licen[sc]e_?key|(^|_)pw)`)

	notifyBlock    = regexp.MustCompile(`(?m)^[ \t]*notify[ \t]+"[^"\n]*"[ \t]*\{`)
	secretVariable = regexp.MustCompile(`(?m)^[ \t]*variable[ \t]+"([^"\n]*)"[ \t]*\{`)
	sensitiveTrue  = regexp.MustCompile(`(?m)\bsensitive[ \t]*=[ \t]*true\b`)
	heredocBegin   = regexp.MustCompile(`(?m)^([^\n]*)<<[-~]?([A-Za-z_][A-Za-z0-9_-]*)[ \t\r]*$`)
)

// nameArguments are arguments of functions that name something, by position: a variable of
// the environment, a file, a key.
var nameArguments = map[string]int{"env": 0, "file": 0, "templatefile": 0, "lookup": 1}

// surroundings is how many bytes around a line are looked at for the block that it is in.
const surroundings = 4 << 10

// maskLine keeps the shape of a line that gives a secret, and the names in it, but not its
// values: a plan with a password in it should not be shown to a build log.
func maskLine(line string, source []byte, at hcl.Pos) string {
	begin := bytes.LastIndexByte(source[:at.Byte], '\n') + 1
	before, after := source[max(0, begin-surroundings):begin], source[begin:min(len(source), begin+surroundings)]
	if inSecretHeredoc(before) {
		return strings.Repeat("*", utf8.RuneCountInString(line))
	}
	tokens, _ := hclsyntax.LexConfig([]byte(line), "", hcl.InitialPos)
	until := source[max(0, begin-surroundings):min(len(source), begin+len(line))]
	m := masker{line: line, tokens: tokens, frames: []frame{{}}, defaults: inSecretVariable(until, after), hook: inNotify(until)}
	for i := range tokens {
		m.token(i)
	}
	return m.out.String() + line[m.done:]
}

// inSecretHeredoc reports whether a line belongs to a text of several lines that is a secret.
func inSecretHeredoc(before []byte) bool {
	begins := heredocBegin.FindAllSubmatchIndex(before, -1)
	if len(begins) == 0 {
		return false
	}
	last := begins[len(begins)-1]
	name, _, _ := bytes.Cut(before[last[2]:last[3]], []byte("="))
	end := regexp.MustCompile(`(?m)^[ \t]*` + string(before[last[4]:last[5]]) + `[ \t\r]*$`)
	return secretName.Match(name) && !end.Match(before[last[1]:])
}

// inSecretVariable reports whether a line belongs to a variable whose default is a secret.
// text ends with the line, and after begins with it.
func inSecretVariable(text, after []byte) bool {
	begins := secretVariable.FindAllSubmatchIndex(text, -1)
	if len(begins) == 0 {
		return false
	}
	last := begins[len(begins)-1]
	if bytes.Contains(text[last[1]:], []byte("\n}")) {
		return false
	}
	rest, _, _ := bytes.Cut(after, []byte("\n}"))
	return secretName.Match(text[last[2]:last[3]]) || sensitiveTrue.Match(text[last[1]:]) || sensitiveTrue.Match(rest)
}

// inNotify reports whether a line, with which text ends, belongs to a notify block: its URL and
// headers let whoever knows them send.
func inNotify(text []byte) bool {
	begins := notifyBlock.FindAllIndex(text, -1)
	return len(begins) > 0 && !bytes.Contains(text[begins[len(begins)-1][1]:], []byte("\n}"))
}

// masker copies a line, and masks values on its way.
type masker struct {
	line     string
	tokens   hclsyntax.Tokens
	frames   []frame // brackets that are open
	defaults bool    // "default" gives a secret
	hook     bool    // "url" and "headers" do
	out      strings.Builder
	done     int // bytes of the line that were copied
}

// frame is what a bracket holds.
type frame struct {
	inherited bool // what is in it is a secret, whatever its name
	secret    bool // so is the value that is being read
	index     bool // a key of a collection
	function  string
	argument  int
}

func (m *masker) token(i int) {
	t, top := m.tokens[i], &m.frames[len(m.frames)-1]
	switch t.Type {
	case hclsyntax.TokenEqual, hclsyntax.TokenColon:
		if name, ok := m.nameBefore(i); ok {
			top.secret = top.inherited || m.isSecret(name)
		}
	case hclsyntax.TokenComma:
		if top.argument++; top.function == "" {
			top.secret = top.inherited
		}
	case hclsyntax.TokenOBrack:
		m.open(frame{inherited: top.secret, secret: top.secret, index: m.operandBefore(i)})
	case hclsyntax.TokenOBrace, hclsyntax.TokenTemplateInterp, hclsyntax.TokenTemplateControl:
		m.open(frame{inherited: top.secret, secret: top.secret})
	case hclsyntax.TokenOParen:
		f := frame{inherited: top.secret, secret: top.secret}
		if i > 0 && m.tokens[i-1].Type == hclsyntax.TokenIdent {
			f.function = string(m.tokens[i-1].Bytes)
		}
		m.open(f)
	case hclsyntax.TokenCBrace, hclsyntax.TokenCBrack, hclsyntax.TokenCParen, hclsyntax.TokenTemplateSeqEnd:
		m.frames = m.frames[:max(1, len(m.frames)-1)]
	case hclsyntax.TokenQuotedLit, hclsyntax.TokenStringLit, hclsyntax.TokenNumberLit:
		if top.secret && !top.index && !top.names() && !m.isKey(i) {
			m.hide(t.Range)
		}
	case hclsyntax.TokenIdent:
		if top.secret && m.misquoted(i) {
			m.hide(t.Range)
		}
	}
}

// isSecret reports whether the value of an argument, variable or key is a secret.
func (m *masker) isSecret(name string) bool {
	return secretName.MatchString(name) || m.defaults && name == "default" || m.hook && (name == "url" || name == "headers")
}

func (m *masker) open(f frame) { m.frames = append(m.frames, f) }

// names reports whether the argument of a function is a name.
func (f frame) names() bool {
	n, ok := nameArguments[f.function]
	return ok && n == f.argument
}

func (m *masker) hide(r hcl.Range) {
	m.out.WriteString(m.line[m.done:r.Start.Byte])
	m.out.WriteString(strings.Repeat("*", utf8.RuneCountInString(m.line[r.Start.Byte:r.End.Byte])))
	m.done = r.End.Byte
}

// nameBefore is the name before an equals sign, or before a colon within an object.
func (m *masker) nameBefore(i int) (string, bool) {
	switch {
	case i >= 1 && m.tokens[i-1].Type == hclsyntax.TokenIdent && (m.tokens[i].Type == hclsyntax.TokenEqual || m.beginsKey(i-2)):
		return string(m.tokens[i-1].Bytes), true
	case i >= 3 && m.tokens[i-1].Type == hclsyntax.TokenCQuote && m.tokens[i-2].Type == hclsyntax.TokenQuotedLit &&
		(m.tokens[i].Type == hclsyntax.TokenEqual || m.beginsKey(i-4)):
		return string(m.tokens[i-2].Bytes), true
	}
	return "", m.tokens[i].Type == hclsyntax.TokenEqual
}

// beginsKey reports whether a key of an object follows a token.
func (m *masker) beginsKey(i int) bool {
	return i < 0 || m.tokens[i].Type == hclsyntax.TokenOBrace || m.tokens[i].Type == hclsyntax.TokenComma
}

// isKey reports whether a text is a key of an object.
func (m *masker) isKey(i int) bool {
	if i+2 >= len(m.tokens) || m.tokens[i+1].Type != hclsyntax.TokenCQuote {
		return false
	}
	next := m.tokens[i+2].Type
	return next == hclsyntax.TokenEqual || next == hclsyntax.TokenColon && m.beginsKey(i-2)
}

// operandBefore reports whether a bracket follows what it is an index of.
func (m *masker) operandBefore(i int) bool {
	if i == 0 {
		return false
	}
	switch m.tokens[i-1].Type {
	case hclsyntax.TokenIdent, hclsyntax.TokenCBrack, hclsyntax.TokenCParen:
		return true
	}
	return false
}

// misquoted reports whether a word stands between quotation marks that are none in a plan.
func (m *masker) misquoted(i int) bool {
	wrong := func(i int) bool {
		if i < 0 || i >= len(m.tokens) {
			return false
		}
		t := m.tokens[i].Type
		return t == hclsyntax.TokenInvalid || t == hclsyntax.TokenApostrophe || t == hclsyntax.TokenBacktick
	}
	return wrong(i-1) || wrong(i+1)
}
