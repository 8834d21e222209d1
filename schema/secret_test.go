package schema_test

import (
	"maps"
	"slices"
	"strings"
	"testing"

	"esxiplan/schema"
)

const withSecrets = `
variable "root" {
  default   = "root-word"
  sensitive = true
}
variable "logins" {
  sensitive = true
  default = {
    plain      = { user = "admin", word = "nested-word" }
    "10.0.0.1" = { user = "root", word = "other-word" }
    list       = ["first-word", "second-word"]
  }
}
variable "open" { default = "open-word" }
group "lab" {
  bmc {
    username = "u"
    password = "lab-word"
  }
  esxi {
    root_password = var.root
    license_key   = "AAAAA-BBBBB-CCCCC-DDDDD-EEEEE"
    current       = { username = "root", password = "current-word" }
  }
  host "h1" {
    esxi { address = "192.0.2.1" }
  }
  host "h2" {
    bmc { password = "own-word" }
    esxi {
      address       = "192.0.2.2"
      root_password = env("ROOT")
    }
  }
}
group "other" {
  bmc {
    username = "u"
    password = "word-of-${host.name}"
  }
  host "10.0.0.9" {}
  host "h3" {
    bmc { password = "lab-word" }
  }
  host "h4" {
    bmc { password = var.root }
  }
}
`

// TestSecretNames: every secret has one name, which says where it comes from, and the text
// comes back by it.
func TestSecretNames(t *testing.T) {
	env := func(name string) (string, bool) { return "env-word", name == "ROOT" }
	p, problems := load(t, withSecrets, schema.Input{Environ: env})
	if problems != "" {
		t.Fatal(problems)
	}
	want := map[string]string{
		"root-word": "var.root", "admin": "var.logins.plain.user", "nested-word": "var.logins.plain.word", "root": `var.logins["10.0.0.1"].user`, "other-word": `var.logins["10.0.0.1"].word`,
		"first-word": "var.logins.list[0]", "second-word": "var.logins.list[1]", "env-word": "env.ROOT",
		"lab-word": "group.lab.bmc.password", "AAAAA-BBBBB-CCCCC-DDDDD-EEEEE": "group.lab.esxi.license_key", "current-word": "group.lab.esxi.current.password",
		"own-word": "host.h2.bmc.password", "word-of-10.0.0.9": `host["10.0.0.9"].bmc.password`,
	}
	names := p.SecretNames()
	if !maps.Equal(names, want) {
		t.Errorf("got %q", names)
	}
	for text, name := range names {
		if back, ok := p.SecretText(name); !ok || back != text {
			t.Errorf("%s gives %q, not %q", name, back, text)
		}
	}
	for name, text := range map[string]string{"host.h3.bmc.password": "lab-word", "group.lab.esxi.root_password": "root-word", "host.h4.bmc.password": "root-word"} {
		if back, _ := p.SecretText(name); back != text { // a name that another one came before
			t.Errorf("%s gives %q", name, back)
		}
	}
	for _, name := range []string{"var.open", "var.nothing", "host.h1.bmc.password", ""} {
		if text, ok := p.SecretText(name); ok {
			t.Errorf("%q gives %q", name, text)
		}
	}
	for _, text := range p.Secrets() {
		if names[text] == "" {
			t.Errorf("%q has no name", text)
		}
	}
}

// TestSecretNamesAreStable: a second load gives the same names, and so does one with other
// values for what comes from outside.
func TestSecretNamesAreStable(t *testing.T) {
	names := func(root string) []string {
		env := func(string) (string, bool) { return root, true }
		p, problems := load(t, withSecrets, schema.Input{Environ: env})
		if problems != "" {
			t.Fatal(problems)
		}
		return slices.Sorted(maps.Values(p.SecretNames()))
	}
	first := names("env-word")
	for range 5 {
		if again := names("env-word"); !slices.Equal(first, again) {
			t.Fatalf("%q, then %q", first, again)
		}
	}
	if other := names("another-word"); !slices.Equal(first, other) {
		t.Errorf("%q, with another environment %q", first, other)
	}
}

// TestHidingTakesTheLongestSecret: one that begins with another leaves no rest visible.
func TestHidingTakesTheLongestSecret(t *testing.T) {
	text := "variable \"a\" {\n default = \"word\"\n sensitive = true\n}\nvariable \"b\" {\n default = \"word-and-more\"\n sensitive = true\n}\n" + machine + "step \"try\" \"s\" { text = tonumber(var.b) }\n"
	_, problems := load(t, text, schema.Input{})
	if strings.Contains(problems, "more") || !strings.Contains(problems, schema.Hidden) {
		t.Error(problems)
	}
}
