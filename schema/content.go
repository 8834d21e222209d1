package schema

import (
	"fmt"
	"slices"
	"strings"

	"github.com/hashicorp/hcl/v2"
	"github.com/hashicorp/hcl/v2/hclsyntax"
)

// content reads a body. It reports what does not belong there, and then reads a mistyped name
// as the intended one, so that nothing is missing because of it, and its value is checked as
// well.
func (l *loader) content(body hcl.Body, s *hcl.BodySchema) *hcl.BodyContent {
	content, diags := body.Content(s)
	written, ok := body.(*hclsyntax.Body)
	if !ok {
		l.add(diags...)
		return content
	}
	attributes, blocks := places(written, len(diags) > 0)
	for _, d := range diags {
		explainSyntax(d, nil)
		switch d.Summary {
		case "Missing required argument":
			d.Summary, d.Detail = "Missing argument", strings.Replace(d.Detail, ", but no definition was found", " in this block", 1)
		case "Unsupported argument":
			unsupportedArgument(d, attributes[*d.Subject], s, content)
		case "Unsupported block type":
			unsupportedBlock(d, blocks[*d.Subject], s, content)
		}
		l.add(d)
	}
	slices.SortStableFunc(content.Blocks, func(a, b *hcl.Block) int { return a.DefRange.Start.Byte - b.DefRange.Start.Byte })
	return content
}

// places finds arguments and blocks by the place of their names, on demand.
func places(body *hclsyntax.Body, needed bool) (attributes map[hcl.Range]*hclsyntax.Attribute, blocks map[hcl.Range]*hclsyntax.Block) {
	if !needed {
		return nil, nil
	}
	attributes, blocks = map[hcl.Range]*hclsyntax.Attribute{}, map[hcl.Range]*hclsyntax.Block{}
	for _, attr := range body.Attributes {
		attributes[attr.NameRange] = attr
	}
	for _, b := range body.Blocks {
		blocks[b.TypeRange] = b
	}
	return attributes, blocks
}

// unsupportedArgument says what to write instead of an argument that is not expected.
func unsupportedArgument(d *hcl.Diagnostic, attr *hclsyntax.Attribute, s *hcl.BodySchema, content *hcl.BodyContent) {
	if attr == nil {
		return
	}
	known := make([]string, len(s.Attributes))
	for i, a := range s.Attributes {
		known[i] = a.Name
	}
	name := attr.Name
	switch near := nearest(name, known); {
	case (name == "for_each" || name == "count") && (s == hostHeader || s == groupHeader):
		d.Detail = fmt.Sprintf(severalHosts, name)
	case foreignArguments[name] != "":
		d.Detail = fmt.Sprintf("There is no argument %q here. %s", name, foreignArguments[name])
	case hasBlock(s, name):
		d.Detail = fmt.Sprintf("%s is a block, not an argument. Write it without the equals sign: %[1]s { … }.", name)
		if objects, ok := sectionHeaders[name]; ok {
			content.Blocks = append(content.Blocks, unknownBlock(attr, objects))
		}
	case near == "":
		d.Detail = fmt.Sprintf("There is no argument %q here; there are %s.", name, some(known))
	default:
		d.Detail = fmt.Sprintf("There is no argument %q here. Did you mean %q?", name, near)
		if content.Attributes[near] == nil {
			meant := *attr.AsHCLAttribute()
			meant.Name = near
			content.Attributes[near] = &meant
		}
	}
}

// unknownBlock is a placeholder for a block that was written as an argument.
func unknownBlock(attr *hclsyntax.Attribute, s *hcl.BodySchema) *hcl.Block {
	body := &hclsyntax.Body{Attributes: hclsyntax.Attributes{}, SrcRange: attr.SrcRange, EndRange: attr.SrcRange}
	for _, a := range s.Attributes {
		body.Attributes[a.Name] = &hclsyntax.Attribute{Name: a.Name, Expr: &hclsyntax.LiteralValueExpr{Val: anything, SrcRange: attr.SrcRange}, SrcRange: attr.SrcRange, NameRange: attr.NameRange}
	}
	return &hcl.Block{Type: attr.Name, Body: body, DefRange: attr.NameRange, TypeRange: attr.NameRange}
}

// unsupportedBlock says what to write instead of a block that is not expected.
func unsupportedBlock(d *hcl.Diagnostic, b *hclsyntax.Block, s *hcl.BodySchema, content *hcl.BodyContent) {
	if b == nil {
		return
	}
	known := make([]string, len(s.Blocks))
	for i, header := range s.Blocks {
		known[i] = header.Type
	}
	switch near := nearest(b.Type, known); {
	case b.Type == "dynamic":
		d.Detail = "A dynamic block makes hosts, and belongs in their group:\n" + dynamicExample
	case foreignBlocks[b.Type] != "":
		d.Detail = fmt.Sprintf("There are no blocks of type %q in a plan. %s", b.Type, foreignBlocks[b.Type])
	case hasArgument(s, b.Type):
		d.Detail = fmt.Sprintf("%s is an argument, not a block. Write it with an equals sign: %[1]s = { … }.", b.Type)
		content.Attributes[b.Type] = unknownAttribute(b)
	case near == "" && len(known) == 0:
		d.Detail = fmt.Sprintf("There is no block %q here, only arguments.", b.Type)
	case near == "":
		d.Detail = fmt.Sprintf("There is no block %q here; %s.", b.Type, choice(known))
	default:
		d.Detail = fmt.Sprintf("There is no block %q here. Did you mean %q?", b.Type, near)
		if len(b.Labels) == len(s.Blocks[slices.Index(known, near)].LabelNames) {
			meant := *b.AsHCLBlock()
			meant.Type = near
			content.Blocks = append(content.Blocks, &meant)
		}
	}
}

// unknownAttribute is a placeholder for an argument that was written as a block.
func unknownAttribute(b *hclsyntax.Block) *hcl.Attribute {
	return &hcl.Attribute{Name: b.Type, Expr: hcl.StaticExpr(anything, b.TypeRange), Range: b.TypeRange, NameRange: b.TypeRange}
}

func hasBlock(s *hcl.BodySchema, name string) bool {
	return slices.ContainsFunc(s.Blocks, func(b hcl.BlockHeaderSchema) bool { return b.Type == name })
}

func hasArgument(s *hcl.BodySchema, name string) bool {
	return slices.ContainsFunc(s.Attributes, func(a hcl.AttributeSchema) bool { return a.Name == name })
}

// What users know from other tools, and the equivalent here.
var (
	foreignBlocks = map[string]string{
		"resource":    "Write hosts in group blocks, and what is done to them in step blocks, in order.",
		"provider":    "The vendor of the machines and the login of their BMCs belong in the group blocks: vendor = \"…\", and a bmc block.",
		"terraform":   "Demand a version of esxiplan in the plan block: required_version = \">= 0.1\".",
		"data":        "Read data from a file with csvdecode(file(…)) or yamldecode(file(…)), and what a machine has from host.facts.",
		"module":      "A plan is one file, several, or a folder; name all of them on the command line.",
		"output":      "Results of steps are shown by esxiplan run -v, and kept in its log: esxiplan runs show.",
		"backend":     "State is kept in the folder .esxiplan next to the plan, or where --state says.",
		"task":        "Write what is done to the hosts in step blocks, in order.",
		"tasks":       "Write what is done to the hosts in step blocks, in order.",
		"play":        "Write what is done to the hosts in step blocks, in order.",
		"lifecycle":   "Use protected = true to leave a host alone, and when, done_when or on_error for a step.",
		"provisioner": "Commands for the installed system belong in a build_iso step: commands = [\"…\"].",
	}
	foreignArguments = map[string]string{
		"for_each":      "A step runs on each host of its groups. Make hosts from data with a dynamic \"host\" block in a group.",
		"count":         "A step runs on each host of its groups. Make hosts from data with a dynamic \"host\" block in a group.",
		"depends_on":    "Steps run in the order in which they are written. Move the step behind those that it needs.",
		"provider":      "The vendor belongs in the group or host block: vendor = \"…\".",
		"loop":          "A step runs on each host of its groups; retries, delay and until repeat it.",
		"register":      "The result of a step is step.<its name>, without being registered.",
		"become":        "The login of a BMC belongs in the bmc block of the group.",
		"hosts":         "Choose hosts by groups = [\"…\"], or on the command line by --limit.",
		"notify":        "Write a later step with when = step.<name>.changed, or with the condition that you need.",
		"lifecycle":     "Use protected = true to leave a host alone, and when, done_when or on_error for a step.",
		"ignore_errors": "Write on_error = \"continue\".",
	}
	foreignRoots = map[string]string{
		"each":               "\"each\" does not exist in a plan. What differs from host to host is host.name, host.vars or a table: local.servers[host.name].",
		"count":              "\"count\" does not exist in a plan. What differs from host to host is host.name, host.vars or a table: local.servers[host.name].",
		"self":               "\"self\" does not exist in a plan. The host is host, and the result of the step is result, in until and failed_when.",
		"data":               "\"data\" does not exist in a plan. Read a file with csvdecode(file(…)) or yamldecode(file(…)); what a machine has is host.facts.",
		"module":             "\"module\" does not exist in a plan. Refer to var, local, image, host or step.",
		"terraform":          "\"terraform\" does not exist in a plan. Refer to var, local, image, host or step.",
		"vars":               "Write host.vars for those of a host, and var for variables of the plan.",
		"locals":             "Write local, without s: local.<name>.",
		"variable":           "Write var: var.<name>.",
		"steps":              "Write step, without s: step.<name>.",
		"inventory_hostname": "The name of the host is host.name.",
		"item":               "\"item\" does not exist in a plan. What differs from host to host is host.name, host.vars or a table: local.servers[host.name].",
	}
)
