package main

import (
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

// TestFloorPlan: the floor plan in engine/doc.go is what the imports say.
func TestFloorPlan(t *testing.T) {
	name := filepath.Join("..", "..", "engine", "doc.go")
	b, err := os.ReadFile(name)
	if err != nil {
		t.Fatal(err)
	}
	const begins, ends = "// folders of engine/bmc, the steps those of steps.\n//\n", "package engine\n"
	head, _, found := strings.Cut(string(b), begins)
	if !found {
		t.Fatalf("%s has no floor plan", name)
	}
	want := head + begins + floorPlan(rooms(t)) + ends
	if want == string(b) {
		return
	}
	if !*update {
		t.Fatalf("the floor plan in %s is stale: go test -run TestFloorPlan ./cmd/esxiplan -update", name)
	}
	if err := os.WriteFile(name, []byte(want), 0o644); err != nil {
		t.Fatal(err)
	}
}

// rooms are the packages of the house with what each imports; vendors and steps are one
// room each, and test tools are left out.
func rooms(t *testing.T) map[string]map[string]bool {
	out := map[string]map[string]bool{}
	for _, p := range packages(t) {
		name, ok := room(p.ImportPath)
		if !ok {
			continue
		}
		if out[name] == nil {
			out[name] = map[string]bool{}
		}
		for _, i := range p.Imports {
			if other, ok := room(i); ok && other != name {
				out[name][other] = true
			}
		}
	}
	return out
}

// room is where a package stands in the plan.
func room(importPath string) (name string, ok bool) {
	name, ok = strings.CutPrefix(importPath, "esxiplan/")
	switch {
	case !ok, strings.HasPrefix(name, "testdata"), strings.HasSuffix(name, "test"), name == "engine":
		return "", false
	case slices.Contains([]string{"engine/bmc/vendors", "engine/bmc/bmcsim", "steps/all"}, name):
		return name, true
	case strings.HasPrefix(name, "engine/bmc/"):
		return "engine/bmc/*", true
	case strings.HasPrefix(name, "steps/"):
		return "steps/*", true
	case strings.HasPrefix(name, "engine/media/") && name != "engine/media/isosim":
		return "engine/media", true // its own rooms
	}
	return name, true
}

// floorPlan draws the rooms, the highest first.
func floorPlan(rooms map[string]map[string]bool) string {
	level := map[string]int{}
	var height func(string) int
	height = func(name string) int {
		if _, known := level[name]; !known {
			level[name] = 0
			for other := range rooms[name] {
				level[name] = max(level[name], 1+height(other))
			}
		}
		return level[name]
	}
	names := slices.Collect(maps.Keys(rooms))
	slices.SortFunc(names, func(a, b string) int {
		if d := height(b) - height(a); d != 0 {
			return d
		}
		return strings.Compare(a, b)
	})
	var b strings.Builder
	for _, name := range names {
		line := fmt.Sprintf("//\t%d  %-20s  %s", level[name], name, strings.Join(slices.Sorted(maps.Keys(rooms[name])), " "))
		if name == "cmd/esxiplan" {
			line = fmt.Sprintf("//\t%d  %-20s  all", level[name], name)
		}
		b.WriteString(strings.TrimRight(line, " ") + "\n")
	}
	return b.String()
}
