package schema

import "testing"

// TestNormalise: layout and comments make no difference, everything else does.
func TestNormalise(t *testing.T) {
	same := [][2]string{
		{`1+2`, "1 +  2"},
		{`[1, 2]`, "[\n  1, # one\n  2, // two\n]"},
		{`{ a = 1, b = 2 }`, "{\n  a = 1\n\n  # two\n  b = 2\n}"},
		{`{ a = 1, b = { c = [3] } }`, "{\n  a = 1,\n  b = {\n    c = [\n      3,\n    ]\n  }\n}"},
		{`{ for k, v in x : k => v if v }`, "{\n  for k, v in x :\n  k => v\n  if v\n}"},
		{`f(a, b)`, "f(\n  a, /* the first */\n  b,\n)"},
		{`"${a}-${b.c}"`, `"${ a }-${ b.c }"`},
		{`a ? b : c`, "a ? b : c # why"},
	}
	for _, pair := range same {
		if a, b := normalise([]byte(pair[0])), normalise([]byte(pair[1])); a != b {
			t.Errorf("%q\n%q", a, b)
		}
	}
	different := [][2]string{
		{`[1, -2]`, `[1 -2]`},
		{`"a b"`, `"a  b"`},
		{`"a#b"`, `"a"`},
		{`"a // b"`, `"a"`},
		{`{ a = 1 }`, `{ a = 2 }`},
		{`ab`, `a.b`},
		{`"ab"`, `"a${b}"`},
		{"<<EOT\na\n  b\nEOT\n", "<<EOT\na\nb\nEOT\n"},
		{"<<EOT\na\n# b\nEOT\n", "<<EOT\na\nEOT\n"},
		{`["a", "b"]`, `["a,b"]`},
		{`"{\n"`, `"{"`},
	}
	for _, pair := range different {
		if a := normalise([]byte(pair[0])); a == normalise([]byte(pair[1])) {
			t.Errorf("%s and %s are both %q", pair[0], pair[1], a)
		}
	}
}
