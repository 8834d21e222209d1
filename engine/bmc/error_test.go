package bmc

import (
	"net/url"
	"strings"
	"testing"
)

// TestExtendedInfo reads error bodies in the shapes that BMCs were seen to send.
func TestExtendedInfo(t *testing.T) {
	for name, c := range map[string]struct{ body, want string }{
		"list":          {`{"error":{"@Message.ExtendedInfo":[{"MessageId":"IDRAC.1.6.SYS446","Message":"m"},{"MessageId":"Base.1.2.InternalError"}]}}`, "SYS446 InternalError"},
		"single object": {`{"error":{"@Message.ExtendedInfo":{"MessageId":"Base.1.8.PropertyUnknown","MessageArgs":["Inserted"]}}}`, "PropertyUnknown"},
		"old spelling":  {`{"error":{"@Message.ExtendedInfo":[{"MessageID":"iLO.0.10.InvalidOperationForSystemState"}]}}`, "InvalidOperationForSystemState"},
		"top level":     {`{"@Message.ExtendedInfo":[{"MessageId":"Base.1.4.0.InternalError"}]}`, "InternalError"},
		"code only":     {`{"error":{"code":"Base.1.8.GeneralError","message":"no"}}`, "GeneralError"},
		"odd types":     {`{"error":{"code":5,"@Message.ExtendedInfo":[{"MessageId":"X.Y","MessageArgs":7,"RelatedProperties":"#/A"}]}}`, "Y"},
		"html":          {`<html>`, ""}, "empty": {``, ""}, "null": {`null`, ""}, "list at top": {`[1]`, ""},
	} {
		t.Run(name, func(t *testing.T) {
			var ids []string
			for _, m := range extendedInfo([]byte(c.body)) {
				ids = append(ids, m.ID)
			}
			if got := strings.Join(ids, " "); got != c.want {
				t.Errorf("got %q, want %q", got, c.want)
			}
		})
	}
}

// TestTextWithEmptyEntries: some emulators say what is wrong in error.message, next to an
// entry that says nothing.
func TestTextWithEmptyEntries(t *testing.T) {
	got := extendedInfo([]byte(`{"error":{"code":"Base.1.0.GeneralError","message":"Failed fetching image","@Message.ExtendedInfo":[{"MessageId":"Base.1.0.GeneralError"}]}}`))
	if len(got) != 1 || got[0].Text != "Failed fetching image" {
		t.Errorf("%+v", got)
	}
	got = extendedInfo([]byte(`{"error":{"message":"See @Message.ExtendedInfo","@Message.ExtendedInfo":[{"MessageId":"Base.1.8.PropertyUnknown"}]}}`))
	if len(got) != 1 || got[0].Text != "" {
		t.Errorf("%+v", got)
	}
}

func FuzzExtendedInfo(f *testing.F) {
	f.Add([]byte(`{"error":{"@Message.ExtendedInfo":[{"MessageId":"a.b","MessageArgs":["x"]}]}}`))
	f.Fuzz(func(_ *testing.T, body []byte) { extendedInfo(body) })
}

func TestEndpoint(t *testing.T) {
	for address, want := range map[string]string{
		"https://10.0.0.1": "https://10.0.0.1", "https://bmc.example:8443": "https://bmc.example:8443", "http://10.0.0.1": "http://10.0.0.1", "https://[fd00::1]": "https://[fd00::1]",
		"10.0.0.1": "", "10.0.0.1:8443": "", "fd00::1": "", "https://bmc.example/": "", "ftp://x": "", "https://u:p@x": "", "a b": "", "https://x/redfish": "", "https://x?a=b": "", "https://": "", "": "",
	} {
		got, err := originOf(address)
		if (err == nil) != (want != "") || err == nil && !got.has(&url.URL{Scheme: got.scheme, Host: strings.TrimPrefix(want, got.scheme+"://")}) {
			t.Errorf("%s: %q, %v", address, got, err)
		}
	}
}

// TestWords: what a BMC says is kept wherever it is, and no empty text replaces it.
func TestWords(t *testing.T) {
	const failed = "Failed fetching image from URL: Connection refused"
	for name, c := range map[string]struct{ body, want string }{
		"an entry with an ID only":    {`{"error":{"code":"Base.1.0.GeneralError","message":"` + failed + `","@Message.ExtendedInfo":[{"MessageId":"Base.1.8.InternalError"}]}}`, failed},
		"an entry that says nothing":  {`{"error":{"message":"` + failed + `","@Message.ExtendedInfo":[{"MessageId":"Base.1.0.GeneralError","Message":"A general error has occurred. See ExtendedInfo for more information."}]}}`, failed},
		"entries without anything":    {`{"error":{"message":"` + failed + `","@Message.ExtendedInfo":[{}]}}`, failed},
		"an empty list":               {`{"error":{"message":"` + failed + `","@Message.ExtendedInfo":[]}}`, failed},
		"a second entry that says it": {`{"error":{"message":"Failed","@Message.ExtendedInfo":[{"MessageId":"Base.1.8.InternalError"},{"MessageId":"A.B","Message":"` + failed + `"}]}}`, failed},
		"a message that points away":  {`{"error":{"message":"See @Message.ExtendedInfo for more information.","@Message.ExtendedInfo":[{"MessageId":"Base.1.8.InternalError"}]}}`, ""},
	} {
		t.Run(name, func(t *testing.T) {
			e := &Error{Request: "POST /x", Status: 500, Messages: extendedInfo([]byte(c.body))}
			e.explain(nil)
			if got := strings.TrimPrefix(e.text(), ": "); got != c.want || !strings.Contains(e.Error(), c.want) {
				t.Errorf("got %q, want %q: %v", got, c.want, e)
			}
		})
	}
}

// TestNextStep: every answer that fails says what was asked, what the BMC said, and what to
// do next.
func TestNextStep(t *testing.T) {
	for status, want := range map[int]string{
		200: "reset the BMC", 302: "give the address that it redirects to", 400: "--trace", 401: "user rights", 403: "user rights", 404: "license and firmware", 405: "license and firmware",
		409: "run this again", 412: "--trace", 423: "--trace", 429: "run this again", 500: "image's URL; if it is reached, reset the BMC", 501: "license and firmware", 503: "run this again", 504: "image's URL; if it is reached, reset the BMC",
	} {
		e := &Error{Op: "insert slot 1", Request: "POST /x", Status: status, Messages: []Message{{ID: "Odd", Text: "It is odd."}}}
		if text := e.Error(); !strings.HasPrefix(text, "insert slot 1: POST /x: the BMC answers ") || !strings.Contains(text, "Odd: It is odd; ") || !strings.Contains(text, want) {
			t.Errorf("%d: %s, want %q", status, text, want)
		}
	}
	for _, status := range []int{200, 404} {
		if text := (&Error{Request: "GET /redfish/v1/", Status: status}).Error(); !strings.Contains(text, "check that the address is that of a BMC") {
			t.Errorf("%s", text)
		}
	}
	for id, advice := range catalogue {
		e := &Error{Request: "POST /x", Status: 400, Messages: []Message{{ID: id, Text: "Odd words."}}}
		if e.explain(nil); e.next() == "" || !strings.Contains(e.Error(), "Odd words.") || !strings.Contains(e.Error(), advice.Text) {
			t.Errorf("%v", e)
		}
	}
}
