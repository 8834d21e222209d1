package schema

import (
	"errors"
	"fmt"
	"regexp"
	"regexp/syntax"
	"strconv"
	"strings"

	ctyyaml "github.com/zclconf/go-cty-yaml"
	"github.com/zclconf/go-cty/cty"
	"github.com/zclconf/go-cty/cty/function"
)

// Bounds of single functions. What they return is charged to the meter; these bound what
// would be too much before they return.
const (
	passingShare   = 4           // what only passes by costs this part: a text that a function reads, a value that it returns
	widestField    = 10_000      // characters, of a verb of format
	longestPattern = 10_000      // bytes, of a regular expression
	longestSearch  = 1 << 20     // bytes, of a text in which one looks for something
	mostSearching  = 200_000_000 // instructions of the pattern times bytes of the text
)

// metered wraps a function: it estimates the result before the call, as far as that is
// known for the function, and charges what it made.
func (m *meter) metered(name string, f function.Function) function.Function {
	params, rest := f.Params(), f.VarParam()
	for i := range params {
		params[i] = untouched(params[i])
	}
	if rest != nil {
		*rest = untouched(*rest)
	}
	before := costs[name]
	return function.New(&function.Spec{
		Description: f.Description(), Params: params, VarParam: rest,
		Type: func(args []cty.Value) (cty.Type, error) {
			if decided(args) { // then the value has the type; some functions do all their work to find it before
				return cty.DynamicPseudoType, nil
			}
			t, err := f.ReturnTypeForValues(args)
			return t, readable(err)
		},
		Impl: func(args []cty.Value, _ cty.Type) (cty.Value, error) {
			if err := m.afford(before, args); err != nil {
				return cty.NilVal, err
			}
			v, err := f.Call(args)
			if err != nil {
				return cty.NilVal, readable(err)
			}
			return v, m.pass(v)
		},
	})
}

// untouched is a parameter whose argument is passed on as it is: the wrapped function judges
// it.
func untouched(p function.Parameter) function.Parameter {
	p.AllowMarked, p.AllowNull, p.AllowUnknown, p.AllowDynamicType = true, true, true, true
	return p
}

func decided(args []cty.Value) bool {
	for _, v := range args {
		v, _ = v.Unmark()
		if t := v.Type(); !t.IsPrimitiveType() && !t.IsCapsuleType() || !v.IsKnown() || v.IsNull() {
			return false
		}
	}
	return true
}

// readable removes the stack from cty's error about a function that panicked.
func readable(err error) error {
	var panicked function.PanicError
	if errors.As(err, &panicked) {
		return fmt.Errorf("the function failed on these arguments: %v; this is a bug in esxiplan, please report it", panicked.Value)
	}
	return err
}

// cost estimates the result of a function, in bytes. The error is another reason not to call
// it.
type cost func(args []cty.Value) (int64, error)

// afford charges the reading of the texts, and refuses what would cost more than is left.
func (m *meter) afford(before cost, args []cty.Value) error {
	plain, read := make([]cty.Value, len(args)), 0
	for i, v := range args {
		plain[i], _ = v.Unmark()
		if v := plain[i]; v.Type() == cty.Number && v.IsKnown() && !v.IsNull() {
			if err := checkNumber(v); err != nil {
				return err
			}
		}
		read += len(text(plain, i))
	}
	if err := m.take(int64(read / passingShare)); err != nil || before == nil {
		return err
	}
	size, err := before(plain)
	if err == nil && size > m.left.Load() {
		err = errExcess
	}
	return err
}

// costs are those of functions with large results of small arguments. An unknown or null
// argument counts as an empty one: with it the function makes nothing.
var costs = map[string]cost{
	"csvdecode":    func(args []cty.Value) (int64, error) { return items(text(args, 0), ",\n"), nil },
	"format":       formatCost,
	"formatlist":   formatCost,
	"indent":       indentCost,
	"join":         joinCost,
	"jsondecode":   jsonCost,
	"jsonencode":   func(args []cty.Value) (int64, error) { return 6 * int64(len(text(args, 0))), nil },
	"parseint":     digits,
	"regex":        func(args []cty.Value) (int64, error) { return 0, search(text(args, 0), text(args, 1)) },
	"regexall":     regexAllCost,
	"regexreplace": regexReplaceCost,
	"replace":      replaceCost,
	"setproduct":   productCost,
	"split":        func(args []cty.Value) (int64, error) { return pieces(text(args, 1), text(args, 0)) * valueCost, nil },
	"sum":          func(args []cty.Value) (int64, error) { return measure(args[0], mostEvaluated) },
	"tonumber":     digits,
	"trim":         func(args []cty.Value) (int64, error) { return 0, short(text(args, 1)) },
	"yamldecode":   yamlCost,
	"yamlencode":   yamlEncodeCost,
}

// text is an argument that is a known string.
func text(args []cty.Value, i int) string {
	if i >= len(args) || args[i].Type() != cty.String || !args[i].IsKnown() || args[i].IsNull() {
		return ""
	}
	return args[i].AsString()
}

// elements is the number of elements of a known list.
func elements(v cty.Value) int64 {
	if v.IsNull() || !v.IsKnown() || !v.CanIterateElements() {
		return 0
	}
	return int64(v.LengthInt())
}

// items estimates the number of values in a document whose elements end with one of these characters.
func items(document, ends string) int64 {
	n := int64(1)
	for i := range len(document) {
		if strings.IndexByte(ends, document[i]) >= 0 {
			n++
		}
	}
	return n*valueCost + int64(len(document))
}

// pieces is how many parts a text has between separators.
func pieces(whole, separator string) int64 { return int64(strings.Count(whole, separator)) + 1 }

func short(word string) error {
	if len(word) > longestWord {
		return fmt.Errorf("an argument has more than %d characters", longestWord)
	}
	return nil
}

func digits(args []cty.Value) (int64, error) { return 0, short(text(args, 0)) }

func indentCost(args []cty.Value) (int64, error) {
	if args[0].Type() != cty.Number || !args[0].IsKnown() || args[0].IsNull() {
		return 0, nil
	}
	spaces, _ := args[0].AsBigFloat().Int64()
	if spaces < 0 || spaces > mostEvaluated {
		return 0, fmt.Errorf("%s is not a valid number of spaces", args[0].AsBigFloat().Text('g', 10))
	}
	return spaces*pieces(text(args, 1), "\n") + int64(len(text(args, 1))), nil
}

func joinCost(args []cty.Value) (int64, error) {
	var n int64
	for _, list := range args[1:] {
		n += elements(list)
	}
	return n * int64(len(text(args, 0))), nil
}

func replaceCost(args []cty.Value) (int64, error) {
	whole, part, by := text(args, 0), text(args, 1), text(args, 2)
	return int64(len(whole)) + int64(strings.Count(whole, part))*int64(len(by)), nil
}

func productCost(args []cty.Value) (int64, error) {
	n := int64(1)
	for _, list := range args {
		if n *= elements(list); n > mostEvaluated {
			return n, nil
		}
	}
	return n * int64(len(args)+1) * valueCost, nil
}

var verb = regexp.MustCompile(`%[^a-zA-Z%]*`)
var number = regexp.MustCompile(`[0-9]+`)

// formatCost assumes that every verb writes the largest argument. Lists, those of
// formatlist, are written one element at a time.
func formatCost(args []cty.Value) (int64, error) {
	layout := text(args, 0)
	verbs := verb.FindAllString(layout, -1)
	each := int64(len(layout))
	for _, v := range verbs {
		for _, digits := range number.FindAllString(v, -1) {
			width, err := strconv.Atoi(digits)
			if err != nil || width > widestField {
				return 0, fmt.Errorf("%q: width and precision are at most %d", v, widestField)
			}
			each += int64(width)
		}
	}
	rows, shared, single := int64(1), int64(0), int64(0)
	for _, v := range args[min(1, len(args)):] {
		size, err := measure(v, mostEvaluated)
		if err != nil {
			return 0, err
		}
		if n := elements(v); n > 0 {
			rows, shared = max(rows, n), max(shared, size)
		} else {
			single = max(single, size)
		}
	}
	return rows*(each+int64(len(verbs))*single) + int64(len(verbs))*shared, nil
}

// search refuses a pattern that takes too long on a text: Go's regular expressions take the
// product of both.
func search(pattern, whole string) error {
	if len(pattern) > longestPattern {
		return fmt.Errorf("the pattern has more than %d characters", longestPattern)
	}
	if len(whole) > longestSearch {
		return fmt.Errorf("the text has %d bytes, and a pattern is searched in at most %d", len(whole), longestSearch)
	}
	tree, err := syntax.Parse(pattern, syntax.Perl)
	if err != nil {
		return nil // the function's own error is better
	}
	if n := instructions(tree); n > mostSearching/100 || n*int64(len(whole)+1) > mostSearching {
		return fmt.Errorf("the pattern is too complex for a text of %d bytes: with its repetitions written out it has %d characters", len(whole), n)
	}
	return nil
}

// instructions estimates the size of a pattern with its repetitions written out.
func instructions(x *syntax.Regexp) int64 {
	n := int64(1 + len(x.Rune))
	for _, sub := range x.Sub {
		n += instructions(sub)
	}
	if x.Op == syntax.OpRepeat {
		n *= int64(max(x.Min, x.Max, 1))
	}
	return n
}

func regexAllCost(args []cty.Value) (int64, error) {
	pattern, whole := text(args, 0), text(args, 1)
	if err := search(pattern, whole); err != nil {
		return 0, err
	}
	x, err := regexp.Compile(pattern)
	if err != nil {
		return 0, nil
	}
	each := int64(x.NumSubexp()+2) * valueCost
	if int64(len(whole)+1)*each < mostEvaluated { // even if each character is a match
		return 0, nil
	}
	return int64(len(x.FindAllStringIndex(whole, mostEvaluated/int(each)+1))) * each, nil
}

// regexReplaceCost assumes that every byte matches if the replacement is long.
func regexReplaceCost(args []cty.Value) (int64, error) {
	whole, by := int64(len(text(args, 0))), text(args, 2)
	references := int64(strings.Count(by, "$"))
	return whole + (whole+1)*int64(len(by)) + references*whole, search(text(args, 1), text(args, 0))
}

// jsonCost bounds the depth of a document, too: decoders call themselves for each level.
func jsonCost(args []cty.Value) (int64, error) {
	document, depth, quoted := text(args, 0), 0, false
	for i := 0; i < len(document); i++ {
		switch c := document[i]; {
		case quoted && c == '\\':
			i++
		case c == '"':
			quoted = !quoted
		case !quoted && (c == '[' || c == '{'):
			depth++
		case !quoted && (c == ']' || c == '}'):
			depth--
		}
		if depth > deepestValue {
			return 0, errDeep
		}
	}
	return items(document, ",[{"), nil
}

var errDeep = fmt.Errorf("lists and objects are nested more than %d deep in the document", deepestValue)

// yamlCost bounds the depth of a document, and its size with each alias written out. Its type
// has that size, and unlike its value can be made before it is known.
func yamlCost(args []cty.Value) (int64, error) {
	document := text(args, 0)
	if blockDepth(document) > deepestValue || flowDepth(document, false) > deepestValue || flowDepth(document, true) > deepestValue {
		return 0, errDeep
	}
	if size := items(document, ",[{\n"); size > mostEvaluated {
		return size, nil
	}
	t, err := ctyyaml.Standard.ImpliedType([]byte(document))
	if err != nil {
		return 0, nil // the function reports it, too
	}
	s := scale{left: mostEvaluated}
	s.addType(t)
	return mostEvaluated - s.left, nil
}

// blockDepth is at least the depth of blocks: each level begins further to the right, by
// two characters in one line.
func blockDepth(document string) int {
	deepest := 0
	for line := range strings.Lines(document) {
		deepest = max(deepest, len(line)-len(strings.TrimLeft(line, " -?:")))
	}
	return deepest / 2
}

// flowDepth is the depth of brackets, with those in texts and comments or without. Only
// a parser of YAML knows for sure where texts begin; a document that deceives both ways is
// left to the watch.
func flowDepth(document string, skip bool) int {
	depth, deepest := 0, 0
	var quote, last byte = 0, ' '
	for i := range len(document) {
		c := document[i]
		begins := skip && strings.IndexByte(" \n[{,:", last) >= 0
		switch {
		case quote != 0 && c != quote:
		case quote != 0:
			quote = 0
		case begins && (c == '"' || c == '\''):
			quote = c
		case begins && c == '#':
			quote = '\n'
		case c == '[' || c == '{':
			depth++
		case c == ']' || c == '}':
			depth = max(0, depth-1)
		}
		deepest, last = max(deepest, depth), c
	}
	return deepest
}

// yamlEncodeCost includes the indentation of each element.
func yamlEncodeCost(args []cty.Value) (int64, error) {
	s := scale{left: mostEvaluated}
	err := s.add(args[0], 0)
	size := mostEvaluated - s.left
	return size / valueCost * int64(s.deepest) * 2, err
}
