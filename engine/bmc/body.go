package bmc

import (
	"bytes"
	"fmt"
)

// errAnswer is an answer that is not read, because no working BMC sends it.
type errAnswer struct{ what string }

func (e *errAnswer) Error() string { return e.what }

// Bounds of a document. The largest of a recorded machine has 22,000 values, and none is
// nested deeper than 9.
const (
	maxValues = 100_000
	maxDepth  = 100
)

// fit returns a body that was read, unless it is a document that would grow to many times
// its size when it is decoded.
func fit(body []byte, err error) ([]byte, error) {
	if err != nil {
		return nil, err
	}
	values, depth := measure(body)
	switch {
	case depth > maxDepth:
		return nil, &errAnswer{fmt.Sprintf("the answer is nested deeper than %d levels", maxDepth)}
	case values > maxValues:
		return nil, &errAnswer{fmt.Sprintf("the answer has more than %d values", maxValues)}
	}
	return body, nil
}

// measure counts the values of a JSON document and its levels, without decoding it. It stops
// early at a bound; a body that is no JSON has no values.
func measure(body []byte) (values, depth int) {
	if start := bytes.TrimLeft(body, " \t\r\n"); len(start) == 0 || start[0] != '{' && start[0] != '[' {
		return 0, 0
	}
	level, quoted := 0, false
	for i := 0; i < len(body) && values <= maxValues && depth <= maxDepth; i++ {
		switch c := body[i]; {
		case c == '\\':
			i++ // only in texts
		case c == '"':
			quoted = !quoted
		case quoted:
		case c == '{' || c == '[':
			level++
			values++
			depth = max(depth, level)
		case c == '}' || c == ']':
			level--
		case c == ',':
			values++
		}
	}
	return values, depth
}
