package view

import (
	"strings"

	"github.com/pmezard/go-difflib/difflib"
)

// UnifiedDiff is what differs between two texts, with three lines around each place; "" where
// they are equal. A line break at the end of a text does not count.
func UnifiedDiff(oldName, newName, before, after string) string {
	text, err := difflib.GetUnifiedDiffString(difflib.UnifiedDiff{A: linesOf(before), B: linesOf(after), FromFile: oldName, ToFile: newName, Context: 3})
	if err != nil { // of the writer only, which is memory
		return ""
	}
	return text
}

func linesOf(text string) []string {
	if text == "" {
		return nil
	}
	return difflib.SplitLines(strings.TrimSuffix(text, "\n"))
}
