package bmc

import (
	"errors"
	"net/http"
	"testing"
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
