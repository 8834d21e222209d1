package schema

import (
	"bytes"
	"slices"
	"strconv"
	"strings"

	"github.com/hashicorp/hcl/v2"
	"github.com/hashicorp/hcl/v2/hclsyntax"
	"github.com/zclconf/go-cty/cty"
)

// writing digests expressions as they are written, together with what the plan gives for
// their references. Variables, locals and images become parts of their own, so that a message
// can name the one that changed. What an expression picks for one host, such as the row of a
// table, stays a part of the expression: the rest of the table does not matter.
type writing struct {
	plan  *Plan
	host  *Host
	ctx   func() *hcl.EvalContext // what only a run knows is unknown in it; few expressions need it
	parts map[string]string
	texts []string

	within int // how deep in an expression whose value was taken as a whole
}

func (w *writing) digest() string { return digestOf(w.texts...) }

// attribute adds an argument or condition. If it is a secret, or contains one, it adds
// only where the secret comes from.
func (w *writing) attribute(attr *hcl.Attribute, secret bool) {
	text := sourceOf(attr.Expr)
	if !secret && !calls(attr.Expr, "sensitive") {
		text = w.plan.normalText(attr)
	}
	w.texts = append(w.texts, attr.Name, text)
	if node, ok := attr.Expr.(hclsyntax.Node); ok {
		hclsyntax.Walk(node, w)
	}
}

// Enter implements [hclsyntax.Walker].
func (w *writing) Enter(node hclsyntax.Node) hcl.Diagnostics {
	if w.within > 0 || w.taken(node) {
		w.within++
	}
	return nil
}

// Exit implements [hclsyntax.Walker].
func (w *writing) Exit(hclsyntax.Node) hcl.Diagnostics {
	w.within = max(0, w.within-1)
	return nil
}

// taken reports that everything relevant of an expression was added.
func (w *writing) taken(node hclsyntax.Node) bool {
	switch n := node.(type) {
	case *hclsyntax.ScopeTraversalExpr:
		w.reference(n.Traversal)
		return true
	case *hclsyntax.IndexExpr, *hclsyntax.SplatExpr, *hclsyntax.ForExpr:
		w.picked(n.(hclsyntax.Expression))
		return true
	case *hclsyntax.FunctionCallExpr:
		if (n.Name == "file" || n.Name == "templatefile") && len(n.Args) > 0 {
			w.read(n)
		}
	}
	return false
}

// reference adds what the plan gives for a path. What it says about the host is a part already.
func (w *writing) reference(t hcl.Traversal) {
	name, named := attributeName(t, t.RootName())
	switch root := t.RootName(); root {
	case "var", "local":
		w.parts[pathText(t)] = digestOf(w.valueAt(t))
	case "image":
		if named {
			t = t[:2]
			w.parts[imagePart+name] = digestOf(w.valueAt(t))
			return
		}
		w.parts["image"] = digestOf(w.valueAt(t))
	case "group":
		w.texts = append(w.texts, w.host.Group)
	case "host": // what is declared is a part already, and its position is no argument
		if !named || name == "index" {
			w.texts = append(w.texts, canonical(w.host.row.indexValue()))
		}
	default:
		if r := w.host.row; r != nil && root == r.of.iterator {
			v, _ := t.TraverseAbs(w.ctx())
			w.texts = append(w.texts, canonical(v))
		}
	}
}

func (w *writing) valueAt(t hcl.Traversal) string {
	v, diags := t.TraverseAbs(w.plan.global)
	if diags.HasErrors() {
		return "(no value)"
	}
	return canonical(v)
}

// picked adds the value of an expression, or if only a run knows it, all to which it refers.
func (w *writing) picked(expr hclsyntax.Expression) {
	if v, diags := w.plan.meter.value(expr, w.ctx(), expr.Range()); !diags.HasErrors() && v.IsWhollyKnown() {
		w.texts = append(w.texts, canonical(v))
		return
	}
	for _, t := range expr.Variables() {
		w.reference(t)
	}
}

// read adds what a function reads from a file: what it makes of it, or if only a run
// knows that, what is in the file.
func (w *writing) read(call *hclsyntax.FunctionCallExpr) {
	ctx := w.ctx()
	v, diags := w.plan.meter.value(call, ctx, call.Range())
	if diags.HasErrors() || !v.IsWhollyKnown() {
		v = cty.NullVal(cty.String)
		if name, diags := w.plan.meter.value(call.Args[0], ctx, call.Range()); !diags.HasErrors() {
			if text, err := w.plan.global.Functions["file"].Call([]cty.Value{name}); err == nil {
				v = text
			}
		}
	}
	w.texts = append(w.texts, canonical(v))
}

// canonical writes a value so that two values are written alike only if they are the same.
// All secrets are written alike, and so are all unknown values.
func canonical(v cty.Value) string {
	if v.HasMark(Sensitive) {
		return Hidden
	}
	v, _ = v.Unmark()
	switch t := v.Type(); {
	case !v.IsKnown():
		return "(unknown)"
	case v.IsNull():
		return "null"
	case t == cty.String:
		return strconv.Quote(v.AsString())
	case t == cty.Number:
		return v.AsBigFloat().Text('g', -1)
	case t == cty.Bool:
		return strconv.FormatBool(v.True())
	case !v.CanIterateElements():
		return t.FriendlyName()
	}
	var b strings.Builder
	b.WriteByte('{')
	for it := v.ElementIterator(); it.Next(); {
		key, element := it.Element()
		b.WriteString(canonical(key) + ":" + canonical(element) + ",")
	}
	b.WriteByte('}')
	return b.String()
}

// sourceOf says where a secret comes from: the variables, locals and so on of its expression,
// and those of the environment.
func sourceOf(expr hcl.Expression) string {
	var out []string
	for _, t := range expr.Variables() {
		out = append(out, pathText(t))
	}
	if node, ok := expr.(hclsyntax.Node); ok {
		hclsyntax.VisitAll(node, func(n hclsyntax.Node) hcl.Diagnostics {
			if call, ok := n.(*hclsyntax.FunctionCallExpr); ok && call.Name == "env" && len(call.Args) == 1 {
				if name, diags := call.Args[0].Value(nil); !diags.HasErrors() {
					out = append(out, "env "+canonical(name))
				}
			}
			return nil
		})
	}
	slices.Sort(out)
	return strings.Join(slices.Compact(out), " ")
}

// pathText writes a path as a plan does.
func pathText(t hcl.Traversal) string {
	text := t.RootName()
	for _, step := range t[1:] {
		switch step := step.(type) {
		case hcl.TraverseAttr:
			text += "." + step.Name
		case hcl.TraverseIndex:
			text += placeIn(step.Key)
		default:
			text += ".*"
		}
	}
	return text
}

// normalText is the text of an expression without comments and layout.
func (p *Plan) normalText(attr *hcl.Attribute) string {
	if text, done := p.digests.texts[attr]; done {
		return text
	}
	at := attr.Expr.Range()
	var source []byte
	if file := p.Files[at.Filename]; file != nil && at.CanSliceBytes(file.Bytes) {
		source = at.SliceBytes(file.Bytes)
	}
	text := normalise(source)
	if p.digests.texts == nil {
		p.digests.texts = map[*hcl.Attribute]string{}
	}
	p.digests.texts[attr] = text
	return text
}

// normalise splits an expression into its tokens and omits the layout: comments, line
// ends, and the comma behind the last element. Between the members of an object a line end is
// a comma.
func normalise(source []byte) string {
	tokens, _ := hclsyntax.LexExpression(source, "", hcl.InitialPos)
	var out []string
	var open []hclsyntax.TokenType // the brackets around
	last := func() string {
		if len(out) == 0 {
			return ""
		}
		return out[len(out)-1]
	}
	for _, t := range tokens {
		inObject := len(open) > 0 && open[len(open)-1] == hclsyntax.TokenOBrace
		switch t.Type {
		case hclsyntax.TokenEOF:
			continue
		case hclsyntax.TokenNewline, hclsyntax.TokenComment:
			if inObject && bytes.HasSuffix(t.Bytes, []byte("\n")) && last() != "{" && last() != "," {
				out = append(out, ",")
			}
			continue
		case hclsyntax.TokenComma:
			if last() == "," {
				continue
			}
		case hclsyntax.TokenIdent:
			if inObject && last() == "{" && string(t.Bytes) == "for" {
				open[len(open)-1] = hclsyntax.TokenOParen // in which line ends mean nothing
			}
		case hclsyntax.TokenOBrace, hclsyntax.TokenOBrack, hclsyntax.TokenOParen, hclsyntax.TokenTemplateInterp, hclsyntax.TokenTemplateControl:
			open = append(open, t.Type)
		case hclsyntax.TokenCBrace, hclsyntax.TokenCBrack, hclsyntax.TokenCParen, hclsyntax.TokenTemplateSeqEnd:
			if last() == "," {
				out = out[:len(out)-1]
			}
			open = open[:max(0, len(open)-1)]
		}
		out = append(out, string(t.Bytes))
	}
	return strings.Join(out, "\x00") // which no plan file holds
}
