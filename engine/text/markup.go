package text

import (
	"fmt"
	"io"
	"strings"
)

// What stands in a plan ends in the comments of a pull request and in the logs of CI systems,
// which act on what they find there: they notify whoever is mentioned, follow images, run
// commands. What follows writes it so that it is only shown.

// active are the characters by which Markdown, HTML and the filters of GitHub and GitLab
// begin anything: emphasis, links, references, mentions, math, columns of tables.
const active = "\\`*_[]{}<>&#|~$:@!^\"'=%"

// Markdown writes a text of one line as inline code for GitHub and GitLab: in a paragraph, in
// a cell of a table, or in a summary. An HTML element with entities is the one form that holds
// in all of them: entities begin nothing, and no filter looks for mentions in code.
func Markdown(s string) string {
	s = strings.TrimSpace(Clean(s))
	if s == "" {
		return ""
	}
	var b strings.Builder
	b.WriteString("<code>")
	for i, r := range s {
		if strings.ContainsRune(active, r) || r == '.' && strings.HasSuffix(strings.ToLower(s[:i]), "www") {
			fmt.Fprintf(&b, "&#%d;", r)
		} else {
			b.WriteRune(r)
		}
	}
	b.WriteString("</code>")
	return b.String()
}

// Fence writes a text of several lines as a block of code, such as a diff; language is its
// name for colours, or "".
func Fence(language, s string) string {
	s = strings.TrimRight(Lines(s), "\n")
	longest, run := 2, 0
	for _, r := range s {
		if run++; r != '`' {
			run = 0
		}
		longest = max(longest, run)
	}
	fence := strings.Repeat("`", longest+1)
	return fence + language + "\n" + s + "\n" + fence + "\n"
}

// Command writes a workflow command of GitHub, such as an annotation, with properties in pairs
// of name and value; those without a value are left out.
func Command(name, message string, properties ...string) string {
	var given []string
	for i := 0; i+1 < len(properties); i += 2 {
		if properties[i+1] != "" {
			given = append(given, properties[i]+"="+inProperty.Replace(Clean(properties[i+1])))
		}
	}
	return strings.TrimRight("::"+name+" "+strings.Join(given, ","), " ") + "::" + inMessage.Replace(Lines(message))
}

var (
	inMessage  = strings.NewReplacer("%", "%25", "\r", "%0D", "\n", "%0A")
	inProperty = strings.NewReplacer("%", "%25", "\r", "%0D", "\n", "%0A", ":", "%3A", ",", "%2C")
)

// LogLines writes lines for the log of a CI system so that none of them is a command: see [Log].
func LogLines(s string) string {
	var b strings.Builder
	(&Log{Out: &b}).Write([]byte(s))
	return b.String()
}

// Log is a writer in front of the log of a CI system, which takes lines for commands that begin
// with two colons, or have ##[ or ##word[ in them (GitHub, Azure Pipelines, TeamCity). It puts
// a blank into them. Nothing is held back.
type Log struct {
	Out io.Writer
	// Commands lets commands through: who writes them escapes what is in them, by [Command].
	Commands bool

	begun bool // something was shown in this line
	colon bool // and it is one colon at the beginning
	hash  int  // 1: a hash was the last character; 2: two of them, and letters maybe
}

// Write implements [io.Writer].
func (l *Log) Write(p []byte) (int, error) {
	if l.Commands {
		return l.Out.Write(p)
	}
	written := 0
	for i, c := range p {
		if !l.completes(c) {
			continue
		}
		n, err := l.Out.Write(p[written:i])
		if written += n; err != nil {
			return written, err
		}
		if _, err := l.Out.Write([]byte(" ")); err != nil {
			return written, err
		}
	}
	n, err := l.Out.Write(p[written:])
	return written + n, err
}

// completes takes in the next byte, and reports whether it makes a command. Whatever is no
// ASCII may be a blank, which is not looked at.
func (l *Log) completes(c byte) bool {
	command := l.colon && c == ':' || l.hash == 2 && c == '['
	letter := c >= 'a' && c <= 'z' || c >= 'A' && c <= 'Z'
	switch {
	case c == '#':
		l.hash = min(2, l.hash+1)
	case l.hash < 2 || !letter:
		l.hash = 0
	}
	switch {
	case c == '\n' || c == '\r':
		l.begun, l.colon = false, false
	case c > ' ' && c < 0x7f:
		l.colon = !l.begun && c == ':'
		l.begun = true
	default:
		l.colon = false
	}
	return command
}
