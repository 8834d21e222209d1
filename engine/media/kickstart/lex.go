package kickstart

import (
	"fmt"
	"strings"
	"unicode/utf8"
)

// word is a part of a line, as the installer's lexer cuts it.
type word struct {
	text   string
	column int // of its first byte, from 1
}

// lexed is a line cut into words.
type lexed struct {
	words   []word
	comment int    // column of a comment inside of a word, 0 for none
	problem string // why the installer cannot read the line at all
	column  int    // where
	end     int    // bytes before the comment, or all
}

// backslash is the problem of a line that is meant to continue.
const backslash = "a backslash at the end of the line"

// lex cuts a line as the installer does: like a shell with comments, in which a #
// starts one even inside of a word. Nothing is expanded.
func lex(line string) lexed {
	out := lexed{end: len(line)}
	var text strings.Builder
	start := -1
	end := func() {
		if start >= 0 {
			out.words = append(out.words, word{text.String(), start + 1})
		}
		text.Reset()
		start = -1
	}
	begin := func(i int) {
		if start < 0 {
			start = i
		}
	}
	for i := 0; i < len(line); i++ {
		switch c := line[i]; c {
		case ' ', '\t', '\r':
			end()
		case '#':
			if start >= 0 {
				out.comment = i + 1
			}
			out.end = i
			end()
			return out
		case '\'', '"':
			begin(i)
			n := closing(line[i+1:], c, &text)
			if n < 0 {
				out.problem, out.column = "a quotation that is not closed", i+1
				return out
			}
			i += n
		case '\\':
			if strings.TrimSpace(line[i+1:]) == "" {
				end()
				out.problem, out.column = backslash, i+1
				return out
			}
			begin(i)
			i++
			text.WriteByte(line[i])
		default:
			begin(i)
			text.WriteByte(c)
		}
	}
	end()
	return out
}

// control finds the first control character of a line other than a tab, and a CR that no
// LF follows: whether it ends a line depends on the reader. ended says that an LF follows
// the line. The column is 0 without one.
func control(line string, ended bool) (column int, what string) {
	if ended {
		line = strings.TrimSuffix(line, "\r")
	}
	for i, r := range line {
		if r == utf8.RuneError && line[i] == 0x85 { // a line's end in Latin-1
			r = 0x85
		}
		switch {
		case r == '\t':
		case r == '\r':
			return i + 1, "a carriage return without a line feed"
		case r < ' ', r >= 0x7f && r < 0xa0, r == '\u2028', r == '\u2029':
			return i + 1, fmt.Sprintf("the control character %U", r)
		}
	}
	return 0, ""
}

// closing reads up to the closing quote and returns how many bytes that took, -1
// without one. In double quotes a backslash protects a quote and itself.
func closing(rest string, quote byte, into *strings.Builder) int {
	for i := 0; i < len(rest); i++ {
		switch {
		case rest[i] == quote:
			return i + 1
		case quote == '"' && rest[i] == '\\' && i+1 < len(rest) && strings.IndexByte("\"\\", rest[i+1]) >= 0:
			i++
		}
		into.WriteByte(rest[i])
	}
	return -1
}

// sectionWords open a section, or end one, when a line starts with them.
var sectionWords = []string{"%pre", "%post", "%firstboot", "%include", "include", "%packages", "%vmlicense_text"}

// opens returns the section's word that a line starts with, or "".
func opens(line string) string {
	if line == "" || line[0] != '%' && line[0] != 'i' {
		return ""
	}
	for _, w := range sectionWords {
		if strings.HasPrefix(line, w) {
			return w
		}
	}
	return ""
}
