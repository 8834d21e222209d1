package text

import (
	"io"
	"strings"
)

// The text of a plan ends in the logs of CI systems, which run commands that they find there.
// The functions below escape it so that it is only shown.

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

// Log is a writer in front of the log of a CI system, which executes lines as commands if they
// begin with two colons, or have ##[ or ##word[ in them (GitHub, Azure Pipelines, TeamCity). It puts
// a blank into them. Nothing is held back.
type Log struct {
	Out io.Writer
	// Commands lets commands through: their writer escapes what is in them, by [Command].
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
