package schema_test

import (
	"fmt"
	"runtime"
	"slices"
	"strings"
	"testing"

	"esxiplan/schema"
)

// TestWhatAGroupSharesStaysEachHosts: what a group says is evaluated once where that is
// the same for all hosts, and nowhere else.
func TestWhatAGroupSharesStaysEachHosts(t *testing.T) {
	p, problems := load(t, `
variable "words" {
  default   = { a1 = "one", a2 = "two", a3 = "three" }
  sensitive = true
}
group "g" {
  vendor = "acme"
  serial = "S-${host.name}"
  bmc {
    username = "u-${group.name}"
    password = var.words[host.name]
    tls      = { verify = false }
  }
  esxi {
    address       = host.vars.at
    nameservers   = ["192.0.2.53"]
    root_password = "shared"
  }
  host "a1" { vars = { at = "192.0.2.1" } }
  host "a2" {
    vars = { at = "192.0.2.2" }
    bmc { address = "b2" }
  }
  host "a3" {
    vendor = "auto"
    vars   = { at = "192.0.2.3" }
    esxi { nameservers = [] }
  }
}
group "names" {
  bmc {
    username = "u-${group.name}"
    password = "p"
  }
  host "b1" {}
  host "b4" {}
}
`, schema.Input{})
	if problems != "" {
		t.Fatal(problems)
	}
	var got []string
	for _, h := range p.Hosts() {
		text := strings.Join([]string{h.Name, h.Vendor, h.Serial, h.BMC.Address.String(), h.BMC.Username, h.BMC.Password.Reveal()}, " ")
		if h.ESXi != nil {
			text += fmt.Sprintf(" %s %v %s", h.ESXi.Address, h.ESXi.Nameservers, h.ESXi.RootPassword.Reveal())
		}
		got = append(got, text)
	}
	want := []string{
		"a1 acme S-a1 a1 u-g one 192.0.2.1 [192.0.2.53] shared",
		"a2 acme S-a2 b2 u-g two 192.0.2.2 [192.0.2.53] shared",
		"a3 auto S-a3 a3 u-g three 192.0.2.3 [] shared",
		"b1 auto  b1 u-names p",
		"b4 auto  b4 u-names p",
	}
	if !slices.Equal(got, want) {
		t.Errorf("got\n%s\nwant\n%s", strings.Join(got, "\n"), strings.Join(want, "\n"))
	}
}

// TestStepsAreCheckedForEachHost: a step that says nothing of hosts is checked once, one
// that does for each of them, and what a skipped step leaves counts per host.
func TestStepsAreCheckedForEachHost(t *testing.T) {
	hosts := `
group "g" {
  bmc {
    username = "u"
    password = "p"
  }
  host "h1" { vars = { text = "x" } }
  host "h2" { vars = { text = ["x"] } }
}
group "other" {
  bmc {
    username = "u"
    password = "p"
  }
  host "h3" { vars = { text = "x" } }
}
`
	for name, c := range map[string]struct{ steps, want string }{
		"of the host":         {`step "try" "a" { text = host.vars.text }`, "text: must be a string, got a list"},
		"not of its facts":    {`step "try" "a" { text = host.facts.model }`, ""},
		"of the group":        {`step "try" "a" { text = group.name == "other" ? [] : null }`, "text: must be a string, got"},
		"of no host":          {`step "try" "a" { wait = "soon" }`, `"soon" is not a duration`},
		"after a skipped one": {"step \"try\" \"a\" {\n  when = host.name != \"h3\"\n}\nstep \"try\" \"b\" { text = \"x${step.a.out}\" }", "null"},
		"all of them":         {"step \"try\" \"a\" {\n  when = host.name != \"h3\"\n}\nstep \"try\" \"b\" { text = join(\"\", [for s in step : \"x${s.out}\"]) }", "null"},
		"of no host skipped":  {"step \"try\" \"a\" {\n  when = host.name != \"h4\"\n}\nstep \"try\" \"b\" { text = \"x${step.a.out}\" }", ""},
	} {
		t.Run(name, func(t *testing.T) {
			_, problems := load(t, hosts+c.steps+"\n", schema.Input{})
			if !strings.Contains(problems, c.want) || c.want == "" && problems != "" || strings.Count(problems, ": ") > 4 {
				t.Errorf("%s", problems)
			}
		})
	}
}

// TestLocalsInAnyOrder: each local is evaluated after those to which it refers.
func TestLocalsInAnyOrder(t *testing.T) {
	for name, c := range map[string]struct{ locals, expr, want string }{
		"a chain":              {"a = \"${local.b}1\"\nb = \"${local.c}2\"\nc = \"3\"", "local.a", "321"},
		"by key":               {"a = local[\"b\"]\nb = \"x\"", "local.a", "x"},
		"all as a whole, last": {"a = join(\",\", keys(local))\nb = local.c\nc = \"x\"", "local.a", "b,c"},
		"alone as a whole":     {"a = length(keys(local))", "local.a", "0"},
	} {
		t.Run(name, func(t *testing.T) {
			p, problems := load(t, "locals {\n"+c.locals+"\n}\n"+machine+"step \"try\" \"s\" { text = "+c.expr+" }\n", schema.Input{})
			if problems != "" {
				t.Fatal(problems)
			}
			v, _ := p.Arguments(p.Steps[0], schema.Scope{Host: p.Hosts()[0]})
			if got := v.GetAttr("text").AsString(); got != c.want {
				t.Errorf("%q", got)
			}
		})
	}
	for name, locals := range map[string]string{
		"itself": "a = local.a", "each other": "a = local.b\nb = local.a", "through a whole": "a = keys(local)\nb = local.a", "two wholes": "a = keys(local)\nb = keys(local)", "itself and all": "a = [local.a, keys(local)]",
	} {
		t.Run(name, func(t *testing.T) {
			if _, problems := load(t, "locals {\n"+locals+"\n}\n"+machine, schema.Input{}); !strings.Contains(problems, "Circular locals") {
				t.Errorf("%q", problems)
			}
		})
	}
}

// TestLookups: hosts and steps are found by name, the first of two, without work for the
// garbage collector: a run asks for every event.
func TestLookups(t *testing.T) {
	p, _ := load(t, machine+strings.Replace(machine, `group "g"`, `group "two"`, 1)+"step \"try\" \"s\" {}\n", schema.Input{})
	if h, ok := p.Host("h"); !ok || h.Group != "g" {
		t.Errorf("host h is %+v", h)
	}
	if s, ok := p.Step("s"); !ok || s != p.Steps[0] {
		t.Errorf("step s is %+v", s)
	}
	if _, ok := p.Host("nobody"); ok {
		t.Error("there is a host nobody")
	}
	hosts := p.Hosts()
	if _ = append(hosts, &schema.Host{Name: "more"}); len(hosts) != 2 || len(p.Hosts()) != 2 {
		t.Errorf("%d hosts, then %d", len(hosts), len(p.Hosts()))
	}
	if n := testing.AllocsPerRun(100, func() { p.Host("h"); p.Step("s"); p.Hosts() }); n > 0 {
		t.Errorf("%.0f allocations", n)
	}
}

// TestLoadIsLinear: eight times the hosts take eight times the work, whatever is wrong
// with the plan, however many secrets and locals it has.
func TestLoadIsLinear(t *testing.T) {
	many := func(n int, format string) string {
		var b strings.Builder
		for i := range n {
			fmt.Fprintf(&b, format, i)
		}
		return b.String()
	}
	group := func(n int, defaults, host string) string {
		return "group \"g\" {\n bmc {\n  username = \"u\"\n  password = " + defaults + "\n }\n" + many(n, " host \"h%[1]d\" {\n"+host+" }\n") + "}\nstep \"try\" \"s\" {\n text = host.name\n}\n"
	}
	for name, plan := range map[string]func(int) string{
		"plain": func(n int) string { return group(n, `"p"`, "") },
		"a secret each": func(n int) string {
			return "variable \"pw\" {\n sensitive = true\n default = {\n" + many(n, "h%d = \"secret-%[1]d\"\n") + " }\n}\n" + group(n, "var.pw[host.name]", "")
		},
		"secrets, all bad": func(n int) string {
			return "variable \"pw\" {\n sensitive = true\n default = {\n" + many(n, "h%d = \"secret-%[1]d\"\n") + " }\n}\n" + group(n, "var.pw[host.name]", "serial = 1 + \"x%[1]d\"\n")
		},
		"a local each": func(n int) string {
			return "locals {\n" + many(n, "a%d = \"v%[1]d\"\n") + "}\n" + group(n, `"p"`, "serial = local.a%[1]d\n")
		},
		"misspelt":   func(n int) string { return group(n, `"p"`, "bmc {\n adress = \"b%[1]d\"\n}\n") },
		"one serial": func(n int) string { return group(n, `"p"`, "serial = \"S\"\n") },
		"a row each": func(n int) string {
			return "locals {\n rows = [\n" + many(n, "{ name = \"h%d\", serial = \"S%[1]d\" },\n") + "]\n}\n" + inGroup(fromRows("local.rows", "row.value.name", "serial = row.value.serial"))
		},
		"rows, all bad": func(n int) string {
			return inGroup(fromRows(fmt.Sprintf("[for i in range(%d) : \"h${i}\"]", n), "row.value", "serial = 1 + \"x${row.key}\""))
		},
		"counted": func(n int) string {
			return inGroup(fmt.Sprintf("host \"h[1:%d]\" {\n serial = \"S-${host.index}\"\n}", n))
		},
	} {
		t.Run(name, func(t *testing.T) {
			few, more := allocated(t, plan(50))/50, allocated(t, plan(400))/400
			if more > few*5/4 {
				t.Errorf("%d bytes per host of 50, %d of 400", few, more)
			}
		})
	}
}

// allocated is how many bytes loading a plan takes, given back or not.
func allocated(t *testing.T, text string) uint64 {
	var before, after runtime.MemStats
	runtime.ReadMemStats(&before)
	load(t, text, schema.Input{})
	runtime.ReadMemStats(&after)
	return after.TotalAlloc - before.TotalAlloc
}
