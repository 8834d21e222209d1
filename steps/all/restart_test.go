package all_test

import (
	"encoding/json"
	"slices"
	"strings"
	"testing"

	"esxiplan/engine/bmc"
	"esxiplan/engine/bmc/bmcsim"
	"esxiplan/engine/bmc/vendors"
	"esxiplan/schema"
	"esxiplan/steps/steptest"
)

// Whether a look falls into the moment in which a machine shows that it starts is chance: it
// can be known perhaps.
const never, perhaps, surely = "", "perhaps", "surely"

// restartTroubles are what can happen between the requests of one restart, and how many
// changes of power may come of it, somebody else's included.
var restartTroubles = []struct {
	name    string
	on      bool // at the start
	faults  []bmcsim.Fault
	changes int
	unknown string // firmware of which nothing tells whether it booted ends in an error that says so
}{
	{"On refused and done late", true, []bmcsim.Fault{{Kind: "deferred", Count: 1}}, 2, never},
	{"On refused and done late, from off", false, []bmcsim.Fault{{Kind: "deferred", Count: 1}}, 1, never},
	{"somebody else is quicker", true, []bmcsim.Fault{{Kind: "early", Count: 1}}, 2, never},
	{"On does nothing", true, []bmcsim.Fault{{Kind: "ignore", Action: "on", Count: 1}}, 2, never},
	{"On does nothing, from off", false, []bmcsim.Fault{{Kind: "ignore", Action: "on", Count: 1}}, 1, never},
	{"ForceOff does nothing, twice", true, []bmcsim.Fault{{Kind: "ignore", Action: "reset", Count: 2}}, 2, surely},
	{"ForceOff never arrives", true, []bmcsim.Fault{{Kind: "reset", Path: reset, Count: 1}}, 2, surely},
	{"answer to ForceOff lost, On done late", true, []bmcsim.Fault{{Kind: "lost", Path: reset, Count: 1}, {Kind: "deferred", Count: 1}}, 2, never},
	{"answer to On lost, and it does nothing", true, []bmcsim.Fault{{Kind: "lost", Path: reset, After: 1, Count: 1}, {Kind: "ignore", Action: "on", Count: 1}}, 2, never},
	{"somebody else is quicker, and the answer to ForceOff is lost", true, []bmcsim.Fault{{Kind: "lost", Path: reset, Count: 1}, {Kind: "early", Count: 1}}, 2, perhaps},
}

// TestRestartOnce: whatever becomes of the requests of a restart, the machine boots our
// medium once, and nothing that came up after the first request is forced off.
func TestRestartOnce(t *testing.T) {
	t.Parallel()
	for _, p := range bmcsim.Profiles() {
		for _, tr := range restartTroubles {
			t.Run(p.Name+"/"+tr.name, func(t *testing.T) {
				t.Parallel()
				b := steptest.NewFaultyBench(t, p, tr.on, tr.faults...)
				serial := "S1"
				b.ESXi = &schema.ESXi{Disk: &schema.Disk{Serial: &serial}}
				stages := flow(image(p))
				stages[len(stages)-1].After = untilBooted(b)
				_, err := b.Flow(t, vendors.All(), stages...)
				if p.OnlyContinuous && (tr.unknown == surely || tr.unknown == perhaps && err != nil) {
					unknown(t, b, err)
					return
				}
				if err != nil {
					t.Fatalf("%v\n%v", err, b.Sim.Writes())
				}
				changes, _ := b.Sim.Effects()
				if boots := b.Sim.Boots(); len(boots) != 1 || boots[0] != "Cd" || changes != tr.changes {
					t.Errorf("boots %v, %d changes of power, want %d\n%v", boots, changes, tr.changes, b.Sim.Writes())
				}
				if i := slices.IndexFunc(resetsOf(b), bmc.ResetType.Starts); i >= 0 && slices.ContainsFunc(resetsOf(b)[i:], func(r bmc.ResetType) bool { return !r.Starts() }) {
					t.Errorf("forced off after it was started: %v", resetsOf(b))
				}
			})
		}
	}
}

// unknown demands that a machine of which nothing tells whether it was restarted was asked
// once, and that this is said.
func unknown(t *testing.T, b *steptest.Bench, err error) {
	t.Helper()
	if err == nil || !strings.Contains(err.Error(), "nothing shows whether the machine was restarted meanwhile, so it is not asked again") || len(resetsOf(b)) != 1 {
		t.Errorf("%v, resets %v", err, resetsOf(b))
	}
}

// resetsOf lists the resets that were asked for.
func resetsOf(b *steptest.Bench) (out []bmc.ResetType) {
	for _, r := range b.Sim.Writes() {
		var body struct{ ResetType bmc.ResetType }
		if strings.HasSuffix(r.Path, reset) && json.Unmarshal([]byte(r.Body), &body) == nil {
			out = append(out, body.ResetType)
		}
	}
	return out
}
