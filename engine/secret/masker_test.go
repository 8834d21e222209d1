package secret_test

import (
	"encoding/base64"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"html"
	"net/url"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"esxiplan/engine/secret"
	"esxiplan/engine/text"
)

const hidden = "(sensitive)"

// escapedBy writes each byte of a text by a format.
func escapedBy(format, text string) string {
	var b strings.Builder
	for _, c := range []byte(text) {
		fmt.Fprintf(&b, format, c)
	}
	return b.String()
}

// byCharacter is escapedBy for each character, of which none needs two in UTF-16.
func byCharacter(format, text string) string {
	var b strings.Builder
	for _, c := range text {
		fmt.Fprintf(&b, format, c)
	}
	return b.String()
}

func quoted(text string) string {
	b, _ := json.Marshal(text)
	return string(b[1 : len(b)-1])
}

// forms are the ways in which a BMC could echo a secret.
func forms(text string) map[string]string {
	return map[string]string{
		"plain":            text,
		"JSON":             quoted(text),
		"JSON, slashes":    strings.ReplaceAll(quoted(text), "/", `\/`),
		"JSON, lower":      escapedBy(`\u%04x`, text),
		"JSON, upper":      escapedBy(`\u%04X`, text),
		"JSON, mixed":      text[:1] + byCharacter(`\u%04x`, text[1:4]) + quoted(text[4:]),
		"JSON in JSON":     quoted(quoted(text)),
		"escapes in JSON":  quoted(escapedBy(`\u%04x`, text)),
		"Go":               escapedBy(`\x%02x`, text),
		"query":            url.QueryEscape(text),
		"path":             url.PathEscape(text),
		"percent":          escapedBy("%%%02x", text),
		"HTML":             html.EscapeString(text),
		"HTML, numbers":    byCharacter("&#%d;", text),
		"base64":           base64.StdEncoding.EncodeToString([]byte(text)),
		"base64url":        base64.RawURLEncoding.EncodeToString([]byte(text)),
		"Basic":            base64.StdEncoding.EncodeToString([]byte("root:" + text)),
		"base64, shifted":  base64.StdEncoding.EncodeToString([]byte("x" + text + "y")),
		"base64 in a URL":  url.QueryEscape(base64.StdEncoding.EncodeToString([]byte(text))),
		"hexadecimal":      hex.EncodeToString([]byte(text)),
		"HEXADECIMAL":      strings.ToUpper(hex.EncodeToString([]byte(text))),
		"cut off":          text[:7] + "…",
		"cut, in JSON":     quoted(text[:7]) + "...",
		"characters":       byCharacter("&#x%x;", text),
		"UTF-16 in JSON":   byCharacter(`\u%04x`, text),
		"percent in JSON":  quoted(escapedBy("%%%02X", text)),
		"entities in JSON": quoted(html.EscapeString(text)),
	}
}

func TestMaskFindsAllForms(t *testing.T) {
	for _, text := range []string{"calvin-evil-1x", `pa/ss"w\rd&<1>`, "grün/Straße 7", "100%41sure", "a b c d e f"} {
		m := secret.New(hidden)
		m.AddLogin("root", text)
		for name, form := range forms(text) {
			said := "the BMC says " + form + "."
			masked := m.Mask(said)
			if strings.Contains(masked, form) || !strings.Contains(masked, hidden) || !strings.HasPrefix(masked, "the BMC says ") {
				t.Errorf("%q, %s: %q", text, name, masked)
			}
		}
	}
}

func TestShortSecretsAreWholeValues(t *testing.T) {
	m := secret.New(hidden)
	m.AddLogin("root", "a")
	m.Add("", "  ", "12345")
	for said, want := range map[string]string{
		"a password that is a":            "(sensitive) password that is (sensitive)",
		`{"a":"a","ab":"ba"}`:             `{"a":"(sensitive)","ab":"ba"}`,
		`{"n":12345,"m":"12345"}`:         `{"n":12345,"m":"(sensitive)"}`,
		`{"s":"\u0061"}`:                  `{"s":"(sensitive)"}`,
		"\x1b[31ma\x1b[0m":                "\x1b[31m(sensitive)\x1b[0m",
		"Basic cm9vdDph, in base64 YQ==.": "Basic (sensitive), in base64 (sensitive)==.",
		"  ":                              "  ",
	} {
		if got := m.Mask(said); got != want {
			t.Errorf("%q becomes %q, not %q", said, got, want)
		}
	}
	if got := m.MaskState("one", "a 12345"); got != "a 12345" {
		t.Errorf("data becomes %q", got)
	}
}

func TestMaskKeepsJSONValid(t *testing.T) {
	m := secret.New(hidden)
	m.Add("nabcdef", `ghijkl\`, "00mnopqr", "24022510", "7")
	for _, doc := range []string{`{"x":"\nabcdef"}`, `{"x":"ghijkl\\"}`, `{"x":"ghijkl\""}`, `{"x":"\u00mnopqr"}`, `{"x":"\u2200mnopqr"}`,
		`{"build":24022510,"size": 124022510.5,"z":7}`} {
		var any json.RawMessage
		if masked := m.Mask(doc); json.Unmarshal([]byte(doc), &any) == nil && !json.Valid([]byte(masked)) {
			t.Errorf("%s becomes %s", doc, masked)
		}
	}
}

func TestTokensOfMachinesAreNotBelievedBlindly(t *testing.T) {
	m := secret.New(hidden)
	m.AddToken("one", "failed")
	m.AddToken("one", "the machine failed to start")
	m.AddToken("one", "0f9e8d7c6b5a4321")
	if got := m.Mask("the machine failed to start, token 0f9e8d7c6b5a4321"); got != "the machine failed to start, token (sensitive)" {
		t.Error(got)
	}
}

func TestWriter(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		m := secret.New(hidden)
		m.Add("calvin-evil-1x")
		out := make(written, 100)
		w := m.Writer(out)
		write := func(text, want string) {
			t.Helper()
			w.Write([]byte(text))
			if got := out.take(); got != want {
				t.Errorf("%q, not %q", got, want)
			}
		}
		write("one\ntwo cal", "one\n")
		write("vin-evil-1x\n", "two (sensitive)\n")
		write("Type yes to continue: ", "")
		time.Sleep(60 * time.Millisecond)
		synctest.Wait()
		write("", "Type yes to continue: ")
		write("calvin-", "")
		time.Sleep(60 * time.Millisecond)
		synctest.Wait()
		write("evil-1x\n", "(sensitive)\n")
		w.Write([]byte("rest"))
		err := w.Flush()
		if got := out.take(); err != nil || got != "rest" {
			t.Errorf("%q, %v", got, err)
		}
	})
}

// written is what was written, by whichever goroutine.
type written chan string

func (w written) Write(p []byte) (int, error) {
	w <- string(p)
	return len(p), nil
}

// take returns what was written since the last time.
func (w written) take() (all string) {
	for len(w) > 0 {
		all += <-w
	}
	return all
}

// TestTokenOfAnother: a machine that calls a text its token, which others need, changes only
// what people see, and its own data.
func TestTokenOfAnother(t *testing.T) {
	m := secret.New(hidden)
	m.AddToken("evil", "http://192.0.2.1:8090")
	const url = "http://192.0.2.1:8090/0cd1/h1.iso"
	for machine, want := range map[string]string{"honest": url, "evil": hidden + "/0cd1/h1.iso"} {
		if got := m.MaskResult(machine, url); got != want {
			t.Errorf("data of %s: %q", machine, got)
		}
	}
	if got := m.Mask(url); got != hidden+"/0cd1/h1.iso" {
		t.Errorf("shown as %q", got)
	}
}

// BenchmarkMask masks what 300 BMCs say, whose passwords and tokens differ.
func BenchmarkMask(b *testing.B) {
	m := secret.New(hidden)
	for i := range 300 {
		m.AddLogin("root", fmt.Sprintf("password-%03d-x", i))
		m.AddToken("one", fmt.Sprintf("%032x", i*7919))
	}
	text := strings.Repeat(`{"@odata.id":"/redfish/v1/Systems/1","Model":"PowerEdge R650","Status":{"Health":"OK"}},`, 500)
	b.SetBytes(int64(len(text)))
	for b.Loop() {
		m.Mask(text)
	}
}

func FuzzMaskKeepsJSONValid(f *testing.F) {
	f.Add("nabcdef", `{"x":"\nabcdef"}`)
	f.Fuzz(func(t *testing.T, text, doc string) {
		if strings.ContainsAny(text, `"{}[]:,`) { // a text that holds JSON's own signs may be made of a document's
			return
		}
		m := secret.New(hidden)
		m.Add(text)
		masked := m.Mask(doc)
		if json.Valid([]byte(doc)) && strings.HasPrefix(doc, `{"`) && !json.Valid([]byte(masked)) {
			t.Errorf("secret %q: %q becomes %q", text, doc, masked)
		}
	})
}

// TestMaskIsLinear: a machine chooses the token of a session, and may repeat it in an answer as
// often as it likes. What that takes must not grow with the square of the answer's length.
func TestMaskIsLinear(t *testing.T) {
	const longest = 256 << 10 // of a body that is shown
	for name, c := range map[string]struct{ token, begin, repeated string }{
		"number":      {"111111111111", "", "1"},
		"JSON number": {"111111111111", `{"a":`, "1"},
		"backslashes": {`\\\\\\\\\\\\`, "", `\`},
		"percent":     {`%25%25%25%25`, "", `%25`},
		"entities":    {`&amp;&amp;&amp;`, "", `&amp;`},
	} {
		t.Run(name, func(t *testing.T) {
			m := secret.New(hidden)
			m.AddToken("one", c.token)
			began := time.Now()
			m.Mask(c.begin + strings.Repeat(c.repeated, longest/len(c.repeated)))
			if took := time.Since(began); took > 5*time.Second {
				t.Errorf("it took %v", took)
			}
		})
	}
}

// TestMaskAfterCleaning: a door removes terminal escapes from a text, also from a secret in it.
func TestMaskAfterCleaning(t *testing.T) {
	for _, password := range []string{"calvin\tand hobbes", "cal\u00advin-1x", "calvin-\xff-1x", strings.Repeat("long-", 400)} {
		m := secret.New(hidden)
		m.Add(password)
		if got := m.Mask("it said " + text.Clean(password)); !strings.HasPrefix(got, "it said "+hidden) || len(got) > len("it said "+hidden+"…") {
			t.Errorf("%q: %q", password, got)
		}
	}
}
