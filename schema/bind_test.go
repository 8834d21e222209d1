package schema

import (
	"maps"
	"reflect"
	"testing"

	"github.com/zclconf/go-cty/cty"
)

// everyKind has an argument of each kind that is bound.
type everyKind struct {
	Text     string    `json:"text" doc:"x"`
	Maybe    *string   `json:"maybe" doc:"x"`
	Yes      bool      `json:"yes" doc:"x"`
	Count    int       `json:"count" doc:"x"`
	MaybeInt *int      `json:"maybe_int" doc:"x"`
	Big      int64     `json:"big" doc:"x"`
	Pause    Duration  `json:"pause" doc:"x"`
	MaybeDur *Duration `json:"maybe_dur" doc:"x"`
	Key      Secret    `json:"key" doc:"x"`
	MaybeKey *Secret   `json:"maybe_key" doc:"x"`
	At       Address   `json:"at" default:"-" doc:"x"`
	Words    []string  `json:"words" doc:"x"`
	Disk     *Disk     `json:"disk" doc:"x"`
	Disks    []Disk    `json:"disks" doc:"x"`
}

// rareKind has arguments that are left to the JSON path.
type rareKind struct {
	Share float64           `json:"share" doc:"x"`
	Table map[string]string `json:"table" doc:"x"`
}

// TestBindAgreesWithJSON: the direct path from a value to a struct gives the same as the JSON
// path, or leaves the value to it.
func TestBindAgreesWithJSON(t *testing.T) {
	words := func(values ...cty.Value) cty.Value { return cty.TupleVal(values) }
	given := map[string]cty.Value{
		"text": cty.StringVal("x <&> \u2028"), "yes": cty.True, "count": cty.NumberIntVal(3), "big": cty.NumberIntVal(1 << 40), "pause": cty.StringVal("90s"), "key": cty.StringVal("secret"),
	}
	for name, c := range map[string]struct {
		more  map[string]cty.Value
		bound bool
	}{
		"least": {nil, true},
		"all": {map[string]cty.Value{
			"maybe": cty.StringVal(""), "maybe_int": cty.NumberIntVal(-1), "maybe_dur": cty.StringVal("2"), "maybe_key": cty.StringVal("other"), "at": cty.StringVal("BMC.example:8443"),
			"words": words(cty.StringVal("a"), cty.StringVal("b")), "disk": cty.ObjectVal(map[string]cty.Value{"model": cty.StringVal("m"), "confirm": cty.False}),
			"disks": words(cty.ObjectVal(map[string]cty.Value{"wwn": cty.StringVal("1")})),
		}, true},
		"empty lists":      {map[string]cty.Value{"words": cty.EmptyTupleVal, "disks": cty.EmptyTupleVal}, true},
		"text from number": {map[string]cty.Value{"text": cty.NumberIntVal(7)}, true},
		"null in a list":   {map[string]cty.Value{"words": words(cty.NullVal(cty.String))}, false},
		"invalid UTF-8":    {map[string]cty.Value{"text": cty.StringVal("\xff")}, false},
		"a large number":   {map[string]cty.Value{"count": cty.MustParseNumberVal("1e30")}, false},
	} {
		t.Run(name, func(t *testing.T) {
			all := maps.Clone(given)
			maps.Copy(all, c.more)
			judgeBinding[everyKind](t, cty.ObjectVal(all), c.bound)
		})
	}
	t.Run("rare kinds", func(t *testing.T) {
		judgeBinding[rareKind](t, cty.ObjectVal(map[string]cty.Value{"share": cty.NumberFloatVal(0.5), "table": cty.MapVal(map[string]cty.Value{"a": cty.StringVal("b")})}), false)
	})
}

func judgeBinding[T any](t *testing.T, given cty.Value, want bool) {
	t.Helper()
	o := Of[T]()
	v, err := o.Conform(given)
	if err != nil {
		t.Fatal(err)
	}
	var short, long T
	if bound := o.bind(v.GetAttr, reflect.ValueOf(&short).Elem()); bound != want {
		t.Fatalf("bound: %v", bound)
	}
	if err := ToGo(v, &long); want && (err != nil || !reflect.DeepEqual(short, long)) {
		t.Errorf("%+v\n%+v\n%v", short, long, err)
	}
}
