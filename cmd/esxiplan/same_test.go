package main

import (
	"bytes"
	"fmt"
	"strings"
	"testing"
)

// TestSameTexts: a message that concerns several hosts is written once, and names them or how many
// more there are.
func TestSameTexts(t *testing.T) {
	var texts sameTexts
	texts.add("h0", "refused")
	for n := range mostNamed + 3 {
		texts.add(fmt.Sprint("h", n), "no route")
	}
	texts.add("h9", "refused")
	var out bytes.Buffer
	texts.write(&out)
	lines := strings.Split(out.String(), "\n")
	if len(lines) != 3 || lines[0] != "h0, h9: refused" || !strings.HasPrefix(lines[1], "h0, h1, h2,") || !strings.HasSuffix(lines[1], "h19 and 3 more: no route") {
		t.Errorf("%q", lines)
	}
}
