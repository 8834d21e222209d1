package log

import (
	"encoding/json"
	"fmt"
	"maps"
	"slices"
	"strings"

	"esxiplan/engine/secret"
	"esxiplan/engine/text"
)

// secrets puts references in the place of secrets, and secrets back in theirs. A reference
// is ${{NAME}}; a text that looks like one is written ${{}}.
type secrets struct {
	hide   *strings.Replacer
	short  []string // secrets that are looked for as whole values, the longest first
	byName map[string]string
	toName map[string]string                        // of short ones, by their text
	other  func(name string) (text string, ok bool) // by a name that is not in byName
}

const refBegins, refEnds = "${{", "}}"

func newSecrets(names map[string]string, other func(string) (string, bool)) secrets {
	s := secrets{byName: map[string]string{}, toName: map[string]string{}, other: other}
	var pairs []string
	for _, text := range slices.SortedFunc(maps.Keys(names), func(a, b string) int { return len(b) - len(a) }) {
		name := reference(names[text])
		s.byName[name] = text
		if secret.Short(text) {
			s.short = append(s.short, text)
			s.toName[text] = name
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

// refer puts references into a document. What mask finds between them is another form of a
// secret, which need not be put back.
func (s secrets) refer(raw json.RawMessage, mask func(string) string) json.RawMessage {
	return text.InJSON(raw, func(text string) string {
		return between(s.hide.Replace(text), func(text string) string {
			for _, short := range s.short {
				text = between(text, func(text string) string {
					return secret.ReplaceValue(text, short, refBegins+s.toName[short]+refEnds)
				})
			}
			return between(text, mask)
		})
	})
}

// between changes what stands between the references of a text.
func between(text string, change func(string) string) string {
	var out strings.Builder
	for {
		before, after, found := strings.Cut(text, refBegins)
		out.WriteString(change(before))
		if !found {
			return out.String()
		}
		name, rest, _ := strings.Cut(after, refEnds)
		out.WriteString(refBegins + name + refEnds)
		text = rest
	}
}

// reveal puts secrets back into a document.
func (s secrets) reveal(raw json.RawMessage) (json.RawMessage, error) {
	if !strings.Contains(string(raw), refBegins) {
		return raw, nil
	}
	var missing error
	out := text.InJSON(raw, func(text string) string {
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
