package insert_test

import (
	"context"
	"strings"
	"sync"
	"testing"

	"esxiplan/engine/bmc/bmcsim"
	"esxiplan/engine/bmc/vendors"
	"esxiplan/engine/media"
	"esxiplan/steps/insert"
	"esxiplan/steps/steptest"
)

const arguments = `{"image":"http://192.0.2.1/x.iso","slot":null}`

func TestInsert(t *testing.T) {
	t.Parallel()
	steptest.Run(t, insert.Type, vendors.All(), steptest.Case{Arguments: arguments})
}

// shelf is a media door with one image, of which a BMC reads what a test says.
type shelf struct {
	media.Store
	mu    sync.Mutex
	reads func(call int) (media.Reads, bool)
	calls int
}

func (s *shelf) Latest(string) (media.Published, bool) {
	return media.Published{URL: "http://192.0.2.1/x.iso"}, true
}
func (s *shelf) Fetch(context.Context, string) error { return nil }
func (s *shelf) Reads(string) (media.Reads, bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.calls++
	return s.reads(s.calls)
}

// unreachable is a media door that cannot read the image from here.
type unreachable struct{ shelf }

func (u *unreachable) Fetch(_ context.Context, url string) error {
	return &media.ErrFetch{URL: url, Reason: "connection refused"}
}

// TestUnreadableImage: why the image could not be read from here stands in the error of an
// insert that fails, next to the BMC's own words, and changes nothing of whether it is retried.
func TestUnreadableImage(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		status  int
		message string
		tries   int
	}{{400, "InvalidObject", 1}, {500, "InternalError", insert.Type.Policy.Retries + 1}} {
		p, err := bmcsim.Find("redfish/standard")
		if err != nil {
			t.Fatal(err)
		}
		b := steptest.NewFaultyBench(t, p, false, bmcsim.Fault{Kind: "status", Status: c.status, Message: "Base.1.8." + c.message, Path: "InsertMedia"})
		b.Media = &unreachable{shelf{reads: func(int) (media.Reads, bool) { return media.Reads{}, false }}}
		_, err = b.Flow(t, vendors.All(), steptest.Stage{Type: insert.Type, Arguments: arguments})
		if err == nil || !strings.Contains(err.Error(), c.message) || !strings.Contains(err.Error(), "could not be read from here either: GET http://192.0.2.1/x.iso: connection refused") {
			t.Errorf("%v", err)
		}
		if sent := len(b.Sim.Writes()); sent != c.tries {
			t.Errorf("%d: %d inserts, want %d", c.status, sent, c.tries)
		}
	}
}

// TestCutAndHidden: an image of which the BMC fetched a part is mounted again, also where the
// BMC does not tell which image is in its drive.
func TestCutAndHidden(t *testing.T) {
	t.Parallel()
	p, err := bmcsim.Find("dell/idrac9")
	if err != nil {
		t.Fatal(err)
	}
	p.Forgets = true
	b := steptest.NewBench(t, p)
	cuts := 1
	b.Media = &shelf{reads: func(int) (media.Reads, bool) {
		if _, inserts := b.Sim.Effects(); inserts > cuts {
			return media.Reads{}, true
		}
		return media.Reads{Cut: &media.Fetch{Bytes: 33e6, Size: 66e6}}, true
	}}
	if _, err := b.Flow(t, vendors.All(), steptest.Stage{Type: insert.Type, Arguments: arguments}); err != nil {
		t.Error(err)
	}
	if _, inserts := b.Sim.Effects(); inserts != 2 {
		t.Errorf("%d inserts", inserts)
	}
}

// TestHiddenElsewhere: an unknown image in another drive than ours is not taken for ours.
func TestHiddenElsewhere(t *testing.T) {
	t.Parallel()
	p, err := bmcsim.Find("dell/idrac9")
	if err != nil {
		t.Fatal(err)
	}
	p.Forgets = true
	b := steptest.NewBench(t, p)
	into := func(slot string) steptest.Stage {
		return steptest.Stage{Type: insert.Type, Arguments: strings.Replace(arguments, "null", `"`+slot+`"`, 1)}
	}
	for range 2 { // found again in its own drive
		if _, err := b.Flow(t, vendors.All(), into("2")); err != nil {
			t.Fatal(err)
		}
	}
	b.Sim.Mount("http://192.0.2.7/somebody-elses.iso")
	_, err = b.Flow(t, vendors.All(), into("1"))
	if err == nil || !strings.Contains(err.Error(), "slot 1 already holds an unknown image") {
		t.Errorf("got %v", err)
	}
	if _, inserts := b.Sim.Effects(); inserts != 1 {
		t.Errorf("%d inserts", inserts)
	}
}

// TestFetchedWhole: an image that a BMC fetches whole is inserted when all of it arrived,
// also where an earlier run mounted it.
func TestFetchedWhole(t *testing.T) {
	t.Parallel()
	open := media.Reads{Fetching: &media.Fetch{Bytes: 3e6, Size: 66e6, Open: true}}
	cut := media.Reads{Cut: &media.Fetch{Bytes: 33e6, Size: 66e6}}
	for name, c := range map[string]struct {
		reads   func(call int) (media.Reads, bool)
		mounted bool // by an earlier run
		fails   string
	}{
		"comes to its end":   {func(call int) (media.Reads, bool) { return map[bool]media.Reads{true: open}[call < 4], true }, false, ""},
		"never comes to it":  {func(int) (media.Reads, bool) { return open, true }, false, "has not finished fetching it: 3.0 of 66.0 MB"},
		"its server is gone": {func(call int) (media.Reads, bool) { return open, call < 4 }, false, "has not finished fetching it: 3.0 of 66.0 MB"},
		"breaks off": {func(call int) (media.Reads, bool) {
			return map[bool]media.Reads{true: open, false: cut}[call < 4], true
		}, false, "fetched only 33.0 of 66.0 MB"},
		"mounted before": {func(call int) (media.Reads, bool) { return open, call < 4 }, true, "has not finished fetching it: 3.0 of 66.0 MB"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			profile, err := bmcsim.Find("dell/idrac9")
			if err != nil {
				t.Fatal(err)
			}
			b := steptest.NewBench(t, profile)
			stage := steptest.Stage{Type: insert.Type, Arguments: arguments}
			if c.mounted {
				if _, err := b.Flow(t, vendors.All(), stage); err != nil {
					t.Fatal(err)
				}
			}
			b.Media = &shelf{reads: c.reads}
			_, err = b.Flow(t, vendors.All(), stage)
			if (err == nil) != (c.fails == "") || err != nil && !strings.Contains(err.Error(), c.fails) {
				t.Errorf("got %v, want %q", err, c.fails)
			}
		})
	}
}
