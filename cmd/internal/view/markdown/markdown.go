// Package markdown writes values into Markdown so that none of them is markup, whatever it is:
// not in Markdown, not in HTML, and not in the dialects of code hosts, in which names mention
// people and numbers refer to issues.
package markdown

import (
	"regexp"
	"strings"

	"esxiplan/engine/text"
)

// longestValue is how many characters of a value Markdown shows.
const longestValue = 400

// entities stand for what is markup in Markdown, HTML or the dialects of code hosts.
var entities = strings.NewReplacer("&", "&amp;", "<", "&lt;", ">", "&gt;", `"`, "&quot;", "'", "&#39;", "|", "&#124;", "`", "&#96;", "*", "&#42;", "_", "&#95;",
	"[", "&#91;", "]", "&#93;", "\\", "&#92;", "~", "&#126;", "@", "&#64;", "!", "&#33;", "#", "&#35;", "$", "&#36;", "://", "&#58;//", "www.", "www&#46;", "WWW.", "WWW&#46;")

// Code is a value as code in Markdown, HTML and tables: one line, without markup, and within
// an element in which code hosts look for no mention, reference or link.
func Code(value string) string {
	shown := strings.TrimSpace(text.Short(value, longestValue))
	if shown == "" {
		return "<code>&#32;</code>"
	}
	return "<code>" + entities.Replace(shown) + "</code>"
}

// harmless is a value that is no markup anywhere: names, serial numbers, IPv4 addresses.
var harmless = regexp.MustCompile(`^[A-Za-z0-9]+([.-][A-Za-z0-9]+)*$`)

// Cell is a value in a table or a list, where code would be too long and too loud.
func Cell(value string) string {
	switch {
	case value == "":
		return ""
	case len(value) <= longestValue && harmless.MatchString(value) && !strings.HasPrefix(strings.ToLower(value), "www."):
		return value
	}
	return Code(value)
}

// Fence is a block of code that its text cannot end.
func Fence(language, code string) string {
	code = strings.TrimSuffix(text.Lines(code), "\n")
	longest, run := 2, 0
	for _, r := range code {
		if run++; r != '`' {
			run = 0
		}
		longest = max(longest, run)
	}
	ticks := strings.Repeat("`", longest+1)
	return ticks + language + "\n" + code + "\n" + ticks + "\n"
}

// Comment is a name for an HTML comment: only letters, digits, single dashes, dots, underscores
// and blanks stay, and the same name gives the same comment.
func Comment(name string) string {
	var b strings.Builder
	var last byte
	for i := range len(name) {
		c := name[i]
		plain := c >= '0' && c <= '9' || c >= 'a' && c <= 'z' || c >= 'A' && c <= 'Z' || c == '.' || c == '_' || c == '-' && last != '-' && i > 0 || c == ' ' && last != ' ' && i > 0
		if plain {
			b.WriteByte(c)
		} else {
			b.WriteString("%" + strings.ToUpper(string("0123456789abcdef"[c>>4])+string("0123456789abcdef"[c&15])))
		}
		if last = c; b.Len() > 200 {
			break
		}
	}
	return strings.TrimRight(b.String(), " -")
}

// Row is a row of a table, of cells that [Cell] or [Code] wrote.
func Row(cells ...string) string { return "|" + strings.Join(cells, "|") + "|\n" }
