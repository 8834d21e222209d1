package schema_test

import (
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/zclconf/go-cty/cty"

	"esxiplan/schema"
)

// loadFiles loads plan.hcl out of a folder with these files. Positions in problems are those
// of the plan's folder.
func loadFiles(t testing.TB, in schema.Input, files map[string]string) (*schema.Plan, string) {
	t.Helper()
	dir := t.TempDir()
	for name, text := range files {
		if err := os.WriteFile(filepath.Join(dir, name), []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	p, diags := schema.Load([]string{filepath.Join(dir, "plan.hcl")}, in, known())
	var b strings.Builder
	for _, d := range diags {
		b.WriteString(d.Summary + ": " + d.Detail + "\n")
	}
	return p, strings.ReplaceAll(b.String(), dir+string(filepath.Separator), "")
}

// inGroup puts blocks of hosts into a group with a login.
func inGroup(blocks string) string {
	return "group \"g\" {\n  bmc {\n    username = \"u\"\n    password = \"p\"\n  }\n" + blocks + "\n}\n"
}

// fromRows is a dynamic block over an expression.
func fromRows(forEach, label, content string) string {
	return "  dynamic \"host\" {\n    for_each = " + forEach + "\n    iterator = row\n    labels   = [" + label + "]\n    content {\n" + content + "\n    }\n  }\n"
}

// said is what a host is given, in one line.
func said(h *schema.Host) string {
	text := strings.Join([]string{h.Name, h.Serial, h.BMC.Address.String(), h.BMC.Username}, " ")
	if h.ESXi != nil {
		text += " " + h.ESXi.Address
	}
	for name, v := range h.Value.GetAttr("vars").AsValueMap() {
		text += " " + name + "=" + schema.Text(v)
	}
	return text
}

func TestHostsFromData(t *testing.T) {
	files := map[string]string{
		"hosts.csv":  "name,bmc,serial\nh1,192.0.2.1,S1\n\"h2\",192.0.2.2,S2\n",
		"hosts.yaml": "h1: { bmc: 192.0.2.1, serial: S1 }\nh2: { bmc: 192.0.2.2, serial: S2 }\n",
	}
	content := "serial = row.value.serial\nbmc { address = row.value.bmc }\nvars = { k = row.key }"
	for name, c := range map[string]struct{ block, want string }{
		"a CSV file":          {fromRows(`csvdecode(file("hosts.csv"))`, "row.value.name", content), "h1 S1 192.0.2.1 u k=0, h2 S2 192.0.2.2 u k=1"},
		"a YAML file":         {fromRows(`yamldecode(file("hosts.yaml"))`, "row.key", content), "h1 S1 192.0.2.1 u k=h1, h2 S2 192.0.2.2 u k=h2"},
		"a filtered file":     {fromRows(`[for r in csvdecode(file("hosts.csv")) : r if r.serial == "S2"]`, "row.value.name", content), "h2 S2 192.0.2.2 u k=0"},
		"a list":              {fromRows(`["h1", "h2"]`, "row.value", `serial = "S-${row.value}"`), "h1 S-h1 h1 u, h2 S-h2 h2 u"},
		"a set":               {fromRows(`toset(["h2", "h1", "h2"])`, "row.key", "vars = { k = row.value }"), "h1  h1 u k=h1, h2  h2 u k=h2"},
		"a map":               {fromRows(`{ h2 = 2, h1 = 1 }`, "row.key", `serial = "S${row.value}"`), "h1 S1 h1 u, h2 S2 h2 u"},
		"numbers":             {fromRows(`[7, 8]`, `"h${row.value}"`, `serial = row.value`), "h7 7 h7 u, h8 8 h8 u"},
		"nothing":             {fromRows(`[]`, "row.value", "") + `host "h" {}`, "h  h u"},
		"host means the host": {fromRows(`["h1", "h2"]`, "row.value", "serial = \"${host.name}-${host.vars.n}-${group.name}\"\nvars = { n = host.index }"), "h1 h1-0-g h1 u n=0, h2 h2-1-g h2 u n=1"},
		"between others": {"host \"a\" {}\n" + fromRows(`["h"]`, "row.value", `bmc { username = "v" }`) + "host \"b\" {}\n" + fromRows(`["i"]`, "row.value", `bmc { username = "w" }`) + "host \"c[1:2]\" {\n bmc { username = \"x\" }\n}",
			"a  a u, h  h v, b  b u, i  i w, c1  c1 x, c2  c2 x"},
	} {
		t.Run(name, func(t *testing.T) {
			files["plan.hcl"] = inGroup(c.block)
			p, problems := loadFiles(t, schema.Input{}, files)
			var got []string
			for _, h := range p.Hosts() {
				got = append(got, said(h))
			}
			if problems != "" || strings.Join(got, ", ") != c.want {
				t.Errorf("%s\ngot  %s\nwant %s", problems, strings.Join(got, ", "), c.want)
			}
		})
	}
}

// TestRangesInLabels: as Ansible's inventories count.
func TestRangesInLabels(t *testing.T) {
	for label, want := range map[string]string{
		"h[1:3]": "h1 h2 h3", "h[08:11]": "h08 h09 h10 h11", "h[0:2]": "h0 h1 h2", "h[9:11]x": "h9x h10x h11x", "h[001:003:2]": "h001 h003", "h[2:2]": "h2",
		"h[1:6:3]": "h1 h4", "h[a:c]": "ha hb hc", "h[A:B]": "hA hB", "r[1:2]-h[01:03:2]": "r1-h01 r1-h03 r2-h01 r2-h03", "[1:2]h": "1h 2h",
		"h": "h", "fd00::1": "fd00::1", "10.0.0.[9:10]": "10.0.0.9 10.0.0.10", "fd00::[8:9]": "fd00::8 fd00::9",
	} {
		p, problems := load(t, inGroup(fmt.Sprintf("host %q {}", label)), schema.Input{})
		var got []string
		for _, h := range p.Hosts() {
			got = append(got, h.Name)
		}
		if problems != "" || strings.Join(got, " ") != want {
			t.Errorf("%s makes %q, want %q: %s", label, strings.Join(got, " "), want, problems)
		}
	}
}

// TestHostsThatCount: host.index is the position in what a block makes, and null in a block
// of one host.
func TestHostsThatCount(t *testing.T) {
	p, problems := load(t, inGroup(`
  esxi { address = cidrhost("192.0.2.0/24", coalesce(host.index, 99) + 10) }
  host "alone" {}
  host "n[1:2]-[a:b]" {
    bmc { address = cidrhost("198.51.100.0/24", host.index + 1) }
  }
  `)+"step \"try\" \"s\" { text = host.index == null ? \"none\" : \"at ${host.index}\" }\n", schema.Input{})
	if problems != "" {
		t.Fatal(problems)
	}
	var got []string
	for _, h := range p.Hosts() {
		v, diags := p.Arguments(p.Steps[0], schema.Scope{Host: h, Results: map[string]cty.Value{}})
		if diags.HasErrors() {
			t.Fatal(diags)
		}
		got = append(got, h.Name+" "+h.BMC.Address.String()+" "+h.ESXi.Address+" "+v.GetAttr("text").AsString())
	}
	want := "alone alone 192.0.2.109 none, n1-a 198.51.100.1 192.0.2.10 at 0, n1-b 198.51.100.2 192.0.2.11 at 1, n2-a 198.51.100.3 192.0.2.12 at 2, n2-b 198.51.100.4 192.0.2.13 at 3"
	if strings.Join(got, ", ") != want {
		t.Errorf("got\n%s\nwant\n%s", strings.Join(got, ", "), want)
	}
}

func TestRefusedBlocksOfHosts(t *testing.T) {
	rows := fromRows(`["h1", "h2"]`, "row.value", "")
	for name, c := range map[string]struct{ plan, want string }{
		"no iterator":                  {strings.Replace(rows, "iterator = row", "", 1), `It lacks "iterator". The iterator has a name of its own, because host means the host that is made.`},
		"an iterator called host":      {strings.Replace(rows, "= row\n", "= host\n", 1), "host has a meaning of its own"},
		"an iterator called var":       {strings.Replace(rows, "= row\n", "= var\n", 1), "var has a meaning of its own"},
		"an iterator in quotes":        {strings.Replace(rows, "= row\n", "= \"row\"\n", 1), "one word without quotes"},
		"nothing at all":               {`dynamic "host" {}`, `It lacks "for_each", "iterator", "labels" and "content"`},
		"two contents":                 {strings.Replace(rows, "content {", "content {}\n content {", 1), "There is already a block content"},
		"arguments outside of content": {strings.Replace(rows, "iterator", "serial = \"x\"\n iterator", 1), `An argument named "serial" is not expected here`},
		"another block":                {`dynamic "bmc" {}`, "makes hosts, and nothing else"},
		"null":                         {fromRows("null", "row.value", ""), "for_each is null"},
		"a number":                     {fromRows("3", "row.value", ""), "for_each must be a list, a set, a map or an object, and this is number"},
		"a secret":                     {fromRows(`sensitive(["h"])`, "row.value", ""), "for_each is sensitive"},
		"a set with a secret":          {fromRows(`toset([env("S")])`, "row.value", ""), "for_each is sensitive"},
		"a secret name":                {fromRows(`[env("S")]`, "row.value", ""), "The name of a host shows everywhere, and this one is sensitive"},
		"host in for_each":             {fromRows("[host.name]", "row.value", ""), "for_each cannot refer to host"},
		"host in a label":              {fromRows(`["a"]`, "host.name", ""), "labels cannot refer to host"},
		"two labels":                   {fromRows(`["a"]`, "row.value, row.value", ""), "labels must be a list of one text"},
		"a null as the name":           {fromRows(`[null, "b"]`, "row.value", ""), "The name of a host is null here"},
		"an object as the name":        {fromRows(`[{}]`, "row.value", ""), "must be a text, and this is object"},
		"a range as the name of a row": {fromRows(`["h[1:2]"]`, "row.value", `bmc { address = "b" }`), `"h[1:2]" cannot be the name of a host`},
		"an unknown local":             {fromRows("local.nothing", "row.value", ""), "The plan declares no local.nothing"},
		"a row's key in a group": {"serial = row.value\n" + strings.Replace(rows, "content {\n", "content {\n esxi { address = \"192.0.2.1${row.key}\" }\n", 1),
			`Nothing is called "row" here`},
		"for_each in a host":  {"host \"h\" { for_each = [] }", "Neither hosts nor groups take for_each"},
		"count in a group":    {"count = 3\nhost \"h\" {}", "Neither hosts nor groups take count"},
		"dynamic in a host":   {"host \"h\" {\n dynamic \"host\" {}\n}", "A dynamic block makes hosts, and belongs in their group"},
		"for_each in content": {strings.Replace(rows, "content {\n", "content {\n count = 3\n", 1), "Neither hosts nor groups take count"},
		"backwards":           {`host "h[3:1]" {}`, "[3:1] ends before it begins"},
		"other digits":        {`host "h[01:100]" {}`, "[01:100] must have as many digits"},
		"letters and numbers": {`host "h[a:3]" {}`, "[a:3] is not a range"},
		"cases":               {`host "h[a:C]" {}`, "[a:C] is not a range"},
		"a dash":              {`host "h[1-3]" {}`, "[1-3] is not a range: write the first and the last one, such as [01:40]"},
		"no end":              {`host "h[1:" {}`, "there is a [ without a ] behind it"},
		"no beginning":        {`host "h1]" {}`, "there is a ] without a [ before it"},
		"no first":            {`host "h[:3]" {}`, "[:3] is not a range"},
		"no step":             {`host "h[1:3:0]" {}`, `the step "0", which must be a number from 1 on`},
		"many digits":         {`host "h[1:1000000000000000000000]" {}`, "a number of more than 18 digits"},
		"an address":          {`host "[fd00::1]" {}`, `write it without brackets, "fd00::1"`},
		"an address, a port":  {`host "[fd00::1]:8443" {}`, `write it without brackets, "fd00::1"`},
		"too many":            {`host "h[1:10001]" {}`, "more than 10000 hosts"},
		"too many products":   {`host "h[1:200]-[1:200]" {}`, "more than 10000 hosts"},
		"an invalid name":     {"host \"h h[1:2]\" {\n bmc { address = \"b${host.index}\" }\n}", `"h h1" cannot be the name of a host`},
	} {
		t.Run(name, func(t *testing.T) {
			in := schema.Input{Environ: func(string) (string, bool) { return "keep-Secret", true }}
			_, problems := loadFiles(t, in, map[string]string{"plan.hcl": inGroup(c.plan)})
			if !strings.Contains(problems, c.want) || strings.Contains(problems, "keep-Secret") {
				t.Errorf("got %s\nwant %s", problems, c.want)
			}
		})
	}
	if _, problems := load(t, machine+"dynamic \"host\" {}\n", schema.Input{}); !strings.Contains(problems, "belongs in their group") {
		t.Error(problems)
	}
}

// TestForEachThatFailed: what follows from a problem is not reported again.
func TestForEachThatFailed(t *testing.T) {
	_, problems := load(t, "locals {\n rows = [for r in nothing : r]\n}\n"+inGroup(fromRows("local.rows", "row.value", "")), schema.Input{})
	if strings.Count(problems, "\n") != 1 || !strings.Contains(problems, "nothing") {
		t.Error(problems)
	}
}

// TestSecretsInRows: a row may hold a secret, if only a secret argument takes it.
func TestSecretsInRows(t *testing.T) {
	in := schema.Input{Environ: func(string) (string, bool) { return "word", true }}
	plan := inGroup(fromRows(`{ h1 = env("S") }`, "row.key", "bmc { password = row.value }"))
	p, problems := load(t, plan, in)
	if problems != "" || p.Hosts()[0].BMC.Password.Reveal() != "word" {
		t.Errorf("%s", problems)
	}
	if _, problems := load(t, strings.Replace(plan, "password = row.value", "username = row.value", 1), in); !strings.Contains(problems, "sensitive") || strings.Contains(problems, "word") && !strings.Contains(problems, "password") {
		t.Errorf("%s", problems)
	}
}

// TestProblemsNameTheRow: which row made the host, and in which line it is written.
func TestProblemsNameTheRow(t *testing.T) {
	const table = "name,address,note\nh1,192.0.2.1,\"two\nlines\"\n\nh2,nowhere,\nh3,192.0.2.3,\n"
	address := "esxi { address = row.value.address }"
	for name, c := range map[string]struct{ plan, want string }{
		"a table": {inGroup(fromRows(`csvdecode(file("rows.csv"))`, "row.value.name", address)), `Host "h2" is made by rows.csv:5, element 1 of for_each at plan.hcl:7:16.`},
		"a filtered table, in a local": {"locals {\n rows = { for r in csvdecode(file(\"rows.csv\")) : r.name => r if r.name != \"h1\" }\n}\n" + inGroup(fromRows(`local.rows`, "row.key", address)),
			`Host "h2" is made by rows.csv:5, element "h2" of for_each at plan.hcl:10:16.`},
		"rows that were changed": {inGroup(fromRows(`[for r in csvdecode(file("rows.csv")) : { n = r.name, address = r.address }]`, "row.value.n", address)), `Host "h2" is made by element 1 of for_each at plan.hcl:7:16.`},
		"a list in a local":      {"locals {\n rows = [\n  \"192.0.2.1\",\n  \"nowhere\",\n ]\n}\n" + inGroup(fromRows("local.rows", `"h${row.key}"`, "esxi { address = row.value }")), `Host "h1" is made by plan.hcl:4, element 1 of for_each at plan.hcl:13:16.`},
		"an object": {inGroup(fromRows("{\n  h2 = \"nowhere\"\n  h1 = \"192.0.2.1\"\n }", "row.key", "esxi { address = row.value }")),
			`Host "h2" is made by plan.hcl:8, element "h2" of for_each at plan.hcl:7:16.`},
		"a range":          {inGroup("host \"h[1:3]\" {\n esxi { address = [\"192.0.2.1\", \"nowhere\", \"192.0.2.3\"][host.index] }\n}"), `Host "h2" is made by host "h[1:3]" at plan.hcl:6:1.`},
		"all of a block":   {inGroup("host \"h[1:3]\" {\n vendor = \"nobody\"\n}"), "This concerns all 3 hosts of group g."},
		"some of a block":  {inGroup("host \"h[1:9]\" {\n vendor = host.index < 7 ? \"nobody\" : \"auto\"\n}"), `They are made by: h1 (h[1:9]), h2 (h[1:9]), h3 (h[1:9]), h4 (h[1:9]), h5 (h[1:9]), and 2 more.`},
		"one name, twice":  {inGroup(fromRows(`[for r in csvdecode(file("rows.csv")) : r if r.name != "h2"]`, `"h"`, "bmc { address = row.value.name }")), `Host "h" and host "h" (rows.csv:2, element 0 of for_each at plan.hcl:7:16) both have host name "h".` + "\n" + `Host "h" is made by rows.csv:6, element 1 of for_each at plan.hcl:7:16.`},
		"a bad name":       {inGroup(fromRows(`csvdecode(file("rows.csv"))`, "row.value.name == \"h2\" ? null : row.value.name", "bmc { address = row.value.name }")), "The name of a host is null here.\nThe host is made by rows.csv:5"},
		"a step":           {inGroup(fromRows(`csvdecode(file("rows.csv"))`, "row.value.name", "vars = { n = row.value.note }")) + "step \"try\" \"s\" { wait = host.vars.n == \"\" ? \"1s\" : host.vars.n }\n", `Host "h1" is made by rows.csv:2`},
		"an unknown value": {inGroup(fromRows(`csvdecode(file("rows.csv"))`, "row.value.name", "serial = row.value.nmae")), "This concerns all 3 hosts of group g."},
	} {
		t.Run(name, func(t *testing.T) {
			_, problems := loadFiles(t, schema.Input{}, map[string]string{"plan.hcl": c.plan, "rows.csv": table})
			if !strings.Contains(problems, c.want) {
				t.Errorf("got %s\nwant %s", problems, c.want)
			}
		})
	}
}

// TestEqualRows: the line of a row is said only where it is certain.
func TestEqualRows(t *testing.T) {
	plan := inGroup(fromRows(`csvdecode(file("a.csv"))`, "\"h${row.key}\"", "vendor = row.value.v"))
	for name, c := range map[string]struct{ other, want string }{
		"in one file":  {"", "h0 a.csv:2, h1 a.csv:3"},
		"in two files": {"locals {\n other = csvdecode(file(\"b.csv\"))\n}\n", "h0 for_each[0], h1 for_each[1]"},
	} {
		p, problems := loadFiles(t, schema.Input{}, map[string]string{"plan.hcl": c.other + plan, "a.csv": "v\nacme\nacme\n", "b.csv": "v\nacme\n"})
		var got []string
		for _, h := range p.Hosts() {
			got = append(got, h.Name+" "+filepath.Base(h.Origin().Short()))
		}
		if problems != "" || strings.Join(got, ", ") != c.want {
			t.Errorf("%s: %s %s", name, got, problems)
		}
	}
}

// TestCells: which cell of a table an argument is taken from.
func TestCells(t *testing.T) {
	p, problems := loadFiles(t, schema.Input{}, map[string]string{
		"rows.csv": "name,sn,mac\nh1,S1,\nh2,,\n",
		"plan.hcl": inGroup(fromRows(`csvdecode(file("rows.csv"))`, "row.value.name", `
serial = row.value["sn"]
bmc { address = "${row.value.name}-x${row.value.sn}" }
esxi {
  address = "192.0.2.${row.key + 1}"
  nic     = row.value.mac == "" ? null : upper(row.value.mac)
}`) + "host \"h3\" { serial = \"S3\" }\n")})
	if problems != "" {
		t.Fatal(problems)
	}
	for path, want := range map[string]string{"serial": "rows.csv 3 sn", "esxi.nic": "rows.csv 3 mac", "bmc.address": "", "esxi.address": "", "esxi.disk": "", "bmc.username": ""} {
		got := ""
		if c, ok := p.Hosts()[1].Cell(path); ok {
			got = fmt.Sprint(filepath.Base(c.File), " ", c.Line, " ", c.Column)
		}
		if got != want {
			t.Errorf("%s is taken from %q, want %q", path, got, want)
		}
	}
	alone := p.Hosts()[2]
	if _, ok := alone.Cell("serial"); ok || alone.Origin() != nil || alone.Label() != "h3" {
		t.Error("a host with a block of its own has a row")
	}
}

// TestPartsOfRows: the digest of a host changes with its row, and with nothing in another one.
func TestPartsOfRows(t *testing.T) {
	plan := "group \"g\" {\n  bmc {\n    username = \"u\"\n    password = \"p\"\n  }\n" + fromRows(`csvdecode(file("rows.csv"))`, "row.value.name", `
serial = row.value.serial
esxi {
  address = row.value.address
  disk    = { serial = one([for d in [host.facts.model] : d if d == row.value.disk]) }
}`) + "}\nstep \"try\" \"s\" { text = \"${host.serial}-${lookup(local.words, host.name, \"\")}\" }\nlocals {\n words = { h1 = \"a\" }\n}\n"
	const table = "name,serial,address,disk\nh1,S1,192.0.2.1,D1\nh2,S2,192.0.2.2,D2\n"
	parts := func(plan, table string) map[string]map[string]string {
		p, problems := loadFiles(t, schema.Input{}, map[string]string{"plan.hcl": plan, "rows.csv": table})
		if problems != "" {
			t.Fatal(problems)
		}
		out := map[string]map[string]string{}
		for _, h := range p.Hosts() {
			out[h.Name] = p.Parts(h)
		}
		return out
	}
	before := parts(plan, table)
	for name, c := range map[string]struct {
		plan, table string
		h1, h2      []string
	}{
		"another row":               {plan, strings.Replace(table, "S2", "S3", 1), nil, []string{"serial"}},
		"a row before":              {plan, strings.Replace(table, "h1,", "h0,S0,192.0.2.9,D0\nh1,", 1), nil, nil},
		"a deferred disk":           {plan, strings.Replace(table, "D1", "D3", 1), []string{"esxi.disk"}, nil},
		"a column more":             {plan, strings.NewReplacer("disk\n", "disk,x\n", "D1\n", "D1,x\n", "D2\n", "D2,y\n").Replace(table), nil, nil},
		"a row less":                {plan, strings.Replace(table, "h1,S1,192.0.2.1,D1\n", "", 1), nil, nil},
		"what the content says":     {strings.Replace(plan, "serial = row.value.serial", "serial = \"X-${row.value.serial}\"", 1), table, []string{"serial"}, []string{"serial"}},
		"a table of a step, for h1": {strings.Replace(plan, `h1 = "a"`, `h1 = "b"`, 1), table, []string{"local.words"}, []string{"local.words"}},
	} {
		t.Run(name, func(t *testing.T) {
			now := parts(c.plan, c.table)
			for host, want := range map[string][]string{"h1": c.h1, "h2": c.h2} {
				if now[host] == nil {
					continue
				}
				if got := schema.DifferingParts(before[host], now[host]); !slices.Equal(got, want) {
					t.Errorf("of %s differs %v, want %v", host, got, want)
				}
			}
		})
	}
}

// TestPartsOfPositions: the position of a host takes part where a step asks for it.
func TestPartsOfPositions(t *testing.T) {
	for step, want := range map[string][]string{`"${host.index}"`: {"step s"}, `jsonencode(host) == "" ? "" : "x"`: {"step s"}, `host.name`: nil} {
		var parts []map[string]string
		for _, rows := range []string{`["h"]`, `["g0", "h"]`} {
			p, problems := load(t, inGroup(fromRows(rows, "row.value", ""))+"step \"try\" \"s\" { text = nonsensitive("+step+") }\n", schema.Input{})
			h, ok := p.Host("h")
			if !ok || problems != "" {
				t.Fatal(problems)
			}
			parts = append(parts, p.Parts(h))
		}
		if got := schema.DifferingParts(parts[0], parts[1]); !slices.Equal(got, want) {
			t.Errorf("%s: differs %v, want %v", step, got, want)
		}
	}
}

// TestRowsOfLateArguments: what waits for the facts of a machine still sees its row.
func TestRowsOfLateArguments(t *testing.T) {
	p, problems := load(t, inGroup(fromRows(`["D1", "D2"]`, "\"h${row.key}\"", `esxi {
  address = "192.0.2.${row.key + 1}"
  disk    = { serial = "${host.facts.model}-${row.value}" }
}`)), schema.Input{})
	if problems != "" {
		t.Fatal(problems)
	}
	h, diags := p.Resolve(p.Hosts()[1], cty.ObjectVal(map[string]cty.Value{"model": cty.StringVal("M")}))
	if diags.HasErrors() || h.ESXi.Disk.String() != "serial M-D2" {
		t.Errorf("%v %v", diags, h.ESXi.Disk)
	}
}
