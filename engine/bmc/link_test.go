package bmc

import (
	"encoding/json"
	"errors"
	"net/url"
	"strings"
	"testing"
)

// TestPath: a link becomes a path of the BMC's own origin, or no request at all.
func TestPath(t *testing.T) {
	own, err := originOf("https://BMC.example")
	if err != nil {
		t.Fatal(err)
	}
	const sessions = "/redfish/v1/SessionService/Sessions"
	for _, c := range []struct {
		given, want string // "" is refused
	}{
		{sessions, sessions}, {sessions + "/", sessions + "/"},
		{"/redfish/v1/Systems?$expand=.($levels=1)", "/redfish/v1/Systems?$expand=.($levels=1)"},
		{"/redfish/v1/Chassis/1/Power#/PowerSupplies/0", "/redfish/v1/Chassis/1/Power"},
		{"/redfish/v1/Managers/1/iDRAC.Embedded.1%23NIC.1", "/redfish/v1/Managers/1/iDRAC.Embedded.1%23NIC.1"},
		{"/redfish/v1/Volumes/a|b:c", "/redfish/v1/Volumes/a%7Cb:c"}, {"/redfish/v1/Drives/a b?c d", "/redfish/v1/Drives/a%20b?c%20d"},
		{"https://bmc.example" + sessions, sessions}, {"HTTPS://BMC.EXAMPLE:443" + sessions, sessions}, {"https://bmc.example", "/"},
		{"/redfish/v1?x=https://evil/", "/redfish/v1?x=https://evil/"},

		{"", ""}, {"Sessions", ""}, {"F0", ""}, {"@evil/x", ""}, {"@127.0.0.9:9443/x", ""}, {":pw@evil/x", ""}, {".evil/x", ""}, {":9443/x", ""}, {"?@evil/x", ""}, {"#@evil/x", ""},
		{"%2f@evil/x", ""}, {"%2F%2Fevil/x", ""}, {"%40evil/x", ""}, {"//evil/x", ""}, {"///evil/x", ""}, {`\\evil\x`, ""}, {`/\evil/x`, ""}, {`\/evil/x`, ""},
		{"http://bmc.example/x", ""}, {"https://bmc.example:9443/x", ""}, {"https://evil/x", ""}, {"https://bmc.example@evil/x", ""}, {"https://u:p@bmc.example/x", ""}, {"https://bmc.example.evil/x", ""},
		{"https:///x", ""}, {"https:/x", ""}, {"https:x", ""}, {"file:///etc/passwd", ""}, {"javascript:alert(1)", ""}, {"ftp://bmc.example/x", ""},
		{"https://bmc.example//evil/x", ""}, {"https://bmc.example?@evil/", "/?@evil/"}, {"https://bmc.example\\@evil/x", ""}, {"https://bmc.example#@evil/", "/"},
		{"/redfish/../x", ""}, {"/redfish/v1/..", ""}, {"/./x", ""}, {"/redfish/%2e%2e/x", ""}, {"/redfish/.%2E/x", ""}, {"/redfish%2f..%2fx", ""}, {"/redfish%5c..%5cx", ""}, {"/%2fevil/x", ""},
		{"/a\r\nHost: evil", ""}, {"/a\x00", ""}, {"/a\x1b[31m", ""}, {"/a%0d%0aHost:%20evil", ""}, {"/a%00", ""}, {"/a%zz", ""}, {"/a%", ""}, {"/a?b\r\nc", ""}, {"/a\tb", ""},
		{"/\u202eevil", ""}, {"/a\u009b", ""}, {"/é", ""}, {"/a\xff", ""}, {"/a%c2%9b", ""}, {"\ufeff/a", ""}, {" /a", ""},
		{"/" + strings.Repeat("a", mostOfLink), ""},
	} {
		got, err := own.path(Link(c.given))
		var refused *ErrLink
		if got.text != c.want || (c.want == "") != errors.As(err, &refused) {
			t.Errorf("%q: got %q, %v, want %q", c.given, got.text, err, c.want)
		}
		if refused != nil && (len(refused.Error()) > 700 || strings.ContainsAny(refused.Error(), "\x1b\r\n\u202e\u009b")) {
			t.Errorf("%.100q: the message is %d bytes long: %q", c.given, len(refused.Error()), refused.Error())
		}
	}
}

// TestLocated: a Location may name the BMC differently from the plan; only its path is used.
func TestLocated(t *testing.T) {
	own, err := originOf("https://10.0.0.1")
	if err != nil {
		t.Fatal(err)
	}
	for given, want := range map[string]string{
		"/redfish/v1/Tasks/1":                              "/redfish/v1/Tasks/1",
		"https://10.0.0.1/redfish/v1/Tasks/1":              "/redfish/v1/Tasks/1",
		"https://ilo-7xq4t93.example:8443/redfish/Tasks/1": "/redfish/Tasks/1",
		"http://[fd00::1]/redfish/v1/Tasks/1":              "/redfish/v1/Tasks/1",
		"https://u:p@evil/redfish/v1/Tasks/1":              "", "https:///x": "", "//evil/x": "", "@evil/x": "", "%2f@evil": "", "https://evil//x": "", "https://evil/../x": "", "https://evil\\x": "", "": "",
	} {
		if got, err := own.located(Link(given)); got.text != want || (err == nil) != (want != "") {
			t.Errorf("%q: got %q, %v, want %q", given, got.text, err, want)
		}
	}
}

// FuzzPath: whatever a BMC writes, what is sent goes to the BMC.
func FuzzPath(f *testing.F) {
	for _, seed := range []string{"/redfish/v1", "@evil/x", "%2f@evil/x", "//evil", "https://bmc.example@evil/x", `/\evil`, "https://bmc.example:443/x?y#z", "/a%2e%2e/"} {
		f.Add(seed)
	}
	own, err := originOf("https://bmc.example")
	if err != nil {
		f.Fatal(err)
	}
	f.Fuzz(func(t *testing.T, given string) {
		for _, check := range []func(Link) (path, error){own.path, own.located} {
			at, err := check(Link(given))
			if err != nil {
				continue
			}
			u, err := url.Parse("https://bmc.example" + at.text)
			if err != nil || !own.has(u) || strings.Contains(u.Path, "/../") || strings.ContainsFunc(at.text, func(r rune) bool { return r <= ' ' || r > '~' }) {
				t.Errorf("%q is sent as %q (%v)", given, at.text, err)
			}
		}
	})
}

// TestLinkForms reads links in the forms in which BMCs write them, and no link where there is none.
func TestLinkForms(t *testing.T) {
	for body, want := range map[string]Link{
		`{"@odata.id":"/a"}`: "/a", `{"href":"/a"}`: "/a", `{"@odata.id":"","href":"/a"}`: "/a", `{"@odata.id":7,"href":"/a"}`: "/a", `"/a"`: "/a", `{"@odata.id":"\u002fa","x":[1]}`: "/a",
		`{}`: "", `null`: "", `7`: "", `[]`: "", `["/a"]`: "", `true`: "", `""`: "", `{"@odata.id":{"@odata.id":"/a"}}`: "", `{"@odata.id":null}`: "",
	} {
		doc := struct {
			Before string
			Link   Link
			After  string
		}{Link: "/left"}
		if err := json.Unmarshal([]byte(`{"Before":"b","Link":`+body+`,"After":"a"}`), &doc); err != nil || doc.Link != want || doc.Before+doc.After != "ba" {
			t.Errorf("%s: %+v, %v, want %q", body, doc, err, want)
		}
	}
}

// TestTransportKeepsToItsOrigin: the last check, for a request that was not made from a
// checked path.
func TestTransportKeepsToItsOrigin(t *testing.T) {
	r, err := newRedfish(Options{Address: "http://127.0.0.1:9"})
	if err != nil {
		t.Fatal(err)
	}
	for _, to := range []string{"http://127.0.0.9:9/", "https://127.0.0.1:9/", "http://u@127.0.0.1:9/", "http://127.0.0.1:9@127.0.0.9/", "http://127.0.0.1/"} {
		if _, err := r.http.Get(to); err == nil || !strings.Contains(err.Error(), "the request was not sent") {
			t.Errorf("%s: %v", to, err)
		}
	}
}

// TestMeasure: a document that would grow when it is decoded is refused first.
func TestMeasure(t *testing.T) {
	for body, want := range map[string]string{
		`{"a":[1,2,{"b":"[[[,,,\\\""}]}`:                              "",
		strings.Repeat("[", maxDepth) + strings.Repeat("]", maxDepth): "",
		strings.Repeat("[", maxDepth+1):                               "nested deeper",
		strings.Repeat(`{"a":`, 5_000_000):                            "nested deeper",
		"[" + strings.Repeat("0,", maxValues+1) + "0]":                "more than 100000 values",
		"[" + strings.Repeat("{}", maxValues+1) + "]":                 "more than 100000 values",
		"<html>" + strings.Repeat(",", maxValues+1):                   "",
		`"` + strings.Repeat(",", maxValues+1) + `"`:                  "",
		"": "",
	} {
		_, err := fit([]byte(body), nil)
		if (err == nil) != (want == "") || err != nil && !strings.Contains(err.Error(), want) {
			t.Errorf("%.40q: %v, want %q", body, err, want)
		}
	}
}
