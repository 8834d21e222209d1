package log

import (
	"encoding/json"
	"fmt"
	"maps"
	"slices"
	"strings"
)

// secrets puts references in the place of secrets, and secrets back in theirs. A reference
// is ${{NAME}}; a text that looks like one is written ${{}}.
type secrets struct {
	hide   *strings.Replacer
	byName map[string]string
	other  func(name string) (text string, ok bool) // by a name that is not in byName
}

const refBegins, refEnds = "${{", "}}"

// shortest is how long a secret must be to be looked for in texts: shorter ones would be
// found everywhere.
const shortest = 6

func newSecrets(names map[string]string, other func(string) (string, bool)) secrets {
	s := secrets{byName: map[string]string{}, other: other}
	var pairs []string
	for _, text := range slices.SortedFunc(maps.Keys(names), func(a, b string) int { return len(b) - len(a) }) {
		name := reference(names[text])
		s.byName[name] = text
		if len(text) < shortest {
			continue
		}
		for cut := 1; cut < len(refBegins); cut++ { // a text may end as a reference begins, and the secret begin as that continues
			if strings.HasPrefix(text, refBegins[cut:]) {
				pairs = append(pairs, refBegins[:cut]+text, refBegins[:cut]+refBegins+name+refEnds)
			}
		}
		pairs = append(pairs, text, refBegins+name+refEnds)
	}
	s.hide = strings.NewReplacer(append(pairs, refBegins, refBegins+refEnds)...)
	return s
}

// reference is a name as it stands in a reference, which must not end within it.
func reference(name string) string { return strings.ReplaceAll(name, "}", "%7D") }

// refer puts references into a document.
func (s secrets) refer(raw json.RawMessage) json.RawMessage {
	return eachString(raw, s.hide.Replace)
}

// reveal puts secrets back into a document.
func (s secrets) reveal(raw json.RawMessage) (json.RawMessage, error) {
	if !strings.Contains(string(raw), refBegins) {
		return raw, nil
	}
	var missing error
	out := eachString(raw, func(text string) string {
		back, err := s.back(text)
		if err != nil && missing == nil {
			missing = err
		}
		return back
	})
	return out, missing
}

// text is the secret that a reference names.
func (s secrets) text(reference string) (text string, ok bool) {
	if text, ok = s.byName[reference]; ok || s.other == nil {
		return text, ok
	}
	return s.other(strings.ReplaceAll(reference, "%7D", "}"))
}

func (s secrets) back(text string) (string, error) {
	var out strings.Builder
	for {
		before, after, found := strings.Cut(text, refBegins)
		out.WriteString(before)
		if !found {
			return out.String(), nil
		}
		name, rest, closed := strings.Cut(after, refEnds)
		secret, known := s.text(name)
		switch {
		case closed && name == "":
			secret = refBegins
		case !closed || !known:
			return text, fmt.Errorf("it refers to the secret %q, which the plan does not have: give the same variables and environment as before", name)
		}
		out.WriteString(secret)
		text = rest
	}
}
