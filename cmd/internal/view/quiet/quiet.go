// Package quiet keeps bubbletea from asking the terminal for its background colour.
//
// bubbletea asks as it is initialized, in every command of esxiplan: it writes an escape sequence
// to the terminal and waits for seconds for the answer of one that gives none. Nobody needs to
// know: our colours are the terminal's own. Go initializes packages in the order of their import
// paths once what they import is initialized, so this one comes before bubbletea; a test of package
// view checks that.
package quiet

import "github.com/charmbracelet/lipgloss"

func init() { lipgloss.SetHasDarkBackground(true) }
