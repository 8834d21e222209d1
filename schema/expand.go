package schema

import (
	"fmt"
	"slices"
	"strconv"
	"strings"
	"sync"

	"github.com/hashicorp/hcl/v2"
	"github.com/hashicorp/hcl/v2/hclsyntax"
	"github.com/zclconf/go-cty/cty"
	"github.com/zclconf/go-cty/cty/convert"
)

// A dynamic block has the semantics of hcl's ext/dynblock, with which it shares no code:
// there `host` would be the iterator unless another is named, each host would get copies
// of all expressions, which digests and the bounds of evaluation cannot analyse, and
// problems could not name the row.

// mostHosts bounds how many hosts ranges and dynamic blocks make in a plan. Written one
// by one, some 16,000 fit into a plan (see mostSigns), and take as much memory.
const mostHosts = 10_000

var dynamicHeader = &hcl.BodySchema{
	Attributes: []hcl.AttributeSchema{{Name: "for_each"}, {Name: "iterator"}, {Name: "labels"}},
	Blocks:     []hcl.BlockHeaderSchema{{Type: "content"}},
}

// dynamicExample is shown if a dynamic block is needed or incomplete.
const dynamicExample = `
  dynamic "host" {
    for_each = csvdecode(file("hosts.csv"))
    iterator = row
    labels   = [row.value.name]
    content {
      bmc { address = row.value.bmc }
    }
  }`

// template is a block that makes several hosts: a dynamic block, or a host block with a
// range in its label. It is read once, for all its hosts.
type template struct {
	at    hcl.Range // its header
	label string    // with ranges; "" of a dynamic block
	said  layer
	rows  []*row

	// of a dynamic block
	iterator string
	labels   *hcl.Attribute
	content  hcl.Range // arguments in this range see the iterator
	forEach  *hcl.Attribute
	written  func(*template) // finds where the rows are written
	once     sync.Once       // that was done
}

// row is what makes one host of a template.
type row struct {
	of    *template
	index int
	host  string // its name, "" as long as it is not known

	// of a dynamic block
	key, value cty.Value
	each       cty.Value // what the iterator means
	at         line      // where the row is written; zero where that is not known
}

// block evaluates what makes hosts in a group.
func (g *groupEvaluation) block(b *hcl.Block) {
	switch b.Type {
	case "host":
		g.hosts(b)
	case "dynamic":
		g.dynamic(b)
	}
}

// hosts evaluates a host block, whose label may be a range.
func (g *groupEvaluation) hosts(b *hcl.Block) {
	p, err := parsePattern(b.Labels[0])
	if err != nil {
		g.problem(b.LabelRanges[0], "Invalid range", "%q is not the name of a host: %s", b.Labels[0], sentence(err))
		return
	}
	if len(p.ranges) == 0 {
		g.host(&Host{Name: b.Labels[0], Range: b.DefRange, said: layers{g.layer(g.content(b.Body, hostHeader)), g.defaults}})
		return
	}
	count := p.count(mostHosts)
	if !g.room(count, b.LabelRanges[0]) {
		return
	}
	t := &template{at: b.DefRange, label: p.label}
	g.readTemplate(t, b.Body)
	for i := 0; i < count && !g.plan.meter.beyond.Load(); i++ {
		g.hostOf(t.add(row{index: i, host: p.name(i)}))
	}
}

// readTemplate reads the body that the hosts of a template share, and remembers which
// arguments are the same for all of them.
func (g *groupEvaluation) readTemplate(t *template, body hcl.Body) {
	t.said = g.layer(g.content(body, hostHeader))
	g.share(t.said, "host", t.iterator)
}

func (t *template) add(r row) *row {
	r.of = t
	t.rows = append(t.rows, &r)
	return &r
}

// hostOf evaluates the host that a row makes.
func (g *groupEvaluation) hostOf(r *row) {
	g.host(&Host{Name: r.host, Range: r.of.at, said: layers{r.of.said, g.defaults}, row: r})
}

// room says whether the plan may have so many more hosts, and allows for their memory.
func (g *groupEvaluation) room(hosts int, at hcl.Range) bool {
	g.expanded += hosts
	if g.expanded > mostHosts {
		g.problem(at, "Too many hosts", "With these, ranges and dynamic blocks would make more than %d hosts, which is the limit for a plan. Divide it into several plans.", mostHosts)
		g.expanded -= hosts
		return false
	}
	g.plan.meter.expand(hosts)
	return true
}

// dynamic evaluates a dynamic block.
func (g *groupEvaluation) dynamic(b *hcl.Block) {
	if b.Labels[0] != "host" {
		g.problem(b.LabelRanges[0], "Unsupported block type", "A dynamic block makes hosts, and nothing else: dynamic \"host\". Other blocks are the same for all hosts; "+
			"an argument that is null counts as left out.")
		return
	}
	t, body := g.dynamicTemplate(b)
	if t == nil {
		return
	}
	elements, ok := g.elements(t.forEach)
	g.readTemplate(t, body)
	if !ok || !g.room(elements.LengthInt(), t.forEach.Expr.Range()) {
		return
	}
	var nameless hcl.Diagnostics
	for it := elements.ElementIterator(); it.Next() && !g.plan.meter.beyond.Load(); {
		key, value := it.Element()
		r := t.add(row{index: len(t.rows), key: key, value: value, each: cty.ObjectVal(map[string]cty.Value{"key": key, "value": value})})
		problems := g.name(r)
		if nameless = append(nameless, r.note(problems)...); !problems.HasErrors() {
			g.hostOf(r)
		}
	}
	g.diags = append(g.diags, withRows(nameless)...)
}

// dynamicTemplate reads a dynamic block without its content, which it finds. It is nil where
// the block cannot be used.
func (g *groupEvaluation) dynamicTemplate(b *hcl.Block) (*template, hcl.Body) {
	content, diags := b.Body.Content(dynamicHeader)
	g.diags = append(g.diags, diags...)
	if !g.complete(b, content) || diags.HasErrors() {
		return nil, nil
	}
	attrs := content.Attributes
	t := &template{at: b.DefRange, forEach: attrs["for_each"], labels: attrs["labels"], written: g.writtenAt}
	if !g.takeIterator(t, attrs["iterator"]) || !g.withoutHost(t.forEach) || !g.withoutHost(t.labels) {
		return nil, nil
	}
	body := content.Blocks[0].Body
	t.content = body.(*hclsyntax.Body).SrcRange
	return t, body
}

// complete demands everything of a dynamic block, and its content once.
func (g *groupEvaluation) complete(b *hcl.Block, content *hcl.BodyContent) bool {
	var missing []string
	for _, a := range dynamicHeader.Attributes {
		if content.Attributes[a.Name] == nil {
			missing = append(missing, a.Name)
		}
	}
	if len(content.Blocks) == 0 {
		missing = append(missing, "content")
	}
	switch {
	case len(missing) > 0:
		why := ""
		if slices.Contains(missing, "iterator") {
			why = " The iterator has a name of its own, because host means the host that is made."
		}
		g.problem(b.DefRange, "Incomplete dynamic block", "It lacks %s.%s Such a block looks like this:\n%s", quoted(missing), why, dynamicExample)
	case len(content.Blocks) > 1:
		g.problem(content.Blocks[1].DefRange, "Duplicate block", "There is already a block content at %s. A dynamic block has one, which each of its hosts gets.", position(content.Blocks[0].DefRange))
	}
	return len(missing) == 0 && len(content.Blocks) == 1
}

func (g *groupEvaluation) takeIterator(t *template, attr *hcl.Attribute) bool {
	t.iterator = hcl.ExprAsKeyword(attr.Expr)
	switch {
	case t.iterator == "":
		g.problem(attr.Expr.Range(), "Invalid iterator", "The iterator is one word without quotes, such as row; for_each gives it row.key and row.value.")
	case slices.Contains(roots, t.iterator):
		g.problem(attr.Expr.Range(), "Invalid iterator", "%s has a meaning of its own in the content, which would be lost. Take another word, such as row.", t.iterator)
	default:
		return true
	}
	return false
}

// withoutHost refuses what depends on the host that is still to be made.
func (g *groupEvaluation) withoutHost(attr *hcl.Attribute) bool {
	if refersToRoot(attr.Expr, "host") {
		g.problem(attr.Expr.Range(), "Reference out of place", "%s cannot refer to host: it says which hosts there are. Use the iterator's key and value.", attr.Name)
		return false
	}
	return true
}

// elements evaluates for_each to a collection that can be iterated.
func (g *groupEvaluation) elements(attr *hcl.Attribute) (cty.Value, bool) {
	if diags := g.checkNames(attr.Expr, "group"); diags.HasErrors() {
		g.add(diags...)
		return cty.NilVal, false
	}
	value, diags := attr.Expr.Value(g.rowContext(nil))
	g.diags = append(g.diags, withoutValues(diags)...)
	if diags.HasErrors() {
		return cty.NilVal, false
	}
	if why := notElements(value); why != "" {
		if value.IsKnown() || !g.diags.HasErrors() { // else it follows from a problem that is reported already
			g.problem(attr.Expr.Range(), "Invalid for_each", "for_each %s", why)
		}
		return cty.NilVal, false
	}
	return value, true
}

func notElements(value cty.Value) string {
	plain, _ := value.Unmark()
	switch {
	case value.IsMarked():
		return "is sensitive, and would show in the names and the number of the hosts. Wrap in nonsensitive() what is no secret, and leave only the arguments that are secrets as they are."
	case !plain.IsKnown():
		return "is not known before a run, so that it is not known which hosts there are. Take it from a file, a variable or a local that refers to neither machines nor results."
	case plain.IsNull():
		return "is null. Where there is to be no host, give an empty list: []."
	case !plain.CanIterateElements():
		return fmt.Sprintf("must be a list, a set, a map or an object, and this is %s. An element of a list of hosts makes one host.", plain.Type().FriendlyName())
	}
	return ""
}

// rowContext is what labels may refer to, and for_each where there is no row yet.
func (g *groupEvaluation) rowContext(r *row) *hcl.EvalContext {
	ctx := g.plan.global.NewChild()
	ctx.Variables = map[string]cty.Value{"group": groupValue(g.group.Name)}
	if r != nil {
		ctx.Variables[r.of.iterator] = r.each
	}
	return ctx
}

// name evaluates the label of the host that a row makes.
func (g *groupEvaluation) name(r *row) hcl.Diagnostics {
	attr := r.of.labels
	value, diags := attr.Expr.Value(g.rowContext(r))
	diags = withoutValues(diags)
	if !diags.HasErrors() {
		name, why := labelOf(value)
		if r.host = name; why != "" {
			diags = append(diags, problem(attr.Expr.Range(), "Invalid label", "%s", why))
		}
	}
	return diags
}

// labelOf reads the name of a host from its labels.
func labelOf(labels cty.Value) (name, why string) {
	plain, _ := labels.Unmark()
	if t := plain.Type(); !t.IsTupleType() && !t.IsListType() || !plain.IsKnown() || plain.IsNull() || plain.LengthInt() != 1 {
		return "", "labels must be a list of one text, the name of the host, such as [row.value.name]."
	}
	if IsSensitive(labels) {
		return "", "The name of a host shows everywhere, and this one is sensitive. If it is no secret, wrap it in nonsensitive()."
	}
	label, err := convert.Convert(plain.Index(cty.Zero), cty.String)
	switch {
	case err != nil:
		return "", "The name of a host must be a text, and this is " + plain.Index(cty.Zero).Type().FriendlyName() + "."
	case !label.IsKnown():
		return "", "The name of a host must be known before a run."
	case label.IsNull():
		return "", "The name of a host is null here."
	}
	return label.AsString(), ""
}

// sees adds what an argument may refer to because it is in the content of a dynamic block.
func (r *row) sees(attr *hcl.Attribute, variables map[string]cty.Value) {
	if r.within(attr.Range) {
		variables[r.of.iterator] = r.each
	}
}

// names reports a reference to the row.
func (r *row) names(t hcl.Traversal) bool {
	return r.within(t.SourceRange()) && t.RootName() == r.of.iterator
}

// within reports a place in the content of the row's dynamic block, which sees the iterator.
func (r *row) within(at hcl.Range) bool {
	return r != nil && r.of.iterator != "" && r.of.content.ContainsPos(at.Start)
}

// indexValue is what host.index means: null where the block makes one host only.
func (r *row) indexValue() cty.Value {
	if r == nil {
		return cty.NullVal(cty.Number)
	}
	return cty.NumberIntVal(int64(r.index))
}

// note marks problems with the row from which they came, so that it can be shown.
func (r *row) note(diags hcl.Diagnostics) hcl.Diagnostics {
	if r == nil || len(diags) == 0 {
		return diags
	}
	out := make(hcl.Diagnostics, len(diags))
	for i, d := range diags {
		noted := *d // what is the same for many hosts is one problem, which they share
		noted.Extra = r
		out[i] = &noted
	}
	return out
}

// Label is the label of the host's block as it is written, which may be a range such as
// "esxi[01:40]"; "" of a dynamic block, which writes no label.
func (h *Host) Label() string {
	if h.row != nil {
		return h.row.of.label
	}
	return h.Name
}

// Origin is what made a host, if one block makes several.
type Origin struct {
	Block hcl.Range // header of the block
	Label string    // with its range, such as "esxi[01:40]"; "" of a dynamic block
	Index int       // which of the block's hosts it is, from 0
	Key   string    // of the element of for_each, as an expression writes it: 16, or "rack-7"
	Place string    // where the element is written, such as "rack.csv:18"; "" where that is not known

	// Iterator is the name by which the content of a dynamic block knows its row.
	Iterator string
	forEach  hcl.Range
}

// Origin says what made the host: nil where the plan has a block for it alone.
func (h *Host) Origin() *Origin {
	if h.row == nil {
		return nil
	}
	return h.row.origin()
}

func (r *row) origin() *Origin {
	o := &Origin{Block: r.of.at, Label: r.of.label, Index: r.index}
	if r.of.forEach != nil {
		r.of.once.Do(func() { r.of.written(r.of) })
		o.Key, o.Place, o.forEach, o.Iterator = elementKey(r.key), r.at.String(), r.of.forEach.Expr.Range(), r.of.iterator
	}
	return o
}

// elementKey writes the key of an element; "" where it is the element itself, of a set, and
// not a short text.
func elementKey(key cty.Value) string {
	key, _ = key.Unmark()
	switch {
	case key.IsNull() || !key.IsKnown():
	case key.Type() == cty.Number:
		return key.AsBigFloat().Text('f', -1)
	case key.Type() == cty.String && len(key.AsString()) <= longestName:
		return strconv.Quote(key.AsString())
	}
	return ""
}

// String names the origin in a sentence.
func (o *Origin) String() string {
	switch {
	case o.Label != "":
		return fmt.Sprintf("host %q at %s", o.Label, position(o.Block))
	case o.Place != "":
		return fmt.Sprintf("%s, element %s of for_each at %s", o.Place, o.element(), position(o.forEach))
	}
	return fmt.Sprintf("element %s of for_each at %s", o.element(), position(o.forEach))
}

func (o *Origin) element() string {
	if o.Key == "" {
		return strconv.Itoa(o.Index)
	}
	return o.Key
}

// Short names the origin in a column of a table.
func (o *Origin) Short() string {
	switch {
	case o.Label != "":
		return o.Label
	case o.Place != "":
		return o.Place
	}
	return fmt.Sprintf("for_each[%s]", o.element())
}

// place is where a host is declared, for a message about another one.
func (h *Host) place() string {
	if o := h.Origin(); o != nil {
		return o.String()
	}
	return position(h.Range)
}

// mostRowsShown is how many rows a problem names.
const mostRowsShown = 5

// withRows keeps the first of equal problems, and says from which rows they came.
func withRows(diags hcl.Diagnostics) hcl.Diagnostics {
	first := map[string]*hcl.Diagnostic{}
	rows := map[string][]*row{}
	alone := map[string]bool{} // it also came from something without a row
	var keys []string
	for _, d := range diags {
		key := d.Summary + d.Detail
		if d.Subject != nil {
			key += position(*d.Subject)
		}
		if first[key] == nil {
			first[key], keys = d, append(keys, key)
		}
		r, made := d.Extra.(*row)
		if alone[key] = alone[key] || !made; made {
			rows[key] = append(rows[key], r)
		}
	}
	out := make(hcl.Diagnostics, len(keys))
	for i, key := range keys {
		if out[i] = first[key]; rows[key] != nil {
			out[i].Extra = nil
		}
		if rows[key] != nil && !alone[key] {
			out[i].Detail += rowsText(rows[key])
		}
	}
	return out
}

// rowsText says from which rows a problem came.
func rowsText(all []*row) string {
	rows := different(all)
	if len(rows) == 1 {
		return "\n" + rows[0].subject() + " is made by " + rows[0].origin().String() + "."
	}
	if t := rows[0].of; len(rows) == len(t.rows) && !slices.ContainsFunc(rows, func(r *row) bool { return r.of != t }) {
		return fmt.Sprintf("\nThis is so for all %d hosts that the block at %s makes.", len(rows), position(t.at))
	}
	var shown []string
	for _, r := range rows[:min(len(rows), mostRowsShown)] {
		shown = append(shown, fmt.Sprintf("%s (%s)", r.subject(), r.origin().Short()))
	}
	if more := len(rows) - len(shown); more > 0 {
		shown = append(shown, fmt.Sprintf("and %d more", more))
	}
	return fmt.Sprintf("\nThis is so for %d hosts: %s.", len(rows), strings.Join(shown, ", "))
}

// madeBy says from which rows the hosts of the preceding sentence came; "" if one of them has a
// block of its own.
func madeBy(hosts []*Host) string {
	var rows []*row
	for _, h := range hosts {
		if h.row == nil {
			return ""
		}
		rows = append(rows, h.row)
	}
	if len(rows) == 1 {
		return rowsText(rows)
	}
	var shown []string
	for _, r := range rows[:min(len(rows), mostRowsShown)] {
		shown = append(shown, fmt.Sprintf("%s (%s)", r.host, r.origin().Short()))
	}
	if more := len(rows) - len(shown); more > 0 {
		shown = append(shown, fmt.Sprintf("and %d more", more))
	}
	return "\nThey are made by: " + strings.Join(shown, ", ") + "."
}

// different keeps each row once, in order.
func different(all []*row) (rows []*row) {
	seen := map[*row]bool{}
	for _, r := range all {
		if !seen[r] {
			rows = append(rows, r)
		}
		seen[r] = true
	}
	return rows
}

func (r *row) subject() string {
	if r.host == "" {
		return "The host"
	}
	return fmt.Sprintf("Host %q", r.host)
}

const severalHosts = "Neither hosts nor groups take %s. Several hosts come from data by a dynamic block in the group:\n" + dynamicExample + `

Hosts that are counted come from a range, in which host.index counts from 0:

  host "esxi[01:40]" {
    esxi { address = cidrhost("10.0.0.0/24", 10 + host.index) }
  }`
