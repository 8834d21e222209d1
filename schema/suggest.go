package schema

import (
	"strings"

	"github.com/agext/levenshtein"
)

// DidYouMean ends a sentence: by a suggestion of the known word nearest to the
// one given, or by a period if none is near.
func DidYouMean(given string, known []string) string {
	if best := nearest(given, known); best != "" {
		return `. Did you mean "` + best + `"?`
	}
	return "."
}

// nearest is the known word for which another was mistyped, "" where none is near.
func nearest(given string, known []string) string {
	if len(given) > 100 { // no mistyped word
		return ""
	}
	best, distance := "", 3
	if len(given) < 4 {
		distance = 2
	}
	for _, word := range known {
		if d := editDistance(given, word); d < len(given) && d < distance || d == distance && best == "" && len(given) > 5 {
			best, distance = word, d
		}
	}
	if best == "" && len(given) > 2 {
		best = completion(given, known)
	}
	return best
}

// editDistance counts typing mistakes: two letters in the wrong order are one, and capitals
// none.
func editDistance(given, word string) int {
	if strings.EqualFold(given, word) {
		return 0
	}
	for i := 0; i+1 < len(given) && len(given) == len(word); i++ {
		if given[i] == word[i] {
			continue
		}
		if given[i] == word[i+1] && given[i+1] == word[i] && given[i+2:] == word[i+2:] {
			return 1
		}
		break
	}
	return levenshtein.Distance(given, word, nil)
}

// completion is the only known word that begins like a given one.
func completion(given string, known []string) (only string) {
	for _, word := range known {
		if strings.HasPrefix(word, given) {
			if only != "" {
				return ""
			}
			only = word
		}
	}
	return only
}

// choice lists what there is: there are "a" and "b".
func choice(words []string) string {
	switch len(words) {
	case 0:
		return "there is none"
	case 1:
		return "there is only " + quoted(words)
	}
	return "there are " + quoted(words)
}
