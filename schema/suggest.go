package schema

import "github.com/agext/levenshtein"

// DidYouMean ends a sentence: by a suggestion of the known word nearest to the
// one given, or by a period when none is near.
func DidYouMean(given string, known []string) string {
	if len(given) > 100 { // no mistyped word
		return "."
	}
	best, distance := "", 3
	if len(given) < 4 {
		distance = 2
	}
	for _, word := range known {
		if d := levenshtein.Distance(given, word, nil); d < distance || d == distance && best == "" && len(given) > 5 {
			best, distance = word, d
		}
	}
	if best == "" {
		return "."
	}
	return `. Did you mean "` + best + `"?`
}
