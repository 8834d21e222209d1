package main

import (
	"bytes"
	"path/filepath"
	"strings"
	"testing"

	"github.com/charmbracelet/x/ansi"

	"esxiplan/cmd/internal/view"
)

// found are the rows of discover for two machines, as wide as real ones are.
func foundRows() []listRow {
	return []listRow{
		{{"host", "dell-1"}, {"vendor", "dell"}, {"model", "PowerEdge R750"}, {"serial", "E67D79C"}, {"power", "On"}, {"boot", "UEFI Secure Boot"}, {"media", "3 (1 mounted)"},
			{"disks", "2 (DELLBOSS VD)"}, {"nics", "1 (1 up)"}, {"bmc", "15G Monolithic 7.10.30.00"}},
		{{"host", "lenovo-1"}, {"vendor", "lenovo"}, {"model", "ThinkSystem SR670 V2"}, {"serial", "935385F"}, {"power", "On"}, {"boot", "UEFI"}, {"media", "4"},
			{"disks", "2 (ThinkSystem M.2)"}, {"nics", "2 (2 up)"}, {"bmc", "Lenovo XClarity Controller TGBT42S 2.83 2023-07-05"}},
	}
}

func lookedAt() []hostStatus {
	return []hostStatus{
		{Host: "dell-1", Power: "On", Post: "OSRunning", Boot: "none", ESXi: "8.0.3 build 24022510", Media: "1: http://203.0.113.1/iso/3f0c1b7a9d2e4f5a/dell-1.iso"},
		{Host: "dell-2", Power: "?", Boot: "?", ESXi: "silent", Media: "?", Problem: "GET /redfish/v1/: the BMC closed the connection without an answer (EOF). Check that the address is right, that the BMC is up, and that this machine may reach it."},
		{Host: "hpe-1", Power: "Off", Post: "PowerOff", Boot: "none", ESXi: "silent", Media: "empty"},
	}
}

// TestFoldedTables: at every width all that a table holds is on the screen, whole.
func TestFoldedTables(t *testing.T) {
	a := newApp(nil, &view.Streams{})
	for name, rows := range map[string][]listRow{"discover": foundRows(), "status": statusRows(lookedAt())} {
		for _, width := range []int{40, 80, 100, 120, 200, 0} {
			text := ""
			for _, lines := range a.folded(rows, width) {
				text += strings.Join(lines, "\n") + "\n"
			}
			for _, row := range rows {
				for _, cell := range row {
					for word := range strings.FieldsSeq(cell[1]) {
						if ansi.StringWidth(word) <= width-leastWrapped && !strings.Contains(text, word) {
							t.Errorf("%s at %d: %q of %s is missing:\n%s", name, width, word, cell[0], text)
						}
					}
				}
			}
			for line := range strings.SplitSeq(text, "\n") {
				if width > 0 && ansi.StringWidth(line) > width {
					t.Errorf("%s at %d: %q is wider", name, width, line)
				}
			}
		}
	}
}

// TestFoldedScreens shows the tables at the widths that people have.
func TestFoldedScreens(t *testing.T) {
	a := newApp(nil, &view.Streams{})
	var out bytes.Buffer
	a.streams.Out = &out
	for _, width := range []int{80, 120, 200} {
		a.streams.OutWidth = width
		for _, rows := range [][]listRow{foundRows(), statusRows(lookedAt())} {
			out.WriteString(strings.Repeat("-", width) + "\n")
			a.printFolded(rows)
		}
	}
	compare(t, filepath.Join("..", "..", "testdata", "screens", "tables.txt"), out.Bytes())
}

// TestStatusScreen: where a terminal has no room for all hosts, those with a problem come first, the
// others are counted, and there is never more than fits.
func TestStatusScreen(t *testing.T) {
	s := &statusRun{app: newApp(nil, &view.Streams{})}
	for height := 1; height < 16; height++ {
		lines := s.screen(lookedAt(), 80, height)
		if len(lines) >= max(height, 2) {
			t.Errorf("%d lines on a terminal of %d:\n%s", len(lines), height, strings.Join(lines, "\n"))
		}
	}
	for width := -1; width < 40; width++ { // sizes that a terminal reports while it starts
		for height := -1; height < 4; height++ {
			s.screen(lookedAt(), width, height)
			s.screen(nil, width, height)
		}
	}
	text := strings.Join(s.screen(lookedAt(), 80, 10), "\n")
	if first, last := strings.Index(text, "dell-2"), strings.Index(text, "and 2 more hosts; --limit chooses"); first < 0 || last < first || strings.Contains(text, "hpe-1") {
		t.Errorf("the host with a problem is not the first:\n%s", text)
	}
	if text := strings.Join(s.screen(lookedAt(), 120, 24), "\n"); strings.Index(text, "dell-1") > strings.Index(text, "dell-2") {
		t.Errorf("the order of the plan is lost:\n%s", text)
	}
}

// TestErased: a terminal that cannot erase gets no escape sequence: its tables stand below each other.
func TestErased(t *testing.T) {
	for kind, want := range map[string]string{"xterm-256color": "\x1b[2A\x1b[J", "dumb": "", "": ""} {
		t.Setenv("TERM", kind)
		if got := erased([]string{"host", "a"}, 80); got != want {
			t.Errorf("TERM=%s: %q, want %q", kind, got, want)
		}
		if got := erased(nil, 80); got != "" {
			t.Errorf("TERM=%s: nothing is erased with %q", kind, got)
		}
	}
}

// TestLinesTaken: a line takes several on a terminal that has become narrower.
func TestLinesTaken(t *testing.T) {
	lines := []string{strings.Repeat("x", 79), "", "short"}
	for width, want := range map[int]int{80: 3, 79: 3, 40: 4, 20: 6} {
		if got := linesTaken(lines, width); got != want {
			t.Errorf("at %d: %d, want %d", width, got, want)
		}
	}
}
