package survey_test

import (
	"strings"
	"testing"

	"github.com/zclconf/go-cty/cty"

	"esxiplan/engine/step"
	"esxiplan/engine/survey"
	"esxiplan/engine/survey/surveytest"
)

// site makes a plan of short words: "insert" is a step of that type, "power:off" one with
// that goal, "wait:esxi?" one with a condition, "power:on!" one that runs after a failure.
// A step is called by its type and place: "insert1".
func site(words string) string {
	var b strings.Builder
	b.WriteString(hosts)
	for i, word := range strings.Fields(words) {
		bare := strings.TrimRight(word, "?!")
		kind, to, _ := strings.Cut(bare, ":")
		b.WriteString("step \"" + kind + "\" \"" + kind + string(rune('1'+i)) + "\" {\n to = \"" + to + "\"\n")
		if kind == "insert" {
			b.WriteString(" takes = \"http://192.0.2.1/" + to + ".iso\"\n")
		}
		switch strings.TrimPrefix(word, bare) {
		case "?":
			b.WriteString(" when = host.facts.model != \"\"\n")
		case "!":
			b.WriteString(" run_on = \"failure\"\n")
		}
		b.WriteString("}\n")
	}
	return b.String()
}

func TestPlace(t *testing.T) {
	const x, y = "http://192.0.2.1/x.iso", "http://192.0.2.1/y.iso"
	for name, c := range map[string]struct {
		plan string
		only string // steps that the run chooses; "": all
		at   string
		want step.Place
	}{
		"a step that reads has no place":          {"insert:x note power:on", "", "note2", step.Place{}},
		"a mount that is booted and waited for":   {"insert:x power:on wait:esxi", "", "insert1", step.Place{Restarts: true, Waits: true}},
		"a start that boots the medium":           {"insert:x power:on wait:esxi", "", "power2", step.Place{Medium: x, BootsMedium: true, Waits: true}},
		"a stop boots nothing":                    {"insert:x power:off power:on wait:esxi", "", "power2", step.Place{Medium: x, Restarts: true, Waits: true}},
		"a start without a medium":                {"write power:on", "", "power2", step.Place{}},
		"the last image that was mounted":         {"insert:x insert:y power:on", "", "power3", step.Place{Medium: y, BootsMedium: true}},
		"a boot source alone":                     {"boot:pxe power:on", "", "power2", step.Place{BootsMedium: true}},
		"the disk as boot source":                 {"boot:disk power:on", "", "power2", step.Place{}},
		"what was proven is not booted again":     {"insert:x power:on wait:esxi power:on", "", "power4", step.Place{Medium: x}},
		"a new mount after the proof":             {"insert:x power:on wait:esxi insert:y power:on", "", "power5", step.Place{Medium: y, BootsMedium: true}},
		"a wait knows of itself":                  {"insert:x power:on wait:esxi", "", "wait3", step.Place{Medium: x, Waits: true}},
		"a wait for a power state is no wait":     {"insert:x power:on wait:off", "", "power2", step.Place{Medium: x, BootsMedium: true}},
		"a start before the wait":                 {"insert:x power:on power:restart wait:esxi", "", "power2", step.Place{Medium: x, BootsMedium: true, Restarts: true}},
		"a wait that may be skipped":              {"insert:x power:on wait:esxi?", "", "power2", step.Place{Medium: x, BootsMedium: true}},
		"a wait after a failure":                  {"insert:x power:on wait:esxi!", "", "power2", step.Place{Medium: x, BootsMedium: true}},
		"a wait behind one that may be skipped":   {"insert:x power:on wait:esxi? wait:esxi", "", "power2", step.Place{Medium: x, BootsMedium: true, Waits: true}},
		"a stop before the wait":                  {"insert:x power:on power:off wait:esxi", "", "power2", step.Place{Medium: x, BootsMedium: true, Waits: true}},
		"a stage knows what stages before mount":  {"insert:x power:on wait:esxi", "power2", "power2", step.Place{Medium: x, BootsMedium: true}},
		"a stage does only what it chooses":       {"insert:x power:on wait:esxi", "insert1", "insert1", step.Place{}},
		"a stage that restarts and does not wait": {"insert:x power:on wait:esxi", "insert1 power2", "insert1", step.Place{Restarts: true}},
		"a wait without a start after it":         {"insert:x wait:esxi", "", "insert1", step.Place{}},
	} {
		t.Run(name, func(t *testing.T) {
			var o survey.Options
			if c.only != "" {
				o = only(c.only)
			}
			s := surveytest.Survey(t, site(c.plan), o)
			at, ok := s.Plan.Step(c.at)
			if !ok {
				t.Fatalf("no step %s", c.at)
			}
			if got := s.Place(host(t, s, "one"), at, nil, ""); got != c.want {
				t.Errorf("got %+v, want %+v", got, c.want)
			}
		})
	}
}

// TestJoin: a stage knows the steps that must be in one run with it, by their tags where each
// has one, and whether it sets a boot source itself.
func TestJoin(t *testing.T) {
	tagged := strings.NewReplacer("\"boot2\" {", "\"boot2\" {\n tags = [\"mount\"]", "\"power3\" {", "\"power3\" {\n tags = [\"reboot\", \"go\"]", "\"wait4\" {", "\"wait4\" {\n tags = [\"mount\"]")
	const words = "insert:x boot:cd power:on wait:esxi"
	for name, c := range map[string]struct {
		plan, only, at string
		join           string
		sets           bool
	}{
		"all":                       {site(words), "", "insert1", "", true},
		"the steps alone":           {site(words), "insert1 boot2", "insert1", "boot2, power3 and wait4", true},
		"with tags":                 {tagged.Replace(site(words)), "insert1 boot2", "insert1", "boot2, power3 and wait4 (--tags mount,reboot)", true},
		"the boot source":           {site(words), "insert1 boot2", "boot2", "boot2, power3 and wait4", false},
		"the restart":               {site(words), "power3", "power3", "boot2, power3 and wait4", false},
		"a mount alone":             {site(words), "insert1", "insert1", "boot2, power3 and wait4", false},
		"no wait in the plan":       {site("insert:x boot:cd power:on"), "insert1", "insert1", "", false},
		"the second installation":   {site(words + " boot:cd power:on wait:esxi"), "boot5", "boot5", "boot5, power6 and wait7", false},
		"a wait that may not come":  {site("boot:cd power:on wait:esxi?"), "boot1", "boot1", "", false},
		"a boot source by the disk": {site("boot:disk power:on wait:esxi"), "power2", "power2", "", false},
	} {
		o := survey.Options{}
		if c.only != "" {
			o = only(c.only)
		}
		s := surveytest.Survey(t, c.plan, o)
		at, _ := s.Plan.Step(c.at)
		if got := s.Place(host(t, s, "one"), at, nil, ""); got.Join != c.join || got.Sets != c.sets {
			t.Errorf("%s: join %q, sets %v; want %q, %v", name, got.Join, got.Sets, c.join, c.sets)
		}
	}
}

// By hand, a start is only a start: it is not compared with the plan's medium.
func TestPlaceByHand(t *testing.T) {
	s := surveytest.Survey(t, site("insert:x power:on wait:esxi"), survey.Options{Choice: survey.Choice{Only: "power2"}})
	at, _ := s.Plan.Step("power2")
	if got := s.Place(host(t, s, "one"), at, nil, ""); got.BootsMedium {
		t.Errorf("%+v", got)
	}
}

// The medium of a host is what the results say; only they say why there is no medium.
func TestPlaceOfAResult(t *testing.T) {
	const why = "the image was built from another plan"
	s := surveytest.Survey(t, installs, survey.Options{})
	image := cty.ObjectVal(map[string]cty.Value{"value": cty.Zero, "text": cty.StringVal("http://192.0.2.1/x.iso"), "done": cty.False, "ended": cty.False, "reason": cty.StringVal(""), "next": cty.StringVal("")})
	at, _ := s.Plan.Step("restart")
	for name, c := range map[string]struct {
		results map[string]cty.Value
		want    step.Place
	}{
		"known":     {map[string]cty.Value{"image": image}, step.Place{Medium: "http://192.0.2.1/x.iso", BootsMedium: true, Waits: true}},
		"not known": {nil, step.Place{BootsMedium: true, Waits: true, Stale: why}},
	} {
		if got := s.Place(host(t, s, "one"), at, c.results, why); got != c.want {
			t.Errorf("%s: got %+v, want %+v", name, got, c.want)
		}
	}
}

// Steps of another group are no part of a host's way, neither before nor after the step.
func TestPlaceByGroup(t *testing.T) {
	groups := strings.NewReplacer("to = \"x\"", "to = \"x\"\n groups = [\"b\"]", "to = \"esxi\"", "to = \"esxi\"\n groups = [\"a\"]")
	s := surveytest.Survey(t, groups.Replace(site("insert:x power:on wait:esxi")), survey.Options{})
	at, _ := s.Plan.Step("power2")
	for name, want := range map[string]step.Place{"one": {Waits: true}, "four": {Medium: "http://192.0.2.1/x.iso", BootsMedium: true}} {
		if got := s.Place(host(t, s, name), at, nil, ""); got != want {
			t.Errorf("%s: got %+v, want %+v", name, got, want)
		}
	}
}
