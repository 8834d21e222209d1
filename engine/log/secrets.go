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
}

const refBegins, refEnds = "${{", "}}"

// shortest is how long a secret must be to be looked for in texts: shorter ones would be
// found everywhere.
const shortest = 6

func newSecrets(names map[string]string) secrets {
	s := secrets{byName: map[string]string{}}
	var pairs []string
	for _, text := range slices.SortedFunc(maps.Keys(names), func(a, b string) int { return len(b) - len(a) }) {
		if len(text) >= shortest {
			s.byName[names[text]] = text
			pairs = append(pairs, text, refBegins+names[text]+refEnds)
		}
	}
	s.hide = strings.NewReplacer(append(pairs, refBegins, refBegins+refEnds)...)
	return s
}

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

func (s secrets) back(text string) (string, error) {
	var out strings.Builder
	for {
		before, after, found := strings.Cut(text, refBegins)
		out.WriteString(before)
		if !found {
			return out.String(), nil
		}
		name, rest, closed := strings.Cut(after, refEnds)
		secret, known := s.byName[name]
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
