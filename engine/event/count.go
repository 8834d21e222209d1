package event

import (
	"fmt"
	"strings"
)

// Count is a number of things for people, such as "1 host" and "2 directories". The thing is
// a regular noun.
func Count(n int, thing string) string {
	switch stem, y := strings.CutSuffix(thing, "y"); {
	case n == 1:
	case y && strings.TrimRight(stem, "aeiou") == stem:
		thing = stem + "ies"
	default:
		thing += "s"
	}
	return fmt.Sprint(n, " ", thing)
}
