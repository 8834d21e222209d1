package vendors_test

import (
	"context"
	"testing"
	"testing/synctest"
	"time"

	"esxiplan/engine/bmc"
	"esxiplan/engine/bmc/bmcsim"
)

// TestPosting: a machine in POST is told from one that is through it, by every firmware that
// says how far a boot has come, and by no other.
func TestPosting(t *testing.T) {
	recorded := func(context.Context, bmc.Command) (func(bmc.Fate), error) { return func(bmc.Fate) {}, nil }
	for _, p := range bmcsim.Profiles() {
		if p.Static {
			continue
		}
		t.Run(p.Name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				s := stationOf(t, bmcsim.Config{Profile: p, POST: time.Hour}, &sessionLog{})
				c := s.process(t, nil)
				posting := func() bool {
					t.Helper()
					c.Refresh(0)
					power, err := c.Power(t.Context())
					if err != nil {
						t.Fatal(err)
					}
					return power.Posting
				}
				off := posting()
				if err := c.Reset(t.Context(), bmc.ResetOn, recorded); err != nil {
					t.Fatal(err)
				}
				time.Sleep(10 * time.Minute)
				in := posting()
				time.Sleep(time.Hour)
				if after := posting(); off || in != (p.BootProgress || p.PostLock) || after {
					t.Errorf("off %v, in POST %v, after it %v", off, in, after)
				}
				if err := c.Close(t.Context()); err != nil {
					t.Error(err)
				}
			})
		})
	}
}
