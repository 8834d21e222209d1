package schema

import (
	"strings"
	"testing"

	ctyjson "github.com/zclconf/go-cty/cty/json"
)

// resultKinds has a member of each kind that results have.
type resultKinds struct {
	Name   string            `json:"name" doc:"d"`
	Count  int64             `json:"count" doc:"d"`
	Done   bool              `json:"done" doc:"d"`
	Maybe  *string           `json:"maybe" doc:"d"`
	Words  []string          `json:"words" doc:"d"`
	Labels map[string]string `json:"labels" doc:"d"`
	Inner  []innerKind       `json:"inner" doc:"d"`
}

type innerKind struct {
	Size *int64 `json:"size" doc:"d"`
}

const wholeDocument = `{"name":"a\u00e9","count":9007199254740993,"done":true,"maybe":null,"words":["x"],"labels":{"k":"v"},"inner":[{"size":1},{"size":null}]}`

// TestFromJSON: what cty's own reader makes of a document, and what both refuse.
func TestFromJSON(t *testing.T) {
	o := Of[resultKinds]()
	for _, b := range []string{
		wholeDocument,
		`null`,
		strings.Replace(wholeDocument, `["x"]`, `[]`, 1),
		strings.Replace(wholeDocument, `{"k":"v"}`, `{}`, 1),
		strings.Replace(wholeDocument, `["x"]`, `null`, 1),
	} {
		want, err := ctyjson.Unmarshal([]byte(b), o.Type())
		got, failed := o.FromJSON([]byte(b))
		if err != nil || failed != nil || !got.RawEquals(want) {
			t.Errorf("%s: %#v %v, not %#v %v", b, got, failed, want, err)
		}
	}
	for b, says := range map[string]string{
		``:                   "EOF",
		`{`:                  "unexpected EOF",
		wholeDocument + `{}`: "more behind",
		`[]`:                 "must be object, got list",
		`{"name":"a"}`:       "is missing",
		strings.Replace(wholeDocument, `true`, `"true"`, 1):       `attribute "done": must be bool, got string`,
		strings.Replace(wholeDocument, `"x"`, `7`, 1):             `attribute "words": element 0: must be string, got number`,
		strings.Replace(wholeDocument, `"v"`, `{}`, 1):            `attribute "labels": "k": must be string, got object`,
		strings.Replace(wholeDocument, `"maybe"`, `"nothing"`, 1): `there is no attribute "nothing"`,
	} {
		if v, err := o.FromJSON([]byte(b)); err == nil || !strings.Contains(err.Error(), says) {
			t.Errorf("%s: %#v, %v", b, v, err)
		}
	}
}
