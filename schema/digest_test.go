package schema_test

import (
	"fmt"
	"maps"
	"runtime"
	"slices"
	"strings"
	"testing"

	"github.com/zclconf/go-cty/cty"

	"esxiplan/schema"
)

const concerns = `
plan "lab" {}
variable "version" { default = "7.0.3" }
variable "word" {
  default   = "first-word"
  sensitive = true
}
locals {
  dir  = "/iso"
  rows = { for r in csvdecode("name,text\nh1,one\nh2,two") : r.name => r }
}
image "esxi" {
  source = "${local.dir}/esxi.iso"
}
image "other" {
  source = "other.iso"
}
media {
  directory = "media"
  url       = "http://192.0.2.9/iso"
}
group "g" {
  vendor = "acme"
  vars   = { rack = "r1", key = var.word }
  bmc {
    username = "u"
    password = var.word
  }
  esxi {
    netmask       = "255.255.255.0"
    gateway       = "192.0.2.254"
    root_password = "literal-word"
    disk          = { model = "X" }
  }
  host "h1" {
    serial = "S1"
    esxi {
      address = "192.0.2.1"
    }
  }
  host "h2" {
    esxi {
      address = "192.0.2.2"
    }
  }
}
group "deferred" {
  bmc {
    username = "u"
    password = "p"
  }
  host "h3" {
    esxi {
      address = "192.0.2.3"
      disk    = { serial = host.facts.model == "x" ? "1" : "2" }
    }
  }
}
step "try" "first" {
  tags = ["one"]
  text = "${local.dir}/x"
  list = ["a", "b"]
}
step "try" "table" {
  groups = ["g"]
  text   = local.rows[host.name].text
}
step "try" "file" { text = file("data.txt") }
step "try" "last" {
  text        = try(image.esxi.source, "")
  key         = var.word
  until       = result.out == var.version
  failed_when = step.first.out == group.name
}
step "try" "deferred" {
  groups = ["deferred"]
  text   = host.facts.model
}
`

// TestPartsThatDiffer: which edit of a plan changes what for host h1.
func TestPartsThatDiffer(t *testing.T) {
	before, problems := load(t, concerns, schema.Input{})
	if problems != "" {
		t.Fatal(problems)
	}
	h, _ := before.Host("h1")
	parts := before.Parts(h)
	for name, c := range map[string]struct {
		old, new string // "|" separates several edits
		want     string // names of parts
	}{
		"nothing":                    {"", "", ""},
		"a comment":                  {`vendor = "acme"`, `vendor = "acme" # the best`, ""},
		"a comment in a list":        {`list = ["a", "b"]`, "list = [ # these\n    \"a\", // a\n    \"b\", /* b */\n  ]", ""},
		"layout":                     {`text = "${local.dir}/x"`, `text      =    "${ local.dir }/x"`, ""},
		"layout of an object":        {`disk          = { model = "X" }`, "disk = {\n      model = \"X\"\n    }", ""},
		"another host":               {`address = "192.0.2.2"`, `address = "192.0.2.22"`, ""},
		"another host's row":         {`h2,two`, `h2,three`, ""},
		"another group's password":   {`password = "p"`, `password = env("X")`, ""},
		"a further host":             {`  host "h2" {|h2,two`, "  host \"h4\" {\n    esxi { address = \"192.0.2.4\" }\n  }\n  host \"h2\" {|h2,two\\nh4,four", ""},
		"a step of another group":    {`text   = host.facts.model`, `text = "x"`, ""},
		"an image that no step uses": {`other.iso`, `another.iso`, ""},
		"the password of a variable": {`"first-word"`, `"second-word"`, ""},
		"a password in the plan":     {`"literal-word"`, `"other-literal-word"`, ""},
		"description of the plan":    {`plan "lab" {}`, `plan "lab" { description = "x" }`, ""},
		"name of the plan":           {`plan "lab" {}`, `plan "lib" {}`, "plan"},
		"where a password is from":   {`root_password = "literal-word"`, `root_password = var.word`, "esxi.root_password"},
		"from another variable":      {"key         = var.word", "key         = var.version", "step last"},
		"serial":                     {`serial = "S1"`, `serial = "S2"`, "serial"},
		"no serial":                  {`serial = "S1"`, ``, "serial"},
		"protected":                  {`serial = "S1"`, "serial = \"S1\"\n    protected = true", "protected"},
		"vendor of the group":        {`vendor = "acme"`, `vendor = "auto"`, "vendor"},
		"gateway":                    {`192.0.2.254`, `192.0.2.253`, "esxi.gateway"},
		"address":                    {`address = "192.0.2.1"`, `address = "192.0.2.11"`, "esxi.address"},
		"disk":                       {`{ model = "X" }`, `{ model = "Y" }`, "esxi.disk"},
		"current":                    {`root_password = "literal-word"`, "root_password = \"literal-word\"\n    current = { username = \"root\", password = var.word }", "esxi.current"},
		"tls":                        {`username = "u"`, "username = \"u\"\n    tls = { verify = false }", "bmc.tls"}, // both groups
		"vars":                       {`rack = "r1"`, `rack = "r2"`, "vars.rack"},
		"media":                      {`192.0.2.9/iso`, `192.0.2.9/isos`, "media.url"},
		"a local":                    {`dir  = "/iso"`, `dir = "/isos"`, "image esxi, local.dir"},
		"image":                      {`/esxi.iso"`, "/esxi.iso\"\n  version = \"8.0.3\"", "image esxi"},
		"a variable in a condition":  {`"7.0.3"`, `"8.0.3"`, "var.version"},
		"its own row":                {`h1,one`, `h1,uno`, "step table"},
		"a file":                     {`file("data.txt")`, `file("tpl.txt")`, "step file"},
		"an argument":                {`list = ["a", "b"]`, `list = ["b", "a"]`, "step first"},
		"a condition":                {`result.out == var.version`, `result.out != var.version`, "step last"},
		"tags":                       {`tags = ["one"]`, `tags = ["two"]`, "step first"},
		"policy":                     {`tags = ["one"]`, "tags = [\"one\"]\n  retries = 7", "step first"},
		"a step less":                {`step "try" "file" { text = file("data.txt") }`, ``, "step file"},
		"a step more":                {`step "try" "file" {`, "step \"try\" \"more\" {}\nstep \"try\" \"file\" {", "step more"},
		"another order":              {"step \"try\" \"file\" { text = file(\"data.txt\") }\n|step \"try\" \"table\" {", "|step \"try\" \"file\" { text = file(\"data.txt\") }\nstep \"try\" \"table\" {", "order of steps"},
		"not of this group":          {`groups = ["g"]|h2,two`, `groups = ["deferred"]|h2,two\nh3,three`, "step table"},
	} {
		t.Run(name, func(t *testing.T) {
			text := concerns
			news := strings.Split(c.new, "|")
			for i, old := range strings.Split(c.old, "|") {
				if !strings.Contains(text, old) {
					t.Fatalf("the plan does not say %q", old)
				}
				text = strings.ReplaceAll(text, old, news[i])
			}
			env := func(name string) (string, bool) { return "x", name == "X" }
			after, problems := load(t, text, schema.Input{Environ: env})
			if problems != "" {
				t.Fatal(problems)
			}
			h, _ := after.Host("h1")
			if got := strings.Join(schema.DifferingParts(parts, after.Parts(h)), ", "); got != c.want {
				t.Errorf("differs: %s", got)
			}
			if same := maps.Equal(after.Parts(h), parts); same != (c.want == "") {
				t.Errorf("the digests are the same: %v", same)
			}
		})
	}
}

// TestSecretsTakeNoPart: guesses against the digests reveal nothing about a secret, wherever
// the plan contains it.
func TestSecretsTakeNoPart(t *testing.T) {
	const plan = `
variable "all" {
  default   = { pw = "WORD-1" }
  sensitive = true
}
locals {
  derived = "x-${var.all.pw}"
}
group "g" {
  vars = { key = local.derived, (sensitive("WORD-2")) = 1 }
  bmc {
    username = "u"
    password = "WORD-3"
  }
  host "h" {
    esxi {
      address       = "192.0.2.1"
      root_password = sensitive("WORD-4")
      license_key   = "AAAAA-BBBBB-CCCCC-DDDDD-EEEEE"
      current       = { username = "root", password = "WORD-5" }
    }
  }
}
step "try" "literal" { key = "WORD-6" }
step "try" "made" { key = "x${env("PW")}${sensitive("WORD-7")}" }
step "try" "looked_up" { key = [for k, v in var.all : v][0] }
step "try" "judged" {
  when = sensitive("WORD-8") != "" && host.esxi.root_password != local.derived
}
`
	parts := func(word, license string) map[string]string {
		env := func(name string) (string, bool) { return word, name == "PW" }
		p, problems := load(t, strings.NewReplacer("WORD", word, "AAAAA", license).Replace(plan), schema.Input{Environ: env})
		if problems != "" {
			t.Fatal(problems)
		}
		return p.Parts(p.Hosts()[0])
	}
	one, two := parts("first-word", "AAAAA"), parts("second-word", "ZZZZZ")
	for name := range one {
		if one[name] != two[name] {
			t.Errorf("%s is another with another secret", name)
		}
	}
	if len(one) != len(two) {
		t.Errorf("%v, %v", one, two)
	}
}

// TestPartsOfFacts: what waits for the machine's facts counts as it is written, and its
// value on the machine does not.
func TestPartsOfFacts(t *testing.T) {
	before, _ := load(t, concerns, schema.Input{})
	h, _ := before.Host("h3")
	parts := before.Parts(h)
	after, problems := load(t, strings.Replace(concerns, `"x" ? "1" : "2"`, `"x" ? "1" : "3"`, 1), schema.Input{})
	if problems != "" {
		t.Fatal(problems)
	}
	h, _ = after.Host("h3")
	if got := schema.DifferingParts(parts, after.Parts(h)); !slices.Equal(got, []string{"esxi.disk"}) {
		t.Errorf("differs: %v", got)
	}
	resolved, diags := after.Resolve(h, factsOf(t, "x"))
	if diags.HasErrors() || resolved.Deferred() {
		t.Fatal(diags)
	}
	if !maps.Equal(after.Parts(resolved), after.Parts(h)) {
		t.Error("a host whose disk is known has other digests")
	}
}

// TestPartsOfTheMissing: a host that an earlier version of the plan did not have, and one
// that a log says nothing of.
func TestPartsOfTheMissing(t *testing.T) {
	p, _ := load(t, machine, schema.Input{})
	got := schema.DifferingParts(nil, p.Parts(p.Hosts()[0]))
	for _, name := range []string{"plan", "vendor", "bmc.username", "esxi.address", "vars.a", "order of steps"} {
		if !slices.Contains(got, name) {
			t.Errorf("%q is not among %v", name, got)
		}
	}
}

// TestDigestsAreLinear: what a host's digests take does not depend on how many hosts there
// are, even where each looks itself up in a table of all.
func TestDigestsAreLinear(t *testing.T) {
	each := func(n int) uint64 {
		p := planOf(t, n)
		var before, after runtime.MemStats
		runtime.ReadMemStats(&before)
		for _, h := range p.Hosts() {
			p.Parts(h)
		}
		runtime.ReadMemStats(&after)
		return (after.TotalAlloc - before.TotalAlloc) / uint64(len(p.Hosts()))
	}
	if few, more := each(50), each(400); more > few*5/4 {
		t.Errorf("%d bytes for each of 50 hosts, %d for each of 400", few, more)
	}
}

// planOf is a plan with so many more hosts.
func planOf(t testing.TB, n int) *schema.Plan {
	t.Helper()
	var hosts, rows strings.Builder
	for i := range n {
		fmt.Fprintf(&hosts, "  host \"x%d\" {\n    serial = \"S-x%[1]d\"\n    esxi {\n      address = \"10.0.%d.%d\"\n      netmask = \"255.0.0.0\"\n      gateway = \"10.255.0.1\"\n    }\n  }\n", i, 1+i/200, 2+i%200)
		fmt.Fprintf(&rows, "x%d,text\\n", i)
	}
	text := strings.Replace(concerns, "h1,one", rows.String()+"h1,one", 1)
	p, problems := load(t, strings.Replace(text, `  host "h2" {`, hosts.String()+`  host "h2" {`, 1), schema.Input{})
	if problems != "" {
		t.Fatal(problems)
	}
	return p
}

// BenchmarkDigest is what the digests of ten thousand hosts take.
func BenchmarkDigest(b *testing.B) {
	p := planOf(b, 10000)
	for b.Loop() {
		for _, h := range p.Hosts() {
			p.Parts(h)
		}
	}
}

func factsOf(t *testing.T, model string) cty.Value {
	t.Helper()
	v, err := schema.Of[facts]().Conform(cty.ObjectVal(map[string]cty.Value{"model": cty.StringVal(model)}))
	if err != nil {
		t.Fatal(err)
	}
	return v
}
