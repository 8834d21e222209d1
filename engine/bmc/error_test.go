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

// TestTextBesideEmptyEntries: some emulators say what is wrong in error.message, beside an
// entry that says nothing.
func TestTextBesideEmptyEntries(t *testing.T) {
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
