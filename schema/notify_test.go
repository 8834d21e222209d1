package schema_test

import (
	"fmt"
	"strings"
	"testing"

	"esxiplan/schema"
)

type message struct {
	Text  string   `json:"text" doc:"Text."`
	Hosts []string `json:"hosts" doc:"Names."`
}

func loadNotify(t *testing.T, block string) (*schema.Plan, string) {
	t.Helper()
	return load(t, block+machine, schema.Input{Environ: func(name string) (string, bool) {
		value, ok := map[string]string{"HOOK": "https://hooks.example/the-path", "KEY": "the-key"}[name]
		return value, ok
	}})
}

// TestNotify: a notify block has its defaults, and its secrets come from where the plan says.
func TestNotify(t *testing.T) {
	p, problems := loadNotify(t, `notify "oncall" {
  url     = env("HOOK")
  secret  = env("KEY")
  headers = { Authorization = "Bearer ${env("KEY")}" }
}`)
	if problems != "" {
		t.Fatal(problems)
	}
	n := p.Notify[0]
	if n.URL.Reveal() != "https://hooks.example/the-path" || n.Format != schema.Webhook || strings.Join(n.On, " ") != "failure end" || n.Timeout.String() != "10s" || n.Headers["Authorization"].Reveal() != "Bearer the-key" {
		t.Errorf("%+v", n)
	}
	if text := fmt.Sprintf("%v %+v", n, n); strings.Contains(text, "the-key") || strings.Contains(text, "the-path") {
		t.Errorf("a secret is shown: %s", text)
	}
	names := p.AllSecretNames()
	if names["notify.oncall.url"] != n.URL.Reveal() || names["notify.oncall.secret"] != "the-key" || names["notify.oncall.headers.Authorization"] != "Bearer the-key" {
		t.Errorf("%q", names)
	}
}

// TestNotifyTemplate: a template refers to the message, and what is wrong with it is said
// when the plan is loaded.
func TestNotifyTemplate(t *testing.T) {
	block := func(template string) string {
		return fmt.Sprintf("variable \"team\" { default = \"lab\" }\nnotify \"n\" {\n  url = \"http://hooks.example\"\n  template = %s\n}", template)
	}
	p, problems := loadNotify(t, block(`"${var.team}: ${message.text}%{ for h in message.hosts } ${upper(h)}%{ endfor }"`))
	if problems != "" {
		t.Fatal(problems)
	}
	text, err := p.Message(p.Notify[0], []byte(`{"text": "it failed", "hosts": ["h1", "h2"]}`))
	if err != nil || text != "lab: it failed H1 H2" {
		t.Errorf("%q, %v", text, err)
	}
	p, problems = loadNotify(t, block(`"${message.hosts[5]}"`))
	if problems != "" {
		t.Fatal(problems)
	}
	if text, err := p.Message(p.Notify[0], []byte(`{"text": "", "hosts": []}`)); err == nil || !strings.Contains(err.Error(), "plan.hcl:4:") {
		t.Errorf("%q, %v", text, err)
	}
	for template, want := range map[string]string{
		`message.txt`:         `message has no attribute "txt"`,
		`"${host.name}"`:      `"host" cannot be referred to here`,
		`"${env("KEY")}"`:     "the value is sensitive",
		`message.hosts`:       "must be a string, got a list",
		`"${message.text.x}"`: "attribute",
	} {
		if _, problems := loadNotify(t, block(template)); !strings.Contains(problems, want) {
			t.Errorf("%s: %q", template, problems)
		}
	}
}

// TestNotifyWithoutTemplate: a template that is null when the plan is loaded is none, wherever
// the null comes from; one that may become null is one.
func TestNotifyWithoutTemplate(t *testing.T) {
	for template, templated := range map[string]bool{
		`"x"`:                 true,
		`null`:                false,
		`var.team`:            false,
		`(true ? null : "x")`: false,
		`(message.text == "" ? null : message.text)`: true,
	} {
		p, problems := loadNotify(t, fmt.Sprintf("variable \"team\" { default = null }\nnotify \"n\" {\n  url = \"http://hooks.example\"\n  template = %s\n}", template))
		if problems != "" || p.Notify[0].Templated() != templated {
			t.Errorf("%s: %v, %s", template, p.Notify[0].Templated(), problems)
		}
	}
}

// TestNotifyIsNoPartOfAHost: the targets of a run do not change what it does at a machine, so
// that a run can be continued with another target.
func TestNotifyIsNoPartOfAHost(t *testing.T) {
	before, _ := loadNotify(t, "")
	after, _ := loadNotify(t, `notify "n" { url = "http://hooks.example" }`)
	a, b := before.Parts(before.Hosts()[0]), after.Parts(after.Hosts()[0])
	if differs := schema.DifferingParts(a, b); len(differs) > 0 {
		t.Errorf("%q", differs)
	}
}
