package main

import (
	"os/exec"
	"testing"
)

// TestShellWord lets a shell read what the recap offers to be copied.
func TestShellWord(t *testing.T) {
	for _, word := range []string{"plain.hcl", "two words", "it's", "a=$HOME", "", "*", "a\nb", "x;y", "…"} {
		out, err := exec.Command("sh", "-c", "printf %s "+shellWord(word)).Output()
		if err != nil || string(out) != word {
			t.Errorf("%q comes out as %q, %v", word, out, err)
		}
	}
	if got := shellWord("root_password=…"); got != "root_password=…" {
		t.Errorf("quoted for no reason: %s", got)
	}
}
