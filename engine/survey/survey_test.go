package survey_test

import (
	"maps"
	"strings"
	"testing"

	"github.com/zclconf/go-cty/cty"

	"esxiplan/engine/step"
	"esxiplan/engine/survey"
	"esxiplan/engine/survey/surveytest"
	"esxiplan/schema"
)

// installs is a plan with all that an installation takes.
const installs = hosts + `
step "note" "login" {}
step "build" "image" {}
step "insert" "mount" { takes = step.image.text }
step "boot" "source" { to = "cd" }
step "power" "restart" { to = "restart" }
step "wait" "proof" { to = "esxi" }
step "note" "report" {}
`

// firstBoot builds a medium with parts for the first boot.
const firstBoot = "step \"build\" \"first\" {\n to = \"firstboot\"\n}\n"

// inGroupB is a step for the hosts of group b only.
func inGroupB(step string) string {
	return strings.Replace(step, "}", " groups = [\"b\"]\n}", 1)
}

// only chooses steps by name.
func only(names string) survey.Options {
	return survey.Options{Choice: survey.Choice{Steps: strings.Fields(names)}}
}

func host(t *testing.T, s *survey.Survey, name string) *schema.Host {
	t.Helper()
	h, ok := s.Plan.Host(name)
	if !ok {
		t.Fatalf("the plan has no host %s", name)
	}
	return h
}

func TestLimits(t *testing.T) {
	const group = `
group "%" {
  in_flight = "LIMIT"
  bmc {
    username = "u"
    password = "p"
  }
  host "c1" {}
  host "c2" {}
  host "c3" { protected = true }
}
step "write" "x" {}
`
	for name, c := range map[string]struct {
		plan            string
		options         survey.Options
		inFlight, fails int
		groups          string // "group limit"
	}{
		"no bounds":                                 {hosts + `step "write" "x" {}`, survey.Options{}, -1, -1, "a -1"},
		"of the plan":                               {"plan \"p\" { in_flight = \"2\" }\n" + hosts + `step "write" "x" {}`, survey.Options{}, 2, -1, "a -1"},
		"the command line replaces the plan's":      {"plan \"p\" { in_flight = \"2\" }\n" + hosts + `step "write" "x" {}`, survey.Options{InFlight: "3"}, 3, -1, "a -1"},
		"a percentage of the hosts":                 {hosts + `step "write" "x" {}`, survey.Options{InFlight: "50%"}, 2, -1, "a -1"},
		"a percentage of those that are chosen":     {hosts + `step "write" "x" {}`, survey.Options{InFlight: "50 %", Choice: survey.Choice{Limit: []string{"one,two"}}}, 1, -1, "a -1"},
		"a percentage is one host at least":         {hosts + `step "write" "x" {}`, survey.Options{InFlight: "1%"}, 1, -1, "a -1"},
		"none in flight would be no run":            {hosts + `step "write" "x" {}`, survey.Options{InFlight: "0"}, 1, -1, "a -1"},
		"a percentage of failures may be none":      {hosts + `step "write" "x" {}`, survey.Options{MaxFailures: "20%", InFlight: "4"}, 4, 0, "a -1"},
		"a budget bounds the hosts in flight":       {hosts + `step "write" "x" {}`, survey.Options{MaxFailures: "3"}, 3, 3, "a -1"},
		"a budget of none lets one fly":             {hosts + `step "write" "x" {}`, survey.Options{MaxFailures: "0"}, 1, 0, "a -1"},
		"a protected host counts for nothing":       {strings.ReplaceAll(strings.ReplaceAll(group, "%", "c"), "LIMIT", "3"), survey.Options{InFlight: "100%"}, 2, -1, "c 3"},
		"a percentage of the group":                 {strings.ReplaceAll(strings.ReplaceAll(group, "%", "c"), "LIMIT", "67%"), survey.Options{}, -1, -1, "c 2"},
		"a percentage of the group is one at least": {strings.ReplaceAll(strings.ReplaceAll(group, "%", "c"), "LIMIT", "1%"), survey.Options{}, -1, -1, "c 1"},
	} {
		t.Run(name, func(t *testing.T) {
			l := surveytest.Survey(t, c.plan, c.options).Limits()
			if l.InFlight != c.inFlight || l.Failures != c.fails {
				t.Errorf("%d in flight, %d failures; want %d and %d", l.InFlight, l.Failures, c.inFlight, c.fails)
			}
			group, limit, _ := strings.Cut(c.groups, " ")
			if got, ok := l.Groups[group]; !ok || got != map[string]int{"-1": -1, "1": 1, "2": 2, "3": 3}[limit] {
				t.Errorf("group %s: %d in flight, want %s", group, got, limit)
			}
		})
	}
}

// A barrier waits for all hosts: it cannot open where some of them wait for a place in
// flight behind those that wait at the barrier.
func TestBarrierThatCannotOpen(t *testing.T) {
	const bound = `
group "c" {
  in_flight = "1"
  bmc {
    username = "u"
    password = "p"
  }
  host "c1" {}
  host "c2" {}
}
`
	const barrier, first = `step "note" "meet" { barrier = true }`, `step "write" "change" {}`
	for name, c := range map[string]struct {
		plan    string
		options survey.Options
		refused bool
	}{
		"after a write, with a bound":            {hosts + first + "\n" + barrier, survey.Options{InFlight: "3"}, true},
		"after a write, with a budget":           {hosts + first + "\n" + barrier, survey.Options{MaxFailures: "1"}, true},
		"after a write, with a group's bound":    {hosts + bound + first + "\n" + barrier, survey.Options{}, true},
		"after a write, without a bound":         {hosts + first + "\n" + barrier, survey.Options{}, false},
		"after a write, with room for all":       {hosts + first + "\n" + barrier, survey.Options{InFlight: "4"}, false},
		"before the first write":                 {hosts + barrier + "\n" + first, survey.Options{InFlight: "1"}, false},
		"at the first write":                     {hosts + `step "write" "change" { barrier = true }`, survey.Options{InFlight: "1"}, false},
		"after a write that is not chosen":       {hosts + first + "\n" + barrier, survey.Options{InFlight: "1", Choice: survey.Choice{Only: "meet"}}, false},
		"at a step that is not chosen":           {hosts + first + "\n" + barrier, survey.Options{InFlight: "1", Choice: survey.Choice{Only: "change"}}, false},
		"with room for those that are chosen":    {hosts + first + "\n" + barrier, survey.Options{InFlight: "2", Choice: survey.Choice{Limit: []string{"one,two"}}}, false},
		"the bound is that of a group left out":  {hosts + bound + first + "\n" + barrier, survey.Options{Choice: survey.Choice{Limit: []string{"a"}}}, false},
		"of a bound group, one host is chosen":   {hosts + bound + first + "\n" + barrier, survey.Options{Choice: survey.Choice{Limit: []string{"a,c1"}}}, false},
		"of a bound group, all hosts are chosen": {hosts + bound + first + "\n" + barrier, survey.Options{Choice: survey.Choice{Limit: []string{"c"}}}, true},
	} {
		t.Run(name, func(t *testing.T) {
			types := surveytest.Types()
			_, diags := survey.New(surveytest.Load(t, c.plan, types), types, c.options)
			if got := refusal(diags); strings.HasPrefix(got, "Barrier that cannot open") != c.refused || !c.refused && got != "" {
				t.Errorf("%q", got)
			}
		})
	}
}

func TestNothingToRun(t *testing.T) {
	types := surveytest.Types()
	p := surveytest.Load(t, hosts+`step "note" "x" { groups = ["b"] }`, types)
	if _, diags := survey.New(p, types, survey.Options{Choice: survey.Choice{Limit: []string{"a"}}}); !strings.Contains(refusal(diags), "None of the chosen steps applies") {
		t.Errorf("%v", diags)
	}
}

// A step is checked as this run evaluates it: without the result of a step that it leaves
// out, and for its own hosts only.
func TestStepsAreCheckedForTheRun(t *testing.T) {
	const plan = hosts + `
step "note" "x" {}
step "note" "y" { takes = host.name == "four" ? "x${step.x.text}" : "" }
`
	for name, c := range map[string]struct {
		choice  survey.Choice
		refused bool
	}{
		"all steps":                   {survey.Choice{}, false},
		"without the result":          {survey.Choice{Steps: []string{"y"}}, true},
		"without the host that needs": {survey.Choice{Steps: []string{"y"}, Hosts: []string{"one"}}, false},
	} {
		types := surveytest.Types()
		if _, diags := survey.New(surveytest.Load(t, plan, types), types, survey.Options{Choice: c.choice}); diags.HasErrors() != c.refused {
			t.Errorf("%s: %v", name, diags)
		}
	}
}

func TestProtected(t *testing.T) {
	const guarded = hosts + `
group "c" {
  bmc {
    username = "u"
    password = "p"
  }
  host "c1" { protected = true }
}
`
	for name, c := range map[string]struct {
		steps, protected, working string
	}{
		"a run that reads leaves no host out":       {`step "read" "x" {}`, "", "one two three four c1"},
		"a run that writes":                         {`step "write" "x" {}`, "c1", "one two three four"},
		"a run that makes its medium":               {`step "build" "x" {}`, "c1", "one two three four"},
		"a run that waits for an installation":      {`step "wait" "x" { to = "esxi" }`, "c1", "one two three four"},
		"a run that writes to the hosts of a group": {"step \"note\" \"x\" {}\nstep \"write\" \"y\" { groups = [\"a\"] }", "", "one two three four c1"},
	} {
		t.Run(name, func(t *testing.T) {
			s := surveytest.Survey(t, guarded+c.steps, survey.Options{})
			if got := hostNames(s.Protected()); got != c.protected {
				t.Errorf("protected: %q, want %q", got, c.protected)
			}
			if got := hostNames(s.Working()); got != c.working {
				t.Errorf("working: %q, want %q", got, c.working)
			}
		})
	}
}

// What a run may do to machines is what its consent question says.
func TestWipesAndStops(t *testing.T) {
	for name, c := range map[string]struct {
		plan         string
		options      survey.Options
		wipes, stops string
	}{
		"an installation":                       {installs, survey.Options{}, "one two three four", "one two three four"},
		"of some hosts":                         {installs, survey.Options{Choice: survey.Choice{Limit: []string{"two,b"}}}, "two four", "two four"},
		"the stage that restarts":               {installs, only("restart"), "one two three four", "one two three four"},
		"the stage that mounts":                 {installs, only("image mount source"), "", ""},
		"the stage that waits":                  {installs, only("proof"), "", ""},
		"a restart in a plan that never mounts": {hosts + `step "power" "restart" { to = "restart" }`, survey.Options{}, "", "one two three four"},
		"a start in a plan that never mounts":   {hosts + `step "power" "start" { to = "on" }`, survey.Options{}, "", ""},
		"a plan that boots from the network":    {hosts + "step \"boot\" \"source\" { to = \"pxe\" }\nstep \"power\" \"start\" { to = \"on\" }", survey.Options{}, "one two three four", ""},
		"a plan that boots from the disk":       {hosts + "step \"boot\" \"source\" { to = \"disk\" }\nstep \"power\" \"start\" { to = \"on\" }", survey.Options{}, "", ""},
		"a plan that mounts and powers off":     {hosts + "step \"insert\" \"mount\" { takes = \"x\" }\nstep \"power\" \"stop\" { to = \"off\" }", survey.Options{}, "", "one two three four"},
		"an action that is known in the run":    {hosts + "step \"note\" \"x\" {}\nstep \"insert\" \"mount\" { takes = \"x\" }\nstep \"power\" \"may\" { to = step.x.text }", survey.Options{}, "one two three four", "one two three four"},
		"an action that differs by host":        {hosts + "step \"insert\" \"mount\" { takes = \"x\" }\nstep \"power\" \"may\" { to = host.name == \"two\" ? \"restart\" : \"on\" }", survey.Options{}, "one two three four", "two"},
		"steps for one group":                   {hosts + "step \"insert\" \"mount\" {\n takes = \"x\"\n groups = [\"b\"]\n}\nstep \"power\" \"restart\" { to = \"restart\" }", survey.Options{}, "four", "one two three four"},
		"a protected host":                      {strings.Replace(installs, `host "two" {}`, `host "two" { protected = true }`, 1), survey.Options{}, "one three four", "one three four"},
	} {
		t.Run(name, func(t *testing.T) {
			s := surveytest.Survey(t, c.plan, c.options)
			if got := hostNames(s.Wipes()); got != c.wipes {
				t.Errorf("wipes %q, want %q", got, c.wipes)
			}
			if got := hostNames(s.Stops()); got != c.stops {
				t.Errorf("stops %q, want %q", got, c.stops)
			}
		})
	}
}

// media blocks: an image that a run serves itself ends with it.
const (
	serves    = "media { listen = \"127.0.0.1:8090\" }\n"
	publishes = "media {\n directory = \"/tmp\"\n url = \"http://127.0.0.1/\"\n}\n"
)

func TestServing(t *testing.T) {
	for name, c := range map[string]struct {
		plan    string
		options survey.Options
		refused bool
	}{
		"the whole installation":                    {serves + installs, survey.Options{}, false},
		"mounts and does not wait":                  {serves + installs, only("image mount"), true},
		"mounts, and restarts, and does not wait":   {serves + installs, only("image mount source restart"), true},
		"mounts and waits":                          {serves + installs, only("mount restart proof"), false},
		"does not mount":                            {serves + installs, only("image restart"), false},
		"mounts what another server serves":         {serves + hosts + "step \"build\" \"image\" {}\nstep \"insert\" \"mount\" { takes = \"http://192.0.2.1/x.iso\" }", survey.Options{}, false},
		"mounts what is published to a directory":   {publishes + installs, only("image mount"), false},
		"mounts, in a plan without media":           {installs, only("image mount"), false},
		"the wait is for the hosts of one group":    {serves + strings.Replace(installs, `to = "esxi"`, "\n to = \"esxi\"\n groups = [\"a\"]\n", 1), survey.Options{}, true},
		"the wait is not for an installation":       {serves + strings.Replace(installs, `to = "esxi"`, `to = "off"`, 1), survey.Options{}, true},
		"the one that does not wait is left out":    {serves + strings.Replace(installs, `to = "esxi"`, "\n to = \"esxi\"\n groups = [\"a\"]\n", 1), survey.Options{Choice: survey.Choice{Limit: []string{"a"}}}, false},
		"the one that does not wait is protected":   {serves + strings.Replace(strings.Replace(installs, `to = "esxi"`, "\n to = \"esxi\"\n groups = [\"a\"]\n", 1), `host "four" {}`, `host "four" { protected = true }`, 1), survey.Options{}, false},
		"the goal of the wait is known in the run":  {serves + strings.Replace(installs, `to = "esxi"`, `to = step.image.text`, 1), survey.Options{}, false},
		"the image is chosen by an earlier  result": {serves + hosts + "step \"build\" \"image\" {}\nstep \"note\" \"choose\" { takes = step.image.text }\nstep \"insert\" \"mount\" { takes = step.choose.text }", survey.Options{}, false},
	} {
		t.Run(name, func(t *testing.T) {
			if got := surveytest.Survey(t, c.plan, c.options).Serving(); (got != "") != c.refused {
				t.Errorf("%q", got)
			}
		})
	}
}

func TestSettings(t *testing.T) {
	for name, c := range map[string]struct {
		plan    string
		options survey.Options
		host    string
		want    step.Settings
	}{
		"an installation":                      {publishes + installs, survey.Options{}, "one", step.Settings{Installs: true, WaitStep: "proof"}},
		"a dry run":                            {publishes + installs, survey.Options{DryRun: true}, "one", step.Settings{DryRun: true, Installs: true, WaitStep: "proof"}},
		"a stage knows the plan's other steps": {publishes + installs, only("login"), "one", step.Settings{Installs: true, WaitStep: "proof"}},
		"served, and waited for":               {serves + installs, survey.Options{}, "one", step.Settings{Installs: true, WaitStep: "proof"}},
		"served, and not waited for":           {serves + installs, only("restart"), "one", step.Settings{Installs: true, WaitStep: "proof", StopsServing: true}},
		"by hand, the wait is no later step":   {publishes + installs, survey.Options{Choice: survey.Choice{Only: "proof"}}, "one", step.Settings{Installs: true}},
		"the last of two waits":                {publishes + installs + `step "wait" "again" { to = "esxi" }`, survey.Options{}, "one", step.Settings{Installs: true, WaitStep: "again"}},
		"parts for the first boot":             {publishes + installs + firstBoot, survey.Options{}, "one", step.Settings{Installs: true, WaitStep: "proof", FirstBoot: true}},
		"the same, for a stage":                {publishes + installs + firstBoot, only("login"), "one", step.Settings{Installs: true, WaitStep: "proof", FirstBoot: true}},
		"such parts for another group":         {publishes + installs + inGroupB(firstBoot), survey.Options{}, "one", step.Settings{Installs: true, WaitStep: "proof"}},
		"for this group":                       {publishes + installs + inGroupB(firstBoot), survey.Options{}, "four", step.Settings{Installs: true, WaitStep: "proof", FirstBoot: true}},
		"such parts under a condition":         {publishes + installs + strings.Replace(firstBoot, "}", " when = host.facts.model != \"\"\n}", 1), survey.Options{}, "one", step.Settings{Installs: true, WaitStep: "proof"}},
		"arguments that are not known":         {publishes + installs + strings.Replace(firstBoot, "}", " takes = step.image.text\n}", 1), survey.Options{}, "one", step.Settings{Installs: true, WaitStep: "proof"}},
		"a plan that installs nothing":         {hosts + `step "power" "restart" { to = "restart" }`, survey.Options{}, "one", step.Settings{}},
		"steps for another group":              {hosts + "step \"insert\" \"mount\" {\n takes = \"x\"\n groups = [\"b\"]\n}\nstep \"note\" \"x\" {}", survey.Options{}, "one", step.Settings{}},
	} {
		t.Run(name, func(t *testing.T) {
			s := surveytest.Survey(t, c.plan, c.options)
			if got := s.Settings(host(t, s, c.host)); got != c.want {
				t.Errorf("got %+v, want %+v", got, c.want)
			}
			if got := s.WaitStep(); c.host == "one" && got != c.want.WaitStep {
				t.Errorf("wait step %q, want %q", got, c.want.WaitStep)
			}
		})
	}
}

// The wait step is that of any host of the run.
func TestWaitStepOfSomeHosts(t *testing.T) {
	const plan = hosts + "step \"wait\" \"a\" {\n to = \"esxi\"\n groups = [\"a\"]\n}\nstep \"wait\" \"b\" {\n to = \"esxi\"\n groups = [\"b\"]\n}"
	for limit, want := range map[string]string{"all": "b", "a": "a", "b": "b"} {
		s := surveytest.Survey(t, plan, survey.Options{Choice: survey.Choice{Limit: []string{limit}}})
		if got := s.WaitStep(); got != want {
			t.Errorf("--limit %s: wait step %q, want %q", limit, got, want)
		}
	}
}

func TestTreatment(t *testing.T) {
	const runs, skipped, recalled = schema.Runs, schema.Skipped, schema.Recalled
	for name, c := range map[string]struct {
		plan    string
		options survey.Options
		host    string
		want    map[string]schema.Treatment
	}{
		"all":                                    {installs, survey.Options{}, "one", map[string]schema.Treatment{"login": runs, "image": runs, "mount": runs, "proof": runs}},
		"a result that a step needs":             {installs, only("mount"), "one", map[string]schema.Treatment{"login": skipped, "image": recalled, "mount": runs, "restart": skipped}},
		"a result that no step needs":            {installs, only("report"), "one", map[string]schema.Treatment{"image": skipped, "report": runs}},
		"what a restart boots is compared":       {installs, only("restart proof"), "one", map[string]schema.Treatment{"image": recalled, "mount": skipped, "restart": runs}},
		"a wait boots nothing":                   {installs, only("proof"), "one", map[string]schema.Treatment{"image": skipped, "proof": runs}},
		"a start that cannot be":                 {strings.Replace(installs, `to = "restart"`, `to = "off"`, 1), only("restart"), "one", map[string]schema.Treatment{"image": skipped, "restart": runs}},
		"a restart before the mount":             {hosts + "step \"build\" \"image\" {}\nstep \"power\" \"restart\" { to = \"on\" }\nstep \"insert\" \"mount\" { takes = step.image.text }", only("restart"), "one", map[string]schema.Treatment{"image": skipped}},
		"an image of another name":               {strings.Replace(installs, "step.image.text", `"x"`, 1), only("restart"), "one", map[string]schema.Treatment{"image": skipped}},
		"a step that cannot be recalled":         {hosts + "step \"note\" \"x\" {}\nstep \"note\" \"y\" { takes = step.x.text }", only("y"), "one", map[string]schema.Treatment{"x": skipped, "y": runs}},
		"a step of another group":                {installs + "step \"note\" \"b\" { groups = [\"b\"] }", survey.Options{}, "one", map[string]schema.Treatment{"b": skipped}},
		"a mount for another group":              {strings.Replace(installs, "takes = step.image.text", "\n takes = step.image.text\n groups = [\"b\"]\n", 1), only("restart"), "one", map[string]schema.Treatment{"image": skipped}},
		"a step of another group needs it":       {strings.Replace(installs, "takes = step.image.text", "\n takes = step.image.text\n groups = [\"b\"]\n", 1), only("mount login"), "one", map[string]schema.Treatment{"image": skipped, "mount": skipped}},
		"a condition needs it":                   {hosts + "step \"build\" \"image\" {}\nstep \"note\" \"x\" { when = step.image.text != \"\" }", only("x"), "one", map[string]schema.Treatment{"image": recalled}},
		"a build of the host's group, on host b": {installs, only("mount"), "four", map[string]schema.Treatment{"image": recalled}},
	} {
		t.Run(name, func(t *testing.T) {
			s := surveytest.Survey(t, c.plan, c.options)
			h := host(t, s, c.host)
			for name, want := range c.want {
				st, _ := s.Plan.Step(name)
				if got := s.Treatment(h, st); got != want {
					t.Errorf("%s: %d, want %d", name, got, want)
				}
			}
		})
	}
}

func TestNeedsFacts(t *testing.T) {
	const deferred = `
group "c" {
  bmc {
    username = "u"
    password = "p"
  }
  host "deferred" {
    esxi {
      address = "192.0.2.1"
      disk    = { serial = host.facts.drives[0].serial }
    }
  }
}
`
	for name, c := range map[string]struct {
		plan string
		host string
		want bool
	}{
		"nothing refers to facts":                     {hosts + `step "note" "x" {}`, "one", false},
		"an argument does":                            {hosts + `step "note" "x" { takes = host.facts.model }`, "one", true},
		"a condition does":                            {hosts + "step \"note\" \"x\" { when = host.facts.model != \"\" }", "one", true},
		"a step of another group does":                {hosts + "step \"note\" \"y\" {}\nstep \"note\" \"x\" {\n takes = host.facts.model\n groups = [\"b\"]\n}", "one", false},
		"a disk that is chosen by facts, and used":    {deferred + `step "build" "x" {}`, "deferred", true},
		"a disk that is chosen by facts, and a start": {deferred + `step "power" "x" { to = "on" }`, "deferred", true},
		"a disk that is chosen by facts, and no use":  {deferred + `step "power" "x" { to = "off" }`, "deferred", false},
		"a disk that is declared":                     {hosts + `step "build" "x" {}`, "one", false},
	} {
		t.Run(name, func(t *testing.T) {
			s := surveytest.Survey(t, c.plan, survey.Options{})
			if got := s.NeedsFacts(host(t, s, c.host)); got != c.want {
				t.Errorf("needs facts: %v", got)
			}
		})
	}
}

// Facts are read for a step that is only recalled, and not for one that is left out.
func TestNeedsFactsForAStage(t *testing.T) {
	const plan = hosts + "step \"build\" \"image\" { takes = host.facts.model }\nstep \"note\" \"x\" { takes = step.image.text }\nstep \"note\" \"y\" {}"
	for chosen, want := range map[string]bool{"x": true, "y": false} {
		s := surveytest.Survey(t, plan, only(chosen))
		if got := s.NeedsFacts(host(t, s, "one")); got != want {
			t.Errorf("%s alone needs facts: %v", chosen, got)
		}
	}
}

// Effects are the most that a step does, until its arguments are known.
func TestEffects(t *testing.T) {
	s := surveytest.Survey(t, installs, survey.Options{})
	image := cty.ObjectVal(map[string]cty.Value{"value": cty.Zero, "text": cty.StringVal("http://192.0.2.1/x.iso"), "done": cty.False, "ended": cty.False, "reason": cty.StringVal(""), "next": cty.StringVal("")})
	null := cty.NullVal(image.Type())
	for name, c := range map[string]struct {
		results map[string]cty.Value
		step    string
		want    step.Effects
	}{
		"not known":            {nil, "mount", step.Effects{Writes: true, Mounts: true}},
		"null is not known":    {map[string]cty.Value{"image": null}, "mount", step.Effects{Writes: true, Mounts: true}},
		"known":                {map[string]cty.Value{"image": image}, "mount", step.Effects{Writes: true, Mounts: true, Medium: "http://192.0.2.1/x.iso"}},
		"known from the start": {nil, "restart", step.Effects{Writes: true, Starts: true, Stops: true}},
		"always the same":      {nil, "image", step.Effects{Builds: true, Disk: true}},
	} {
		st, _ := s.Plan.Step(c.step)
		if got := s.Effects(host(t, s, "one"), st, maps.Clone(c.results)); got != c.want {
			t.Errorf("%s: %+v, want %+v", name, got, c.want)
		}
	}
}
