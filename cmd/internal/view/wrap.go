package view

import (
	"strings"

	"github.com/charmbracelet/x/ansi"
)

// wrap breaks lines between words where they exceed width, in columns. A longer word keeps
// a line of its own: URLs, host names and flags stay whole, so that they can be copied.
func wrap(text string, width int) string {
	var lines []string
	for line := range strings.SplitSeq(text, "\n") {
		words := strings.Split(line, " ")
		now := words[0]
		for _, word := range words[1:] {
			if strings.TrimSpace(now) != "" && ansi.StringWidth(now)+1+ansi.StringWidth(word) > width {
				lines, now = append(lines, now), word
				continue
			}
			now += " " + word
		}
		lines = append(lines, now)
	}
	return strings.Join(lines, "\n")
}

// packed joins parts with commas, in lines of at most width columns that break between parts only.
func packed(parts []string, width int) []string {
	var lines []string
	for i, part := range parts {
		if i < len(parts)-1 {
			part += ","
		}
		if last := len(lines) - 1; last >= 0 && ansi.StringWidth(lines[last])+1+ansi.StringWidth(part) <= width {
			lines[last] += " " + part
		} else {
			lines = append(lines, part)
		}
	}
	return lines
}
