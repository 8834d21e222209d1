package session

import (
	"slices"
	"strings"
	"testing"
	"time"

	"esxiplan/engine/local"
	"esxiplan/engine/step"
	"esxiplan/schema"
)

// TestQuestion: what is asked before a run that may wipe or stop these machines, of which
// some are on, and what a yes to it allows.
func TestQuestion(t *testing.T) {
	hosts := map[string]*schema.Host{}
	of := func(names string) (out []*schema.Host) {
		for name := range strings.FieldsSeq(names) {
			if hosts[name] == nil {
				hosts[name] = &schema.Host{Name: name}
			}
			out = append(out, hosts[name])
		}
		return out
	}
	names := func(hosts []*schema.Host) string {
		var out []string
		for _, h := range hosts {
			out = append(out, h.Name)
		}
		return strings.Join(out, " ")
	}
	for name, c := range map[string]struct {
		wipes, stops, on    string
		looked              string // at these, whether they are on
		asksWipe, asksStops string
		allows              string // host:stop, host:wipe
	}{
		"nothing":             {},
		"only reads":          {on: "a b"},
		"wipes":               {wipes: "a b", asksWipe: "a b", allows: "a:wipe b:wipe"},
		"wipes what it stops": {wipes: "a", stops: "a", on: "a", asksWipe: "a", allows: "a:wipe"},
		"stops what is on":    {stops: "a b c", on: "a c", looked: "a b c", asksStops: "a c", allows: "a:stop c:stop"},
		"stops what is off":   {stops: "a b", looked: "a b"},
		"both":                {wipes: "b", stops: "a b c", on: "b c", looked: "a c", asksWipe: "b", asksStops: "c", allows: "b:wipe c:stop"},
	} {
		t.Run(name, func(t *testing.T) {
			looked, on, stops := "", of(c.on), of(c.stops)
			q := question(of(c.wipes), stops, func(hosts []*schema.Host) []*schema.Host {
				looked = names(hosts)
				return slices.DeleteFunc(slices.Clone(hosts), func(h *schema.Host) bool { return !slices.Contains(on, h) })
			})
			if looked != c.looked || names(q.Wipes) != c.asksWipe || names(q.Stops) != c.asksStops || q.Needed() != (c.allows != "") {
				t.Errorf("looked at %q, asks about %q and %q, needed %v", looked, names(q.Wipes), names(q.Stops), q.Needed())
			}
			if names(stops) != c.stops {
				t.Errorf("the hosts that the run may stop are %q now", names(stops))
			}
			var allows []string
			for _, h := range []string{"a", "b", "c"} {
				switch q.Yes().Of(h) {
				case step.Consent{Stop: true, Wipe: true}:
					allows = append(allows, h+":wipe")
				case step.Consent{Stop: true}:
					allows = append(allows, h+":stop")
				}
			}
			if got := strings.Join(allows, " "); got != c.allows {
				t.Errorf("yes allows %s", got)
			}
		})
	}
}

// TestAgreement: nobody agreed to anything by saying nothing, and --yes is about all hosts.
func TestAgreement(t *testing.T) {
	if c := (Agreement{}).Of("a"); c != (step.Consent{}) {
		t.Errorf("nothing: %+v", c)
	}
	if c := Everything().Of("a"); c != (step.Consent{Stop: true, Wipe: true}) {
		t.Errorf("everything: %+v", c)
	}
}

// TestAgo: a run may have begun in the future, by a clock that was set back since.
func TestAgo(t *testing.T) {
	now := time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC)
	p := &Prepared{o: Options{Clock: local.NewClockAt(now, 0)}}
	if got := p.Ago(now.Add(-2 * time.Hour)); got != "2h0m0s ago" {
		t.Error(got)
	}
	if got := p.Ago(now.AddDate(10, 0, 0)); strings.Contains(got, "-87") || !strings.HasPrefix(got, "at 2036-01-0") || !strings.Contains(got, "was it set back?") {
		t.Error(got)
	}
}
