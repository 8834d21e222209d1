package schema

import (
	"github.com/hashicorp/hcl/v2/hclwrite"
	"github.com/zclconf/go-cty/cty"
)

// Literal writes a text as a string of the language, ready to be put into a plan.
func Literal(text string) string {
	return string(hclwrite.TokensForValue(cty.StringVal(text)).Bytes())
}
