package log_test

import (
	"bytes"
	"encoding/json"
	"strings"
	"testing"

	"esxiplan/engine/event"
	"esxiplan/engine/log"
)

// kept is the outcome of an attempt as a log keeps it, and as a later process reads it, with
// the secrets that the plan has then.
func kept(t *testing.T, outcome string, then, now map[string]string) (written []byte, back json.RawMessage, err error) {
	t.Helper()
	state := t.TempDir()
	l, err := log.Open(state, "run", log.Options{Secrets: then})
	check(t, err)
	check(t, l.Keep(log.Record{Event: event.Event{Kind: log.AttemptDone, Host: "one", Time: noon}, Outcome: json.RawMessage(outcome)}))
	check(t, l.Close())
	later, err := log.Dry(state, "run", log.Options{Secrets: now})
	check(t, err)
	records, err := later.Records()
	if err != nil {
		return content(t, state), nil, err
	}
	return content(t, state), records[0].Outcome, nil
}

// canonical is a document in one way of writing it, numbers as they are.
func canonical(t *testing.T, document []byte) string {
	t.Helper()
	d := json.NewDecoder(bytes.NewReader(document))
	d.UseNumber()
	var v any
	check(t, d.Decode(&v))
	b, err := json.Marshal(v)
	check(t, err)
	return string(b)
}

func document(t *testing.T, text string) string {
	t.Helper()
	b, err := json.Marshal(map[string]any{"result": []string{text, "x" + text + "y"}})
	check(t, err)
	return string(b)
}

// TestSecrets: a secret is in no log, however it is written there, and comes back as it was.
func TestSecrets(t *testing.T) {
	for name, secret := range map[string]string{
		"a word":             "hunter22",
		"quotes":             `hun"ter"22`,
		"a backslash":        `hunter\22`,
		"for HTML":           "<hunter>&22",
		"a line end":         "hunter\n22",
		"other letters":      "jäger-二十二",
		"as a reference":     "${{var.other}}",
		"in a reference":     "hun${{ter22",
		"after a dollar":     "{{hunter22",
		"after a dollar and": "{hunter22",
		"braces":             "}}hunter22}}",
	} {
		t.Run(name, func(t *testing.T) {
			secrets := map[string]string{secret: "var.password", "another-one": "var.other"}
			for _, text := range []string{secret, "$" + secret, "${" + secret, "${{" + secret + "}}", secret + secret, secret + "${{", "${{}}" + secret} {
				outcome := document(t, text)
				written, back, err := kept(t, outcome, secrets, secrets)
				check(t, err)
				if canonical(t, back) != canonical(t, []byte(outcome)) {
					t.Errorf("%q came back as %s", text, back)
				}
				var l struct{ Outcome struct{ Result []string } }
				check(t, json.Unmarshal(written, &l))
				for _, s := range l.Outcome.Result {
					if strings.Contains(s, strings.Trim(secret, "${}")) {
						t.Errorf("%q is in the log: %s", text, written)
					}
				}
			}
		})
	}
}

// TestTextsWithoutSecret: a text that looks like a reference comes back as it was.
func TestTextsWithoutSecret(t *testing.T) {
	secrets := map[string]string{"hunter22": "var.password"}
	for _, text := range []string{"", "$", "${{", "}}", "${{}}", "${{var.password}}", "${{${{var.password}}}}", "${{var.password", "$${{", "${{{", "a ${{ b ${{ c }}"} {
		_, back, err := kept(t, document(t, text), secrets, secrets)
		if err != nil || canonical(t, back) != canonical(t, []byte(document(t, text))) {
			t.Errorf("%q came back as %s, %v", text, back, err)
		}
	}
	numbers := `{"result":{"text":"hunter22 \\ ","size":9007199254740993,"small":1e-9,"elapsed":1234567890123456789}}`
	if _, back, err := kept(t, numbers, secrets, secrets); err != nil || canonical(t, back) != canonical(t, []byte(numbers)) {
		t.Errorf("numbers came back as %s, %v", back, err)
	}
}

// TestSecretWithinAnother: the longer one counts, wherever it stands.
func TestSecretWithinAnother(t *testing.T) {
	secrets := map[string]string{"hunter22": "var.short", "x-hunter22-y": "var.long", "hunter22-z": "var.longer"}
	outcome := document(t, "hunter22 x-hunter22-y hunter22-z")
	written, back, err := kept(t, outcome, secrets, secrets)
	if err != nil || canonical(t, back) != outcome {
		t.Errorf("came back as %s, %v", back, err)
	}
	if want := "${{var.short}} ${{var.long}} ${{var.longer}}"; !strings.Contains(string(written), want) || strings.Contains(string(written), "hunter") {
		t.Errorf("the log has %s", written)
	}
}

// TestSecretThatChanged: a reference stands for the secret that the plan has now; one that
// it no longer has is an error that says what to do.
func TestSecretThatChanged(t *testing.T) {
	then := map[string]string{"hunter22": `var.logins["a}}b"].password`}
	outcome := document(t, "hunter22")
	for now, want := range map[string]string{"rabbit33": "rabbit33", "short": "short"} {
		_, back, err := kept(t, outcome, then, map[string]string{now: `var.logins["a}}b"].password`})
		if err != nil || canonical(t, back) != document(t, want) {
			t.Errorf("came back as %s, %v", back, err)
		}
	}
	_, _, err := kept(t, outcome, map[string]string{"hunter22": "var.password"}, map[string]string{"hunter22": "var.other"})
	if err == nil {
		t.Fatal("a secret that the plan does not have came back")
	}
	for _, part := range []string{"run run cannot be continued", "record 1", `"var.password"`, "give the same variables and environment as before"} {
		if !strings.Contains(err.Error(), part) {
			t.Errorf("%q does not say %q", err, part)
		}
	}
}

// TestSecretsThatBecameOne: two secrets whose texts are the same now have one name of the two
// that the log refers to; the other one is asked for.
func TestSecretsThatBecameOne(t *testing.T) {
	state := t.TempDir()
	l, err := log.Open(state, "run", log.Options{Secrets: map[string]string{"hunter22": "var.a", "rabbit33": `var.logins["b}"]`}})
	check(t, err)
	check(t, l.Keep(log.Record{Event: event.Event{Kind: log.AttemptDone, Time: noon}, Outcome: []byte(`{"result":"hunter22 rabbit33"}`)}))
	check(t, l.Close())
	later, err := log.Dry(state, "run", log.Options{Secrets: map[string]string{"same-one": "var.a"}, Secret: func(name string) (string, bool) {
		return "same-one", name == `var.logins["b}"]`
	}})
	check(t, err)
	records, err := later.Records()
	if err != nil || string(records[0].Outcome) != `{"result":"same-one same-one"}` {
		t.Errorf("%+v, %v", records, err)
	}
}

// TestShortSecrets: a short secret is in no outcome as a word, and comes back as it was; what
// only holds its letters stays.
func TestShortSecrets(t *testing.T) {
	names := map[string]string{"On": "var.power", "var": "env.On"}
	const outcome = `{"result":{"power":"On","text":"it is On, says var","other":"Only variables ${{x"}}`
	written, back, err := kept(t, outcome, names, names)
	check(t, err)
	if !strings.Contains(string(written), `"power":"${{var.power}}"`) || !strings.Contains(string(written), "Only variables") {
		t.Errorf("the log holds %s", written)
	}
	if canonical(t, back) != canonical(t, []byte(outcome)) {
		t.Errorf("came back as %s", back)
	}
}

// TestMaskLeavesReferences: what the mask finds in the name of a secret does not make its
// reference unreadable.
func TestMaskLeavesReferences(t *testing.T) {
	state := t.TempDir()
	o := log.Options{Secrets: map[string]string{"password": "group.lab.bmc.password"}, Masker: hide("password")}
	l, err := log.Open(state, "run", o)
	check(t, err)
	check(t, l.Keep(log.Record{Event: event.Event{Kind: log.AttemptDone, Host: "one", Time: noon}, Outcome: json.RawMessage(`{"result":"the password"}`)}))
	check(t, l.Close())
	later, err := log.Dry(state, "run", o)
	check(t, err)
	records, err := later.Records()
	check(t, err)
	if string(records[0].Outcome) != `{"result":"the password"}` {
		t.Errorf("came back as %s", records[0].Outcome)
	}
}

// TestChangesAreMasked: the detail of a change is for people, and what it found was said by
// the machine; what it sets is read back.
func TestChangesAreMasked(t *testing.T) {
	state := t.TempDir()
	var shown event.Event
	l, err := log.Open(state, "run", log.Options{Masker: hide("hunter22"), Show: func(e event.Event) { shown = e }})
	check(t, err)
	_, err = l.Append(event.Event{Kind: event.WriteMade, Host: "one", Time: noon, Write: &event.Change{Verb: event.Insert, Old: "http://hunter22/", New: "http://192.0.2.1/x.iso", Makes: &event.Medium{Kickstart: "rootpw hunter22"}}})
	check(t, err)
	check(t, l.Close())
	if b := content(t, state); bytes.Contains(b, []byte("hunter22")) || !bytes.Contains(b, []byte("http://192.0.2.1/x.iso")) {
		t.Errorf("the state folder holds %s", b)
	}
	if shown.Write.Makes.Kickstart != "rootpw ***" || shown.Write.Old != "http://***/" {
		t.Errorf("shown as %+v", shown.Write)
	}
}
