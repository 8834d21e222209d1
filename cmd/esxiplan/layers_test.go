package main

import (
	"bytes"
	"encoding/json"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"esxiplan/engine/bmc/bmcsim"
	"esxiplan/engine/bmc/vendors"
	"esxiplan/engine/step"
)

// levels is the floor plan: which package may import which inside the module. A
// trailing /* is every package below.
var levels = map[string][]string{
	"schema":                 {},
	"engine/text":            {},
	"engine/descriptor":      {},
	"engine/bmc":             {"engine/text", "engine/descriptor"},
	"engine/esxi":            {"engine/text", "engine/descriptor"},
	"engine/media":           {"engine/text", "engine/descriptor", "engine/media/iso", "engine/media/isocheck", "engine/media/kickstart"}, // its own rooms
	"engine/bmc/*":           {"engine/bmc"},
	"engine/bmc/lenovo":      {"engine/bmc", "engine/bmc/ami"}, // some of its machines have a MegaRAC
	"engine/esxi/*":          {"engine/esxi"},
	"engine/media/*":         {},
	"engine/media/kickstart": {"engine/text"}, // it quotes scripts
	"engine/event":           {},
	"engine/story":           {"engine/event"},
	"engine/proposal":        {"schema", "engine/event", "engine/text"},
	"engine/notify":          {"engine/event", "engine/text", "engine/story"},
	"engine/private":         {},
	"engine/secret":          {"engine/text"},
	"engine/state":           {"schema", "engine/event", "engine/private", "engine/text"},
	"engine/gates":           {},
	"engine/step":            {"schema", "engine/descriptor", "engine/bmc", "engine/esxi", "engine/media", "engine/event", "engine/text"},
	"engine/survey":          {"schema", "engine/step", "engine/gates"},
	"engine/lane":            {"schema", "engine/step", "engine/event", "engine/survey", "engine/gates", "engine/text"},
	"engine/log":             {"schema", "engine/step", "engine/event", "engine/story", "engine/private", "engine/secret", "engine/text"},
	"engine/local":           {"schema", "engine/descriptor", "engine/step", "engine/event", "engine/lane", "engine/log", "engine/text"},
	"engine/local/*":         {"schema", "engine/step", "engine/survey", "engine/bmc", "engine/media"}, // doors and steps for tests
	"engine/session":         {"schema", "engine/step", "engine/event", "engine/state", "engine/survey", "engine/lane", "engine/log", "engine/local", "engine/proposal", "engine/text"},
	"engine":                 {},
	"engine/twin":            {"schema", "engine/bmc", "engine/esxi", "engine/media", "engine/media/kickstart", "engine/bmc/bmcsim", "engine/esxi/esxisim", "engine/media/isosim"},
	"steps/steptest":         {"schema", "engine/event", "engine/step", "engine/bmc", "engine/bmc/bmcsim", "engine/esxi", "engine/media"},
	"steps/*":                {"schema", "engine/event", "engine/step", "engine/bmc", "engine/esxi", "engine/media", "engine/media/kickstart", "engine/text"},
	"cmd/internal/view":      {"engine/event", "engine/story", "engine/text", "engine/proposal", "engine/media/kickstart", "schema", "cmd/internal/view/markdown", "cmd/internal/view/quiet"},
	"cmd/internal/metrics":   {"engine/event", "engine/story"},
	"cmd/internal/telemetry": {"engine/event", "engine/text"},

	"cmd/internal/view/quiet": {},
	"engine/bmc/bmcsim/*":     {"engine/bmc/bmcsim"},

	"testdata/bench":         {"testdata/bench/fleet"},
	"testdata/bench/*":       {"testdata/bench/fleet"},
	"testdata/bench/evil":    {"testdata/bench/fleet", "engine/bmc/bmcsim/evil"},
	"testdata/bench/media":   {"engine/media", "engine/media/iso", "engine/media/isosim", "engine/media/kickstart"},
	"testdata/bench/serve":   {"engine/media", "engine/media/isosim", "engine/media/kickstart"},
	"testdata/bench/startup": {"schema", "engine/event", "engine/log"},

	"cmd/internal/view/markdown": {"engine/text"},
	"cmd/internal/view/report":   {"cmd/internal/view", "cmd/internal/view/markdown", "engine/event", "engine/story"},

	"engine/survey/surveytest": {"schema", "engine/event", "engine/step", "engine/survey"}, // what tests of surveys and lanes share
}

// lists may import what they list.
var lists = []string{"steps/all", "engine/bmc/vendors", "plans", "cmd/esxiplan"}

// owners says where an outside module may be imported.
var owners = map[string][]string{
	"github.com/stmcginnis/gofish":       {"engine/bmc"},
	"github.com/vmware/govmomi":          {"engine/esxi", "engine/esxi/esxisim"},
	"github.com/charmbracelet/lipgloss":  {"cmd/internal/view", "cmd/internal/view/quiet"},
	"github.com/prometheus":              {"cmd/internal/metrics"},
	"github.com/spf13/cobra":             {"cmd/esxiplan"},
	"go.opentelemetry.io/otel":           {"cmd/internal/telemetry"},
	"github.com/spf13/pflag":             {"cmd/esxiplan"}, // errors of cobra's flags
	"github.com/zclconf/go-cty-yaml":     {"schema"},
	"github.com/agext/levenshtein":       {"schema", "engine/media/kickstart"},
	"golang.org/x/sys":                   {"engine/media/iso", "cmd/esxiplan", "testdata/bench/live"},
	"github.com/pmezard/go-difflib":      {"cmd/internal/view", "cmd/esxiplan"},
	"github.com/charmbracelet/bubbletea": {"cmd/internal/view"},
}

type goPackage struct {
	ImportPath string
	Imports    []string
}

// packages are those of the module, and the programs in testdata, which ... does not match.
func packages(t *testing.T) []goPackage {
	t.Helper()
	out, err := exec.Command("go", "list", "-json=ImportPath,Imports", "esxiplan/...", "esxiplan/testdata/bench/...").Output()
	if err != nil {
		t.Fatal(err)
	}
	var all []goPackage
	for d := json.NewDecoder(bytes.NewReader(out)); ; {
		var p goPackage
		if err := d.Decode(&p); err == io.EOF {
			return all
		} else if err != nil {
			t.Fatal(err)
		}
		all = append(all, p)
	}
}

func allowed(name string) ([]string, bool) {
	if a, ok := levels[name]; ok {
		return a, true
	}
	a, ok := levels[filepath.Dir(name)+"/*"]
	return a, ok
}

func TestLayers(t *testing.T) {
	for _, p := range packages(t) {
		name := strings.TrimPrefix(p.ImportPath, "esxiplan/")
		may, known := allowed(name)
		if slices.Contains(lists, name) {
			continue
		}
		if !known {
			t.Errorf("package %s has no place in the floor plan", name)
		}
		for _, i := range p.Imports {
			if inside, ok := strings.CutPrefix(i, "esxiplan/"); ok && !slices.Contains(may, inside) {
				t.Errorf("%s must not import %s", name, inside)
			}
		}
	}
}

func TestOutsideModulesHaveOneOwner(t *testing.T) {
	for _, p := range packages(t) {
		name := strings.TrimPrefix(p.ImportPath, "esxiplan/")
		for _, i := range p.Imports {
			for module, owner := range owners {
				if (i == module || strings.HasPrefix(i, module+"/")) && !slices.Contains(owner, name) {
					t.Errorf("%s imports %s, which belongs to %v", name, i, owner)
				}
			}
		}
	}
}

// TestVendorsStayInTheirRooms: no vendor's name stands in Go code outside its
// folder, the list, the simulators' profiles and tests.
func TestVendorsStayInTheirRooms(t *testing.T) {
	names := regexp.MustCompile(`(?i)\b(idrac\w*|ilo ?[4-7]?|xcc\d?|supermicro|megarac|dell|hpe|lenovo|fujitsu|huawei|cisco|openbmc|ibmc|irmc)\b`)
	root := filepath.Join("..", "..")
	rooms := []string{"engine/bmc/vendors", "engine/bmc/bmcsim", "testdata"}
	for _, v := range vendors.Names() {
		rooms = append(rooms, "engine/bmc/"+v)
	}
	filepath.WalkDir(root, func(path string, d os.DirEntry, err error) error {
		rel, _ := filepath.Rel(root, path)
		if err != nil || d.IsDir() || filepath.Ext(path) != ".go" || strings.HasSuffix(path, "_test.go") {
			return err
		}
		if slices.ContainsFunc(rooms, func(room string) bool { return strings.HasPrefix(rel, room) }) {
			return nil
		}
		source, err := os.ReadFile(path)
		if err != nil {
			return err
		}
		for i, line := range strings.Split(string(source), "\n") {
			code, _, _ := strings.Cut(line, "//")
			if strings.Contains(code, "`json:") { // documentation of arguments may give examples
				continue
			}
			if m := names.FindString(code); m != "" {
				t.Errorf("%s:%d names a vendor: %s", rel, i+1, m)
			}
		}
		return nil
	})
}

func TestStepTypesAreComplete(t *testing.T) {
	if err := step.Validate(stepTypes()); err != nil {
		t.Error(err)
	}
}

// TestReferenceIsFresh: the references are what make docs writes.
func TestReferenceIsFresh(t *testing.T) {
	for name, write := range map[string]func(io.Writer){"steps/README.md": writeReference, "engine/bmc/README.md": writeVendors} {
		var out bytes.Buffer
		write(&out)
		have, err := os.ReadFile(filepath.Join("..", "..", name))
		if err != nil || !bytes.Equal(have, out.Bytes()) {
			t.Errorf("%s is stale (%v): run make docs", name, err)
		}
	}
}

// TestQuirksHaveTwins: every quirk has a source, and a simulated firmware that there is.
func TestQuirksHaveTwins(t *testing.T) {
	for _, v := range vendors.All() {
		for _, q := range v.Quirks {
			if q.Source == "" || q.Models == "" {
				t.Errorf("%s: %q has no source or models", v.Name, q.What)
			}
			for _, name := range strings.Fields(q.Profiles) {
				if p, err := bmcsim.Find(name); err != nil || p.Name != name {
					t.Errorf("%s: %q names the profile %q, which there is not", v.Name, q.What, name)
				}
			}
		}
	}
}
