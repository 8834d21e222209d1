package survey_test

import (
	"strings"
	"testing"

	"github.com/hashicorp/hcl/v2"

	"esxiplan/engine/survey"
	"esxiplan/engine/survey/surveytest"
	"esxiplan/schema"
)

const hosts = `
group "a" {
  bmc {
    username = "u"
    password = "p"
  }
  host "one" {}
  host "two" {}
  host "three" {}
}
group "b" {
  bmc {
    username = "u"
    password = "p"
  }
  host "four" {}
}
`

// words splits a text, and is nil for an empty one.
func words(text string) []string {
	if text == "" {
		return nil
	}
	return []string{text}
}

func stepNames(steps []*schema.Step) string {
	var names []string
	for _, s := range steps {
		names = append(names, s.Name)
	}
	return strings.Join(names, " ")
}

func hostNames(hosts []*schema.Host) string {
	var names []string
	for _, h := range hosts {
		names = append(names, h.Name)
	}
	return strings.Join(names, " ")
}

// refusal is the summary and detail of the first error, "" without one.
func refusal(diags hcl.Diagnostics) string {
	for _, d := range diags {
		if d.Severity == hcl.DiagError {
			return d.Summary + ": " + d.Detail
		}
	}
	return ""
}

const tagged = hosts + `
step "note" "a" { tags = ["one"] }
step "note" "b" { tags = ["two", "always"] }
step "note" "c" { tags = ["three", "never"] }
step "note" "d" {}
`

func TestTags(t *testing.T) {
	for _, c := range []struct{ tags, skip, want string }{
		{"", "", "a b d"}, {"one", "", "a b"}, {"three", "", "b c"}, {"tagged", "", "a b"}, {"untagged", "", "b d"}, {"all", "always", "a d"},
		{"one,three", "one", "b c"}, {"never", "", "b c"}, {"", "two", "a d"}, {"", "all", "b"}, {"three", "tagged", "b"},
		{"one three", "", "a b c"}, {" one , three ", "", "a b c"}, {"", "untagged", "a b"}, {"one", "one", "b"}, {"all", "", "a b d"},
	} {
		s := surveytest.Survey(t, tagged, survey.Options{Choice: survey.Choice{Tags: words(c.tags), SkipTags: words(c.skip)}})
		if got := stepNames(s.Steps()); got != c.want {
			t.Errorf("--tags %q --skip-tags %q runs %q, want %q", c.tags, c.skip, got, c.want)
		}
	}
}

func TestChoice(t *testing.T) {
	for name, c := range map[string]struct {
		choice       survey.Choice
		steps, hosts string
	}{
		"everything that is not asked for by name":     {survey.Choice{}, "a b d", "one two three four"},
		"tags that are given several times":            {survey.Choice{Tags: []string{"one", "three"}}, "a b c", "one two three four"},
		"from a step on":                               {survey.Choice{StartAt: "b"}, "b d", "one two three four"},
		"from a step on, with tags":                    {survey.Choice{StartAt: "b", Tags: []string{"one"}}, "b", "one two three four"},
		"from a step that the tags do not choose":      {survey.Choice{StartAt: "c"}, "d", "one two three four"},
		"one step by hand, whatever its tags":          {survey.Choice{Only: "c", SkipTags: []string{"all"}}, "c", "one two three four"},
		"what an earlier run chose, whatever the tags": {survey.Choice{Steps: []string{"d", "c"}, Tags: []string{"one"}, Hosts: []string{"four", "one"}, Limit: []string{"two"}}, "c d", "one four"},
	} {
		t.Run(name, func(t *testing.T) {
			s := surveytest.Survey(t, tagged, survey.Options{Choice: c.choice})
			if got := stepNames(s.Steps()); got != c.steps {
				t.Errorf("steps %q, want %q", got, c.steps)
			}
			if got := hostNames(s.Hosts()); got != c.hosts {
				t.Errorf("hosts %q, want %q", got, c.hosts)
			}
		})
	}
}

func TestLimit(t *testing.T) {
	p := surveytest.Load(t, tagged, surveytest.Types())
	for limit, want := range map[string]string{
		"one": "one", "t*": "two three", "a,!two": "one three", "!two": "one three four", "a,&t*": "two three", "all": "one two three four",
		"four one": "one four", "!a": "four", "&a": "one two three", "!two,a": "one three", "[ot]*": "one two three", "f*,one": "one four",
		"?": "one two three four", "all,!a,!b,one": "",
	} {
		got, diags := survey.Select(p, survey.Choice{Limit: []string{limit}})
		if hostNames(got) != want || diags.HasErrors() != (want == "") {
			t.Errorf("--limit %s leaves %q, want %q: %v", limit, hostNames(got), want, diags)
		}
	}
}

// An impossible choice is refused, and the message says what exists.
func TestRefusedChoices(t *testing.T) {
	for name, c := range map[string]struct {
		options survey.Options
		says    string
	}{
		"tag that no step has":           {survey.Options{Choice: survey.Choice{Tags: []string{"thre"}}}, `No step has the tag "thre"; the tags are one, two, always, three, never. Did you mean "three"?`},
		"tag to skip that no step has":   {survey.Options{Choice: survey.Choice{SkipTags: []string{"four"}}}, `No step has the tag "four"`},
		"empty tags":                     {survey.Options{Choice: survey.Choice{Tags: []string{" ,"}}}, "--tags is empty"},
		"tags that leave nothing":        {survey.Options{Choice: survey.Choice{SkipTags: []string{"all", "always"}}}, "No step is left"},
		"step to start at":               {survey.Options{Choice: survey.Choice{StartAt: "e"}}, `no step "e" to start at`},
		"host that the plan has not":     {survey.Options{Choice: survey.Choice{Limit: []string{"thre"}}}, `no host or group matches "thre". Did you mean "three"?`},
		"empty limit":                    {survey.Options{Choice: survey.Choice{Limit: []string{""}}}, "--limit is empty"},
		"limit of a sign":                {survey.Options{Choice: survey.Choice{Limit: []string{"!"}}}, `no host or group matches ""`},
		"limit that is no pattern":       {survey.Options{Choice: survey.Choice{Limit: []string{"[a"}}}, `no host or group matches "[a"`},
		"limit that leaves nothing":      {survey.Options{Choice: survey.Choice{Limit: []string{"a,&b"}}}, "--limit leaves no host"},
		"step that the plan lost":        {survey.Options{Choice: survey.Choice{Steps: []string{"a", "x"}}}, `has the step "x", which the plan no longer has`},
		"host that the plan lost":        {survey.Options{Choice: survey.Choice{Hosts: []string{"one", "five"}}}, `has the host "five", which the plan no longer has`},
		"run that chose no step":         {survey.Options{Choice: survey.Choice{Steps: []string{}}}, "None of the chosen steps applies"},
		"places in flight":               {survey.Options{InFlight: "many"}, `in_flight: "many" is neither a number of hosts nor a percentage`},
		"fewer than no places in flight": {survey.Options{InFlight: "-1"}, `in_flight: "-1" is neither`},
		"more than all":                  {survey.Options{MaxFailures: "101%"}, `--max-failures: "101%" is neither`},
		"half a host":                    {survey.Options{MaxFailures: "1.5"}, `--max-failures: "1.5" is neither`},
	} {
		t.Run(name, func(t *testing.T) {
			types := surveytest.Types()
			_, diags := survey.New(surveytest.Load(t, tagged, types), types, c.options)
			if got := refusal(diags); !strings.Contains(got, c.says) {
				t.Errorf("got %q, want %q", got, c.says)
			}
		})
	}
}

// All problems of a choice are reported at once.
func TestRefusalsTogether(t *testing.T) {
	types := surveytest.Types()
	_, diags := survey.New(surveytest.Load(t, tagged, types), types, survey.Options{Choice: survey.Choice{Tags: []string{"x", "y"}, Limit: []string{"z"}}, InFlight: "?"})
	if len(diags) != 4 {
		t.Errorf("%d problems, want 4: %v", len(diags), diags)
	}
}

func TestWordsToChooseFrom(t *testing.T) {
	p := surveytest.Load(t, tagged, surveytest.Types())
	if got := strings.Join(survey.Tags(p), " "); got != "one two always three never" {
		t.Errorf("tags %q", got)
	}
	if got := strings.Join(survey.HostNames(p), " "); got != "a one two three b four" {
		t.Errorf("host names %q", got)
	}
}
