package report

import (
	"encoding/xml"
	"fmt"
	"io"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"
)

// TestJUnitSchema: the report has what both the schema of Apache Ant and that of Jenkins demand,
// and nothing that one of them does not have.
func TestJUnitSchema(t *testing.T) {
	killed := begin("dell-01")
	killed.host("dell-01")
	for name, report := range map[string]string{
		"mixed": written(t, JUnit, mixed(), about), "hostile": written(t, JUnit, hostile(), hostileAbout), "killed": written(t, JUnit, killed.events, About{}), "fleet": written(t, JUnit, fleet(60), about),
	} {
		root, err := parse(report)
		if err != nil {
			t.Errorf("%s: %v", name, err)
			continue
		}
		for _, bad := range root.problems(element{"testsuites", nil, []child{{"testsuite", 0, many}}}) {
			t.Errorf("%s: %s", name, bad)
		}
		for i, s := range root.children {
			if s.attributes["id"] != strconv.Itoa(i) {
				t.Errorf("%s: suite %d has the ID %s", name, i, s.attributes["id"])
			}
			s.checkCounts(t, name)
		}
	}
}

// node is an element of XML.
type node struct {
	name       string
	attributes map[string]string
	children   []*node
	text       string
}

// parse reads a document of XML.
func parse(document string) (*node, error) {
	d := xml.NewDecoder(strings.NewReader(document))
	open := []*node{{}}
	for {
		token, err := d.Token()
		switch token := token.(type) {
		case xml.StartElement:
			n := &node{name: token.Name.Local, attributes: map[string]string{}}
			for _, a := range token.Attr {
				n.attributes[a.Name.Local] = a.Value
			}
			parent := open[len(open)-1]
			parent.children, open = append(parent.children, n), append(open, n)
		case xml.EndElement:
			open = open[:len(open)-1]
		case xml.CharData:
			open[len(open)-1].text += string(token)
		}
		if err == io.EOF && len(open[0].children) == 1 {
			return open[0].children[0], nil
		} else if err != nil {
			return nil, err
		}
	}
}

// element is what the schemas say of one: its attributes, each with the form of its value, and its
// children in their order.
type element struct {
	name       string
	attributes map[string]string
	children   []child
}

type child struct {
	name        string
	least, most int
}

const many = 1 << 30

// Forms of values. Where the schemas differ, both are met.
const (
	anything = `(?s).*`
	filled   = `(?s).*\S.*`
	count    = `[0-9]+`
	decimal  = `[0-9]+\.[0-9]{3}`
	instant  = `[0-9]{4}-[0-9]{2}-[0-9]{2}T[0-9]{2}:[0-9]{2}:[0-9]{2}`
)

// elements are the elements of a report. A case has one result at most; text stands in results
// and outputs only.
var elements = map[string]element{
	"testsuite": {"testsuite", map[string]string{"package": anything, "id": count, "name": filled, "timestamp": instant, "hostname": filled, "tests": count, "failures": count, "errors": count, "skipped": count, "time": decimal},
		[]child{{"properties", 1, 1}, {"testcase", 0, many}, {"system-out", 1, 1}, {"system-err", 1, 1}}},
	"properties": {"properties", nil, []child{{"property", 0, many}}},
	"property":   {"property", map[string]string{"name": filled, "value": anything}, nil},
	"testcase":   {"testcase", map[string]string{"name": filled, "classname": filled, "time": decimal}, []child{{"skipped", 0, 1}, {"error", 0, 1}, {"failure", 0, 1}}},
	"skipped":    {"skipped", map[string]string{"type": filled, "message": anything}, nil},
	"error":      {"error", map[string]string{"type": filled, "message": anything}, nil},
	"failure":    {"failure", map[string]string{"type": filled, "message": anything}, nil},
	"system-out": {"system-out", nil, nil},
	"system-err": {"system-err", nil, nil},
}

var withText = []string{"skipped", "error", "failure", "system-out", "system-err"}

// problems says how an element differs from what the schemas say.
func (n *node) problems(e element) (out []string) {
	add := func(format string, values ...any) {
		out = append(out, n.name+": "+fmt.Sprintf(format, values...))
	}
	if n.name != e.name || len(n.attributes) != len(e.attributes) {
		add("should be %s with %d attributes, has %v", e.name, len(e.attributes), n.attributes)
	}
	for name, form := range e.attributes {
		if value, ok := n.attributes[name]; !ok || !regexp.MustCompile(`^(?:`+form+`)$`).MatchString(value) {
			add("%s=%q is not of the form %s", name, value, form)
		}
	}
	if strings.TrimSpace(n.text) != "" && !slices.Contains(withText, n.name) {
		add("has the text %q", n.text)
	}
	rest := n.children
	for _, c := range e.children {
		seen := 0
		for ; len(rest) > 0 && rest[0].name == c.name; rest = rest[1:] {
			out = append(out, rest[0].problems(elements[c.name])...)
			seen++
		}
		if seen < c.least || seen > c.most {
			add("has %d times %s", seen, c.name)
		}
	}
	if len(rest) > 0 {
		add("%s is not expected here", rest[0].name)
	}
	if n.name == "testcase" && len(n.children) > 1 {
		add("has more than one result")
	}
	return out
}

// checkCounts compares what a suite says of its cases with them.
func (n *node) checkCounts(t *testing.T, report string) {
	t.Helper()
	have, names := map[string]int{}, map[string]bool{}
	for _, c := range n.children {
		if c.name != "testcase" {
			continue
		}
		have["tests"]++
		if names[c.attributes["name"]] {
			t.Errorf("%s: suite %s has the case %s twice", report, n.attributes["name"], c.attributes["name"])
		}
		names[c.attributes["name"]] = true
		for _, r := range c.children {
			have[map[string]string{"skipped": "skipped", "error": "errors", "failure": "failures"}[r.name]]++
		}
	}
	for _, name := range []string{"tests", "skipped", "errors", "failures"} {
		if n.attributes[name] != strconv.Itoa(have[name]) {
			t.Errorf("%s: suite %s says %s=%s, and has %d", report, n.attributes["name"], name, n.attributes[name], have[name])
		}
	}
}

// TestJUnitCases: each step of each host is a case, whatever became of it, and none is a success
// that was none.
func TestJUnitCases(t *testing.T) {
	root, err := parse(written(t, JUnit, mixed(), about))
	if err != nil {
		t.Fatal(err)
	}
	want := map[string][]string{
		"dell-01": {"", "", "", ""}, "dell-02": {"", "failure", "skipped", "skipped"}, "dell-03": {"error", "skipped", "skipped", "skipped"},
		"dell-04": {"failure", "skipped", "skipped", "skipped"}, "dell-05": {"skipped", "skipped", "skipped", "skipped"}, "dell-06": {"skipped", "skipped", "", "error"},
		"dell-07": {"skipped", "skipped", "error", "skipped"}, "dell-08": {"skipped", "skipped", "skipped", "failure"}, "dell.09": {"skipped", "skipped", "skipped", "skipped"}, "run nightly-7": {"error"},
	}
	if len(root.children) != len(want) {
		t.Errorf("%d suites, want %d", len(root.children), len(want))
	}
	for _, s := range root.children {
		var got []string
		for _, c := range s.children {
			if c.name != "testcase" {
				continue
			}
			result := ""
			if len(c.children) > 0 {
				result = c.children[0].name
			}
			got = append(got, result)
		}
		if host := s.attributes["name"]; !slices.Equal(got, want[host]) {
			t.Errorf("%s: %q, want %q", host, got, want[host])
		}
	}
}
