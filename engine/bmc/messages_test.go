package bmc

import (
	"errors"
	"net/http"
	"strings"
	"testing"
	"unicode/utf8"
)

// TestCatalogue: every entry says something, and what is final says what to do or is
// clear by itself.
func TestCatalogue(t *testing.T) {
	for _, table := range []map[string]Advice{catalogue, general} {
		for id, a := range table {
			if a.Text == "" || lastPart(id) != id {
				t.Errorf("%q: %+v", id, a)
			}
		}
	}
}

// TestAdvice: a specific message wins over one that says only that something failed, and an
// answer with an unknown message is judged by its status.
func TestAdvice(t *testing.T) {
	r := &Redfish{}
	r.messages.Store(&map[string]Advice{"SYS446": {Text: "vendor's word", Retry: true}})
	for _, c := range []struct {
		name      string
		status    int
		messages  []Message
		text      string
		retryable bool
	}{
		{"vendor before general", 500, []Message{{ID: "InternalError"}, {ID: "SYS446"}}, "vendor's word", true},
		{"general alone", 500, []Message{{ID: "InternalError"}}, "the BMC failed internally", true},
		{"known before unknown", 400, []Message{{ID: "Odd"}, {ID: "PropertyUnknown"}}, "the BMC does not know this property", false},
		{"unknown 400", http.StatusBadRequest, []Message{{ID: "Odd"}}, "", false},
		{"unknown 503", http.StatusServiceUnavailable, nil, "", true},
		{"unknown 409", http.StatusConflict, nil, "", true},
		{"no answer", 0, nil, "", true},
	} {
		e := &Error{Status: c.status, Messages: c.messages}
		r.explain(e)
		if e.Advice.Text != c.text || e.Retryable() != c.retryable {
			t.Errorf("%s: %q, retryable %v", c.name, e.Advice.Text, e.Retryable())
		}
	}
}

// TestOtherWay: a refusal leads to the next way to set the boot source; a temporary
// error does not.
func TestOtherWay(t *testing.T) {
	for _, c := range []struct {
		err  error
		want bool
	}{
		{&Error{Status: 400, Messages: []Message{{ID: "PropertyNotWritable"}}, Advice: catalogue["PropertyNotWritable"]}, true},
		{&Error{Status: 503}, false}, {&Error{}, false}, {&ErrUnsupported{"x"}, true}, {errors.New("x"), false},
	} {
		if OtherWay(c.err) != c.want {
			t.Errorf("%v: %v", c.err, !c.want)
		}
	}
}

// TestKeptAnswer: of an answer that refuses, people get the beginning, as text, without what
// fields call a secret; where there was no answer, nothing.
func TestKeptAnswer(t *testing.T) {
	long := `{"Password":"hunter22","Text":"` + strings.Repeat("ä", mostKept) + `"}`
	for body, want := range map[string]string{
		`{"error":{"code":"x"}}`:          `{"error":{"code":"x"}}`,
		"one\ntwo\x1b[1m":                 "one\ntwo\uFFFD[1m",
		"{\"Token\":\"abc\",\"x\":\"\xff": `{"Token":"(sensitive)","x":"` + "\uFFFD",
		long:                              "",
	} {
		e := &Error{Request: "POST /x", Status: 400}
		e.keep([]byte(body))
		request, status, got, ok := e.Answer()
		if !ok || request != "POST /x" || status != 400 || want != "" && got != want {
			t.Errorf("%q is kept as %s %d %q", body, request, status, got)
		}
		if len(got) > mostKept || strings.Contains(got, "hunter22") || !utf8.ValidString(got) {
			t.Errorf("%d bytes are kept: %.60s", len(got), got)
		}
	}
	for what, e := range map[string]interface {
		Answer() (string, int, string, bool)
	}{"no answer": &Error{Request: "GET /x"}, "a login that was not tried": &ErrLogin{Untried: true}} {
		if _, _, _, ok := e.Answer(); ok {
			t.Errorf("%s counts as an answer", what)
		}
	}
	if request, status, _, ok := (&ErrLogin{answered: &Error{Request: "POST /login", Status: 401}}).Answer(); !ok || request != "POST /login" || status != 401 {
		t.Errorf("a refused login has the answer %s %d", request, status)
	}
}

// TestSecretsLeaveNoTrace: bodies as they are shown hold no secret, in whatever field.
func TestSecretsLeaveNoTrace(t *testing.T) {
	for body, want := range map[string]string{
		`{"UserName":"root","Password":"a\"b"}`:                         `{"UserName":"root","Password":"(sensitive)"}`,
		`{"Oem":{"Session":{"X-Auth-Token" : "abc"}}}`:                  `{"Oem":{"Session":{"X-Auth-Token" : "(sensitive)"}}}`,
		`{"Attributes":{"Users.2.MD5v3Key":"k","SNMP.1.Community":""}}`: `{"Attributes":{"Users.2.MD5v3Key":"(sensitive)","SNMP.1.Community":"(sensitive)"}}`,
		`{"Image":"http://x/y.iso"}`:                                    `{"Image":"http://x/y.iso"}`,
	} {
		if got := withoutSecrets([]byte(body)); got != want {
			t.Errorf("%s\nshows %s", body, got)
		}
	}
}
