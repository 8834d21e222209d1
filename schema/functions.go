package schema

import (
	"crypto/sha256"
	"encoding/base64"
	"encoding/hex"
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"net/netip"
	"path/filepath"
	"slices"
	"strings"
	"sync"

	"github.com/hashicorp/hcl/v2"
	"github.com/hashicorp/hcl/v2/ext/customdecode"
	"github.com/hashicorp/hcl/v2/hclsyntax"
	ctyyaml "github.com/zclconf/go-cty-yaml"
	"github.com/zclconf/go-cty/cty"
	"github.com/zclconf/go-cty/cty/convert"
	"github.com/zclconf/go-cty/cty/function"
	"github.com/zclconf/go-cty/cty/function/stdlib"
)

// functions is the table of functions of the language: Terraform's names where
// both have one. Nothing random, no clock.
func (l *loader) functions() map[string]function.Function {
	table := map[string]function.Function{
		"abs": stdlib.AbsoluteFunc, "ceil": stdlib.CeilFunc, "chomp": stdlib.ChompFunc, "chunklist": stdlib.ChunklistFunc,
		"coalesce": stdlib.CoalesceFunc, "coalescelist": stdlib.CoalesceListFunc, "compact": stdlib.CompactFunc,
		"concat": stdlib.ConcatFunc, "contains": stdlib.ContainsFunc, "csvdecode": stdlib.CSVDecodeFunc,
		"distinct": distinctFunc, "element": stdlib.ElementFunc, "flatten": stdlib.FlattenFunc,
		"floor": stdlib.FloorFunc, "format": stdlib.FormatFunc, "formatlist": stdlib.FormatListFunc,
		"indent": stdlib.IndentFunc, "join": stdlib.JoinFunc, "jsondecode": stdlib.JSONDecodeFunc,
		"jsonencode": stdlib.JSONEncodeFunc, "keys": stdlib.KeysFunc, "length": lengthFunc, "formatdate": stdlib.FormatDateFunc, "timeadd": stdlib.TimeAddFunc,
		"log": stdlib.LogFunc, "lookup": stdlib.LookupFunc, "lower": stdlib.LowerFunc, "max": stdlib.MaxFunc,
		"merge": stdlib.MergeFunc, "min": stdlib.MinFunc, "parseint": stdlib.ParseIntFunc, "pow": stdlib.PowFunc,
		"range": stdlib.RangeFunc, "regex": stdlib.RegexFunc, "regexall": stdlib.RegexAllFunc,
		"regexreplace": stdlib.RegexReplaceFunc, "replace": stdlib.ReplaceFunc, "reverse": stdlib.ReverseListFunc,
		"setintersection": stdlib.SetIntersectionFunc, "setproduct": stdlib.SetProductFunc,
		"setsubtract": stdlib.SetSubtractFunc, "setsymmetricdifference": stdlib.SetSymmetricDifferenceFunc, "setunion": stdlib.SetUnionFunc,
		"signum": stdlib.SignumFunc, "slice": stdlib.SliceFunc, "sort": stdlib.SortFunc, "split": stdlib.SplitFunc, "strlen": stdlib.StrlenFunc,
		"strrev": stdlib.ReverseFunc, "substr": stdlib.SubstrFunc, "title": stdlib.TitleFunc, "trim": stdlib.TrimFunc,
		"trimprefix": stdlib.TrimPrefixFunc, "trimspace": stdlib.TrimSpaceFunc, "trimsuffix": stdlib.TrimSuffixFunc,
		"upper": stdlib.UpperFunc, "values": stdlib.ValuesFunc, "zipmap": stdlib.ZipmapFunc,
		"tostring": stdlib.MakeToFunc(cty.String), "tonumber": stdlib.MakeToFunc(cty.Number), "tobool": stdlib.MakeToFunc(cty.Bool),
		"tolist": stdlib.MakeToFunc(cty.List(cty.DynamicPseudoType)), "toset": stdlib.MakeToFunc(cty.Set(cty.DynamicPseudoType)),
		"tomap":      stdlib.MakeToFunc(cty.Map(cty.DynamicPseudoType)),
		"yamldecode": ctyyaml.YAMLDecodeFunc, "yamlencode": ctyyaml.YAMLEncodeFunc,
		"cidrhost": cidrHostFunc, "cidrnetmask": cidrNetmaskFunc, "cidrsubnet": cidrSubnetFunc,
		"sha256": text1(hexSHA256), "basename": text1(func(s string) (string, error) { return filepath.Base(s), nil }),
		"dirname": text1(func(s string) (string, error) { return filepath.Dir(s), nil }),
		"can":     l.canFunc(), "try": l.tryFunc(), "nonsensitive": nonsensitiveFunc, "sensitive": sensitiveFunc,
	}
	maps.Copy(table, smallFunctions)
	l.files = &fileReader{access: l.access, read: map[string]string{}}
	table["file"] = openly(text1(l.files.text))
	table["env"] = openly(l.envFunc(l.in.Placeholder))
	for name, f := range table {
		table[name] = l.plan.meter.metered(name, f)
	}
	inner := maps.Clone(table) // a template that includes itself would never end
	table["templatefile"] = l.plan.meter.metered("templatefile", l.templateFunc(l.files, inner))
	return table
}

// text1 makes a function of one string from a Go function.
func text1(f func(string) (string, error)) function.Function {
	return function.New(&function.Spec{
		Params: []function.Parameter{{Name: "text", Type: cty.String}},
		Type:   function.StaticReturnType(cty.String),
		Impl: func(args []cty.Value, _ cty.Type) (cty.Value, error) {
			out, err := f(args[0].AsString())
			return cty.StringVal(out), err
		},
	})
}

// smallFunctions are those of Terraform that go-cty does not have.
var smallFunctions = map[string]function.Function{
	"startswith":   test2(strings.HasPrefix),
	"endswith":     test2(strings.HasSuffix),
	"base64encode": text1(func(s string) (string, error) { return base64.StdEncoding.EncodeToString([]byte(s)), nil }),
	"base64decode": text1(func(s string) (string, error) {
		b, err := base64.StdEncoding.DecodeString(s)
		return string(b), err
	}),
	"alltrue": fold(cty.List(cty.Bool), cty.Bool, cty.True, func(a, b cty.Value) cty.Value { return a.And(b) }),
	"anytrue": fold(cty.List(cty.Bool), cty.Bool, cty.False, func(a, b cty.Value) cty.Value { return a.Or(b) }),
	"sum":     fold(cty.List(cty.Number), cty.Number, cty.Zero, func(a, b cty.Value) cty.Value { return a.Add(b) }),
	"one":     oneFunc,
}

// test2 makes a function of two strings that answers true or false.
func test2(f func(string, string) bool) function.Function {
	return function.New(&function.Spec{
		Params: []function.Parameter{{Name: "text", Type: cty.String}, {Name: "part", Type: cty.String}},
		Type:   function.StaticReturnType(cty.Bool),
		Impl: func(args []cty.Value, _ cty.Type) (cty.Value, error) {
			return cty.BoolVal(f(args[0].AsString(), args[1].AsString())), nil
		},
	})
}

// fold makes a function that joins the elements of a list.
func fold(list, result cty.Type, start cty.Value, join func(a, b cty.Value) cty.Value) function.Function {
	return function.New(&function.Spec{
		Params: []function.Parameter{{Name: "list", Type: list}},
		Type:   function.StaticReturnType(result),
		Impl: func(args []cty.Value, _ cty.Type) (cty.Value, error) {
			out := start
			for _, v := range args[0].AsValueSlice() {
				if v.IsNull() {
					return cty.NilVal, errors.New("the list holds a null")
				}
				out = join(out, v)
			}
			return out, nil
		},
	})
}

// oneFunc is the only element of a list, or null where it is empty: the function by
// which a plan picks the one disk.
var oneFunc = function.New(&function.Spec{
	Params: []function.Parameter{{Name: "list", Type: cty.DynamicPseudoType}},
	Type: func(args []cty.Value) (cty.Type, error) {
		t := args[0].Type()
		switch {
		case t.IsListType(), t.IsSetType():
			return t.ElementType(), nil
		case t.IsTupleType() && t.Length() == 1:
			return t.TupleElementType(0), nil
		case t.IsTupleType() && t.Length() == 0:
			return cty.DynamicPseudoType, nil
		}
		return cty.NilType, errors.New("must be a list with at most one element")
	},
	Impl: func(args []cty.Value, t cty.Type) (cty.Value, error) {
		switch elements := args[0].AsValueSlice(); len(elements) {
		case 0:
			return cty.NullVal(t), nil
		case 1:
			return elements[0], nil
		default:
			return cty.NilVal, fmt.Errorf("the list has %d elements, and must have one or none", len(elements))
		}
	},
})

// distinctFunc keeps the first of equal elements. cty's compares each pair: with 20,000
// elements it takes ten seconds.
var distinctFunc = function.New(&function.Spec{
	Params: []function.Parameter{{Name: "list", Type: cty.List(cty.DynamicPseudoType)}},
	Type:   func(args []cty.Value) (cty.Type, error) { return args[0].Type(), nil },
	Impl: func(args []cty.Value, t cty.Type) (cty.Value, error) {
		if !args[0].IsWhollyKnown() {
			return cty.UnknownVal(t), nil
		}
		seen := map[int][]cty.Value{} // by hash
		var out []cty.Value
		for _, v := range args[0].AsValueSlice() {
			hash := v.Hash()
			if !slices.ContainsFunc(seen[hash], v.RawEquals) {
				seen[hash], out = append(seen[hash], v), append(out, v)
			}
		}
		if len(out) == 0 {
			return cty.ListValEmpty(t.ElementType()), nil
		}
		return cty.ListVal(out), nil
	},
})

// openly refuses a sensitive argument: as the name of a file or variable it would
// appear in every error.
func openly(f function.Function) function.Function {
	params := f.Params()
	for i := range params {
		params[i].AllowMarked = true
	}
	return function.New(&function.Spec{
		Params: params,
		Type:   function.StaticReturnType(cty.String),
		Impl: func(args []cty.Value, _ cty.Type) (cty.Value, error) {
			if IsSensitive(args[0]) {
				return cty.NilVal, errors.New("the name is sensitive, and would show; wrap it in nonsensitive() if it is no secret")
			}
			return f.Call(args)
		},
	})
}

// lengthFunc is the length of a collection, or of a string in characters.
var lengthFunc = function.New(&function.Spec{
	Params: []function.Parameter{{Name: "value", Type: cty.DynamicPseudoType, AllowDynamicType: true, AllowUnknown: true, AllowMarked: true}},
	Type:   function.StaticReturnType(cty.Number),
	Impl: func(args []cty.Value, _ cty.Type) (cty.Value, error) {
		if args[0].Type() == cty.String {
			return stdlib.Strlen(args[0])
		}
		return stdlib.Length(args[0])
	},
})

func hexSHA256(s string) (string, error) {
	sum := sha256.Sum256([]byte(s))
	return hex.EncodeToString(sum[:]), nil
}

// envFunc reads the environment; what it returns is sensitive.
func (l *loader) envFunc(placeholder func(string) string) function.Function {
	return function.New(&function.Spec{
		Params: []function.Parameter{{Name: "name", Type: cty.String}},
		Type:   function.StaticReturnType(cty.String),
		Impl: func(args []cty.Value, _ cty.Type) (cty.Value, error) {
			name := args[0].AsString()
			allowed := l.in.mayRead(name)
			if allowed && l.in.Environ != nil {
				if text, ok := l.in.Environ(name); ok {
					l.plan.secrets.add("env."+name, cty.StringVal(text))
					return cty.StringVal(text).Mark(Sensitive), nil
				}
			}
			if placeholder != nil && placeholder(name) != "" {
				return cty.StringVal(placeholder(name)).Mark(Sensitive), nil
			}
			if !allowed && l.in.Untrusted {
				return cty.NilVal, fmt.Errorf("this plan is not trusted (--untrusted), so env() reads no variable but those named %s… that --allow-env names, and %s is not one of them. Declare a variable, and let the caller give its value", variablePrefix, name)
			}
			if !allowed {
				return cty.NilVal, fmt.Errorf("this plan may not read the environment variable %s. It may read %s: the default where CI is set, since a plan can send what it reads to any address. If you trust the author of the plan with its value, add --allow-env %[1]s", name, strings.Join(l.in.AllowEnv, ", "))
			}
			return cty.NilVal, fmt.Errorf("the environment variable %s is not set; export it, or give a default with try(env(%q), …)", name, name)
		},
	})
}

// variablePrefix begins the names by which the environment gives values to variables of a plan.
const variablePrefix = "ESXIPLAN_VAR_"

// variable is the value that the environment gives to a variable of the plan.
func (in Input) variable(name string) (string, bool) {
	if in.Environ == nil || in.Untrusted && !in.mayRead(name) {
		return "", false
	}
	return in.Environ(name)
}

// mayRead reports whether env() may read a variable.
func (in Input) mayRead(name string) bool {
	if in.Untrusted && !strings.HasPrefix(name, variablePrefix) {
		return false
	}
	return in.AllowEnv == nil && !in.Untrusted || slices.ContainsFunc(in.AllowEnv, func(pattern string) bool {
		beginning, open := strings.CutSuffix(pattern, "*")
		return name == pattern || open && strings.HasPrefix(name, beginning)
	})
}

// fileReader reads files for expressions, each one once, so that two expressions, or two
// hosts, cannot see different contents.
type fileReader struct {
	access *Access
	mu     sync.Mutex
	read   map[string]string
}

func (f *fileReader) text(name string) (string, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if text, ok := f.read[name]; ok {
		return text, nil
	}
	b, err := f.access.text(name)
	if err == nil {
		f.read[name] = string(b)
	}
	if !f.access.Untrusted {
		err = unreadable(name, f.access.path(name), err)
	}
	return string(b), err
}

// unreadable says why a file cannot be read, by the name that the plan gives it.
func unreadable(name, path string, err error) error {
	var at *fs.PathError
	switch {
	case err == nil:
		return nil
	case errors.Is(err, fs.ErrNotExist) && filepath.IsAbs(name):
		return fmt.Errorf("there is no file %q; correct the path, or create the file", name)
	case errors.Is(err, fs.ErrNotExist):
		return fmt.Errorf("there is no file %q; a relative path starts at the plan's folder. Correct the path, or create the file", name)
	case errors.Is(err, fs.ErrPermission):
		return fmt.Errorf("%q may not be read by this user; change its permissions", name)
	case errors.As(err, &at) && strings.Contains(at.Err.Error(), "escapes"): // what os.Root says
		return fmt.Errorf("%q leads out of the folder by a link; copy the file into the folder, or allow the folder to which the link leads with --allow-read", name)
	case errors.As(err, &at):
		return fmt.Errorf("%q cannot be read: %w", name, at.Err)
	}
	return errors.New(strings.ReplaceAll(err.Error(), path, name))
}

func absolute(path string) string {
	abs, err := filepath.Abs(path)
	if err != nil {
		return path
	}
	return abs
}

func (l *loader) templateFunc(files *fileReader, table map[string]function.Function) function.Function {
	parsed := map[string]hclsyntax.Expression{} // by path; one evaluation runs at a time
	return function.New(&function.Spec{
		Params: []function.Parameter{{Name: "path", Type: cty.String, AllowMarked: true}, {Name: "values", Type: cty.DynamicPseudoType, AllowMarked: true}},
		Type:   function.StaticReturnType(cty.String),
		Impl: func(args []cty.Value, _ cty.Type) (cty.Value, error) {
			if IsSensitive(args[0]) {
				return cty.NilVal, errors.New("the name is sensitive, and would show; wrap it in nonsensitive() if it is no secret")
			}
			values, marks := args[1].Unmark()
			if values.IsNull() || !values.Type().IsObjectType() && !values.Type().IsMapType() {
				return cty.NilVal, errors.New("the second argument must be an object: the names that the template uses")
			}
			path := args[0].AsString()
			expr := parsed[path]
			if expr == nil {
				var err error
				if expr, err = l.template(files, path); err != nil {
					return cty.NilVal, err
				}
				parsed[path] = expr
			}
			out, diags := expr.Value(&hcl.EvalContext{Variables: values.AsValueMap(), Functions: table})
			if diags.HasErrors() {
				return cty.NilVal, withoutValues(diags)
			}
			out, err := convert.Convert(out, cty.String)
			if err != nil {
				return cty.NilVal, err
			}
			return out.WithMarks(marks), nil
		},
	})
}

// template reads and parses a template.
func (l *loader) template(files *fileReader, path string) (hclsyntax.Expression, error) {
	text, err := files.text(path)
	if err != nil {
		return nil, err
	}
	if d := new(sources).check([]byte(text), path, hclsyntax.LexTemplate); d != nil {
		return nil, fmt.Errorf("%s: %s", position(*d.Subject), strings.TrimSuffix(d.Detail, "."))
	}
	expr, diags := hclsyntax.ParseTemplate([]byte(text), path, hcl.InitialPos)
	if !diags.HasErrors() {
		diags = append(diags, l.plan.meter.bound(expr)...)
	}
	if diags.HasErrors() {
		return nil, diags
	}
	return expr, nil
}

// can and try are Terraform's, but what they answer is sensitive when any
// expression that they looked at is: even "it failed" reveals something about a secret. Inside
// them no placeholder replaces what the environment lacks, so that a rehearsal takes
// the same branch as a run.

func (l *loader) canFunc() function.Function {
	return function.New(&function.Spec{
		Params: []function.Parameter{{Name: "expression", Type: customdecode.ExpressionClosureType}},
		Type:   function.StaticReturnType(cty.Bool),
		Impl: func(args []cty.Value, _ cty.Type) (cty.Value, error) {
			closure := customdecode.ExpressionClosureFromVal(args[0])
			value, diags := l.strictly(closure)
			if !diags.HasErrors() && !value.IsWhollyKnown() {
				return cty.UnknownVal(cty.Bool), nil
			}
			return hideIf(sensitiveInputs(closure) || IsSensitive(value), cty.BoolVal(!diags.HasErrors())), nil
		},
	})
}

func (l *loader) tryFunc() function.Function {
	return function.New(&function.Spec{
		VarParam: &function.Parameter{Name: "expressions", Type: customdecode.ExpressionClosureType},
		Type:     function.StaticReturnType(cty.DynamicPseudoType), // to know it is to evaluate them: twice, and within one another 2, 4, 8 times
		Impl:     func(args []cty.Value, _ cty.Type) (cty.Value, error) { return l.try(args) },
	})
}

// strictly evaluates a closure without placeholders.
func (l *loader) strictly(closure *customdecode.ExpressionClosure) (cty.Value, hcl.Diagnostics) {
	ctx := closure.EvalContext.NewChild()
	ctx.Functions = map[string]function.Function{"env": l.plan.meter.metered("env", openly(l.envFunc(nil)))}
	return closure.Expression.Value(ctx)
}

func (l *loader) try(args []cty.Value) (cty.Value, error) {
	hide := false
	for _, arg := range args {
		closure := customdecode.ExpressionClosureFromVal(arg)
		value, diags := l.strictly(closure)
		hide = hide || sensitiveInputs(closure)
		if !diags.HasErrors() {
			if !value.IsWhollyKnown() {
				return cty.DynamicVal, nil
			}
			return hideIf(hide, value), nil
		}
	}
	return cty.NilVal, errors.New("no expression given to try succeeded")
}

func hideIf(hide bool, v cty.Value) cty.Value {
	if hide {
		return v.Mark(Sensitive)
	}
	return v
}

// sensitiveInputs reports whether the expression refers to a sensitive value, or
// calls a function that makes one.
func sensitiveInputs(closure *customdecode.ExpressionClosure) bool {
	if calls(closure.Expression, "env", "sensitive") {
		return true
	}
	for _, t := range closure.Expression.Variables() {
		for n := len(t); n > 0; n-- { // the longest part of the path that exists
			value, diags := t[:n].TraverseAbs(closure.EvalContext)
			if diags.HasErrors() {
				continue
			}
			if IsSensitive(value) {
				return true
			}
			break
		}
	}
	return false
}

// calls reports whether an expression calls one of these functions.
func calls(expr hcl.Expression, names ...string) bool {
	node, ok := expr.(hclsyntax.Node)
	if !ok {
		return false
	}
	found := false
	hclsyntax.VisitAll(node, func(n hclsyntax.Node) hcl.Diagnostics {
		call, ok := n.(*hclsyntax.FunctionCallExpr)
		found = found || ok && slices.Contains(names, call.Name)
		return nil
	})
	return found
}

var nonsensitiveFunc = markFunc(func(v cty.Value) cty.Value { out, _ := v.UnmarkDeep(); return out })
var sensitiveFunc = markFunc(func(v cty.Value) cty.Value { return v.Mark(Sensitive) })

func markFunc(f func(cty.Value) cty.Value) function.Function {
	return function.New(&function.Spec{
		Params: []function.Parameter{{Name: "value", Type: cty.DynamicPseudoType, AllowMarked: true, AllowNull: true, AllowUnknown: true, AllowDynamicType: true}},
		Type:   func(args []cty.Value) (cty.Type, error) { return args[0].Type(), nil },
		Impl:   func(args []cty.Value, _ cty.Type) (cty.Value, error) { return f(args[0]), nil },
	})
}

var cidrHostFunc = function.New(&function.Spec{
	Params: []function.Parameter{{Name: "prefix", Type: cty.String}, {Name: "number", Type: cty.Number}},
	Type:   function.StaticReturnType(cty.String),
	Impl: func(args []cty.Value, _ cty.Type) (cty.Value, error) {
		prefix, err := networkOf(args[0].AsString())
		if err != nil {
			return cty.NilVal, err
		}
		number, _ := args[1].AsBigFloat().Int64()
		address, ok := addressAt(prefix, number)
		if !ok {
			return cty.NilVal, fmt.Errorf("network %s has no host number %d", prefix, number)
		}
		return cty.StringVal(address.String()), nil
	},
})

func networkOf(text string) (netip.Prefix, error) {
	prefix, err := netip.ParsePrefix(text)
	if err != nil {
		return prefix, fmt.Errorf("%q is not a network such as \"10.0.0.0/24\"", text)
	}
	return prefix, nil
}

// addressAt is the n-th address of a network, counted from its end when negative.
func addressAt(prefix netip.Prefix, n int64) (netip.Addr, bool) {
	bytes := prefix.Masked().Addr().AsSlice()
	free := len(bytes)*8 - prefix.Bits()
	if n < 0 {
		if free > 62 {
			return netip.Addr{}, false
		}
		n += 1 << free
	}
	if n < 0 || free < 63 && n >= 1<<free {
		return netip.Addr{}, false
	}
	for i := len(bytes) - 1; i >= 0 && n > 0; i-- {
		bytes[i] |= byte(n)
		n >>= 8
	}
	return netip.AddrFromSlice(bytes)
}

var cidrNetmaskFunc = text1(func(s string) (string, error) {
	prefix, err := networkOf(s)
	if err != nil {
		return "", err
	}
	if !prefix.Addr().Is4() {
		return "", errors.New("only IPv4 networks have a netmask")
	}
	all := netip.AddrFrom4([4]byte{255, 255, 255, 255})
	return netip.PrefixFrom(all, prefix.Bits()).Masked().Addr().String(), nil
})

var cidrSubnetFunc = function.New(&function.Spec{
	Params: []function.Parameter{{Name: "prefix", Type: cty.String}, {Name: "newbits", Type: cty.Number}, {Name: "number", Type: cty.Number}},
	Type:   function.StaticReturnType(cty.String),
	Impl: func(args []cty.Value, _ cty.Type) (cty.Value, error) {
		prefix, err := networkOf(args[0].AsString())
		if err != nil {
			return cty.NilVal, err
		}
		more, _ := args[1].AsBigFloat().Int64()
		number, _ := args[2].AsBigFloat().Int64()
		bits := prefix.Bits() + int(more)
		width := prefix.Addr().BitLen()
		if more < 0 || more > 62 || bits > width || number < 0 || number >= 1<<more {
			return cty.NilVal, fmt.Errorf("network %s cannot be cut by %d bits into a subnet number %d", prefix, more, number)
		}
		bytes := prefix.Masked().Addr().AsSlice()
		for bit := range int(more) {
			if number>>(int(more)-1-bit)&1 == 1 {
				at := prefix.Bits() + bit
				bytes[at/8] |= 1 << (7 - at%8)
			}
		}
		address, _ := netip.AddrFromSlice(bytes)
		return cty.StringVal(netip.PrefixFrom(address, bits).String()), nil
	},
})

// maskBits is the length of a dotted IPv4 netmask.
func maskBits(mask string) (int, error) {
	address, err := netip.ParseAddr(mask)
	if err != nil || !address.Is4() {
		return 0, fmt.Errorf("%q is not a netmask such as 255.255.255.0", mask)
	}
	b := address.As4()
	value := uint32(b[0])<<24 | uint32(b[1])<<16 | uint32(b[2])<<8 | uint32(b[3])
	bits := 0
	for value&(1<<31) != 0 {
		bits++
		value <<= 1
	}
	if value != 0 {
		return 0, fmt.Errorf("%q is not a contiguous netmask such as 255.255.255.0", mask)
	}
	return bits, nil
}

// versionAllowed judges a constraint such as ">= 0.1, < 2".
func versionAllowed(constraint, version string) (bool, error) {
	for part := range strings.SplitSeq(constraint, ",") {
		part = strings.TrimSpace(part)
		want := strings.TrimLeft(part, "<>=!~ ")
		numbers, err := versionNumbers(want)
		if err != nil {
			return false, err
		}
		have, err := versionNumbers(version)
		if err != nil {
			return false, err
		}
		c := compareVersions(have, numbers)
		holds, ok := map[string]bool{">=": c >= 0, ">": c > 0, "<=": c <= 0, "<": c < 0, "=": c == 0, "": c == 0, "!=": c != 0,
			"~>": c >= 0 && have[0] == numbers[0] && (strings.Count(want, ".") < 2 || have[1] == numbers[1])}[strings.TrimSpace(strings.TrimSuffix(part, want))]
		if !ok {
			return false, fmt.Errorf("%q is not a constraint such as \">= 0.1\"", part)
		}
		if !holds {
			return false, nil
		}
	}
	return true, nil
}

func versionNumbers(text string) ([3]int, error) {
	var out [3]int
	core, _, _ := strings.Cut(strings.TrimPrefix(text, "v"), "-")
	for i, part := range strings.SplitN(core, ".", 3) {
		if _, err := fmt.Sscanf(part+" ", "%d ", &out[i]); err != nil {
			return out, fmt.Errorf("%q is not a version such as 0.1 or 1.2.3", text)
		}
	}
	return out, nil
}

func compareVersions(a, b [3]int) int {
	for i := range a {
		if a[i] != b[i] {
			return a[i] - b[i]
		}
	}
	return 0
}
