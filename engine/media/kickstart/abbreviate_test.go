package kickstart

import (
	"strings"
	"testing"
)

// TestAbbreviate: only the functions that are the same everywhere are left out, and a script
// that claims to be ours hides nothing.
func TestAbbreviate(t *testing.T) {
	script := Script{RootHash: Sample, Disk: Disk{Kind: "model", Text: "DELLBOSS VD"}, Pre: "echo hello\n", Network: Network{DHCP: true}}
	text, err := script.Render()
	if err != nil {
		t.Fatal(err)
	}
	short := Abbreviate(string(text))
	for _, want := range []string{"echo hello", "# resolve: model = DELLBOSS VD", "find_disk model 'DELLBOSS VD'", "lines that find a disk, or stop", "install --disk="} {
		if !strings.Contains(short, want) {
			t.Errorf("%q is missing in\n%s", want, short)
		}
	}
	if n := strings.Count(short, "\n"); n > 20 {
		t.Errorf("%d lines remain", n)
	}
	forged := strings.Replace(string(text), "localcli", "localcli2", 1)
	if Abbreviate(forged) != forged {
		t.Error("functions that are not ours are left out")
	}
}
