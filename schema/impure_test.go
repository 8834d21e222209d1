package schema

import (
	"maps"
	"slices"
	"strings"
	"testing"
)

// impure are the functions whose answers depend on the computer: on its files and its
// environment, for which [Access] and [Input] answer. No function opens a connection, runs a
// program, or asks a clock.
var impure = []string{"env", "file", "templatefile"}

// pure are all others. A new function is listed here as one or the other.
const pure = `abs alltrue anytrue base64decode base64encode basename can ceil chomp chunklist cidrhost cidrnetmask cidrsubnet coalesce coalescelist compact
	concat contains csvdecode dirname distinct element endswith flatten floor format formatdate formatlist indent join jsondecode jsonencode keys length
	log lookup lower max merge min nonsensitive one parseint pow range regex regexall regexreplace replace reverse sensitive setintersection setproduct
	setsubtract setsymmetricdifference setunion sha256 signum slice sort split startswith strlen strrev substr sum timeadd title tobool tolist tomap
	tonumber toset tostring trim trimprefix trimspace trimsuffix try upper values yamldecode yamlencode zipmap`

// TestImpureFunctions is a closed list.
func TestImpureFunctions(t *testing.T) {
	l := &loader{plan: &Plan{meter: &meter{}}, access: &Access{}}
	known := slices.Sorted(slices.Values(append(strings.Fields(pure), impure...)))
	if got := slices.Sorted(maps.Keys(l.functions())); !slices.Equal(got, known) {
		unlisted := slices.DeleteFunc(slices.Clone(got), func(name string) bool { return slices.Contains(known, name) })
		t.Errorf("functions that are in no list: %q; of the lists, %d of %d are functions", unlisted, len(got)-len(unlisted), len(known))
	}
}
