package view

import "github.com/pmezard/go-difflib/difflib"

// UnifiedDiff is what differs between two texts, with three lines around each place; "" where
// they are equal.
func UnifiedDiff(oldName, newName, before, after string) string {
	text, err := difflib.GetUnifiedDiffString(difflib.UnifiedDiff{A: difflib.SplitLines(before), B: difflib.SplitLines(after),
		FromFile: oldName, ToFile: newName, Context: 3})
	if err != nil { // of the writer only, which is memory
		return ""
	}
	return text
}
