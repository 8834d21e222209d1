package media

import (
	"testing"
	"testing/synctest"
	"time"
)

// copyOf is a transfer of a whole image of 20 MB to one client, of which the system holds
// as much as a test says.
func copyOf(c *counter, by string, held *int64) *transfer {
	return c.began(by, 0, 20<<20, 20<<20, func() (int64, bool) { return *held, true })
}

func testCounter() *counter { return newCounter(time.Now, func() {}) }

func fetching(c *counter) *Fetch { return c.get().judge(readers{}).Fetching }
func cutOf(c *counter) *Fetch    { return c.get().judge(readers{}).Cut }

// TestStandstill: a fetch of the whole image that stands still is not finished; it no
// longer matters once its client reads more than a glimpse by ranges.
func TestStandstill(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c, held := testCounter(), int64(1<<20)
		whole := copyOf(c, "192.0.2.1", &held)
		c.sent(span{by: "192.0.2.1", began: time.Now(), writing: time.Now(), bytes: 5 << 20, size: 20 << 20, copy: whole})
		at := time.Now()
		read := func(by string, bytes int64) {
			c.sent(span{by: by, began: time.Now(), start: 32 << 10, from: 32 << 10, bytes: bytes, size: 20 << 20})
		}
		read("192.0.2.1", 64<<10)
		if f := fetching(c); f == nil {
			t.Fatal("range reads during an active fetch end it")
		}
		time.Sleep(time.Hour)
		if f := fetching(c); f == nil || f.Bytes != 4<<20 || f.Size != 20<<20 || !f.At.Equal(at) {
			t.Fatalf("after an hour without a byte: %+v", f)
		}
		read("192.0.2.1", 1)
		read("192.0.2.2", 1<<20)
		if fetching(c) == nil {
			t.Fatal("a glimpse, or another client, ends it")
		}
		read("192.0.2.1", 2048)
		if fetching(c) != nil {
			t.Error("its client reads by ranges, and it is still fetching")
		}
		c.ended(whole)
		if cut := cutOf(c); cut != nil {
			t.Errorf("its client reads by ranges, and its end is a cut: %+v", cut)
		}
	})
}

// TestNotArrived: what the system holds for a client did not arrive.
func TestNotArrived(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c, held := testCounter(), int64(4<<20-4096)
		whole := copyOf(c, "192.0.2.1", &held)
		c.sent(span{by: "192.0.2.1", began: time.Now(), writing: time.Now(), bytes: 4 << 20, size: 20 << 20, copy: whole})
		c.ended(whole)
		if r := c.get(); cutOf(c) != nil || r.Bytes != 4096 {
			t.Errorf("a client that read the head only: %+v, %d bytes", cutOf(c), r.Bytes)
		}
		held = 3 << 20
		whole = copyOf(c, "192.0.2.1", &held)
		c.sent(span{by: "192.0.2.1", began: time.Now(), writing: time.Now(), bytes: 20 << 20, size: 20 << 20, copy: whole})
		c.ended(whole)
		if cut := cutOf(c); cut == nil || cut.Bytes != 17<<20 {
			t.Errorf("all was handed over, and 3 MB of it did not arrive: %+v", cut)
		}
	})
}

// TestTwoAtOnce: a client that opens a second fetch while the first stands still has the
// image when one of them comes to the end.
func TestTwoAtOnce(t *testing.T) {
	c, none := testCounter(), int64(0)
	first, second := copyOf(c, "192.0.2.1", &none), copyOf(c, "192.0.2.1", &none)
	send := func(w *transfer, n int64) {
		c.sent(span{by: "192.0.2.1", began: time.Now(), writing: time.Now(), bytes: n, size: 20 << 20, copy: w})
	}
	send(first, 5<<20)
	send(second, 20<<20)
	c.ended(second)
	if fetching(c) != nil || cutOf(c) != nil {
		t.Errorf("the second is complete: %+v", c.get().Fetches)
	}
	c.ended(first)
	if cutOf(c) != nil {
		t.Errorf("the first counts as cut off: %+v", cutOf(c))
	}
}

// TestMergeKeepsEvidence: what is merged loses nothing about what came after a restart.
func TestMergeKeepsEvidence(t *testing.T) {
	noon := time.Date(2026, 1, 2, 12, 0, 0, 0, time.UTC)
	at := func(s int) time.Time { return noon.Add(time.Duration(s) * time.Second) }
	var r Reads
	read := func(by string, from int) *Bout {
		b := r.bout(by, at(from), at(from+1))
		b.Bytes++
		return b
	}
	for i := range 40 { // the installer before, by fits and starts
		read("a", i*60)
		read("b", i*60+1)
	}
	reset := at(39*60 + 10)
	b := read("a", 39*60+30) // the pause is shorter than all before
	b.Boots, b.Loaded = 1, true
	for i := range 200 {
		read("a", 40*60+i*31)
		read("b", 40*60+i*31)
	}
	s := r.Since(reset)
	if s.Boots != 1 || !s.Loaded || len(r.Bouts) > maxBouts {
		t.Errorf("%+v of %d bouts", s, len(r.Bouts))
	}
	by := map[string]int64{}
	for _, b := range r.Bouts {
		by[b.By] += b.Bytes
	}
	if by["a"] != 241 || by["b"] != 240 {
		t.Errorf("bouts of different clients were mixed up: %v", by)
	}
}

// TestPeekIsNoCut: a client that had asked for the whole image and read its head when the
// server was killed did not break off, and what it fetched before still holds.
func TestPeekIsNoCut(t *testing.T) {
	const by = "192.0.2.1"
	for name, before := range map[string]int64{"nothing": 0, "all": 20 << 20, "a part": 8 << 20} {
		t.Run(name, func(t *testing.T) {
			c, none, e := testCounter(), int64(0), entry{Host: "h", Token: "x"}
			send := func(w *transfer, n int64) {
				c.sent(span{by: by, began: time.Now(), writing: time.Now(), bytes: n, size: 20 << 20, copy: w})
			}
			if before > 0 {
				w := copyOf(c, by, &none)
				send(w, before)
				c.ended(w)
			}
			send(copyOf(c, by, &none), 4096)
			if f := fetching(c); f == nil || f.Bytes != 4096 {
				t.Errorf("while the server is there: %+v", f)
			}
			m := manifest{dir: t.TempDir(), plan: "p"}
			if err := m.note("h", "s", noted{Token: "x", Process: "killed", Reads: c.get()}); err != nil {
				t.Fatal(err)
			}
			r, _ := m.notes(e)
			next := testCounter()
			next.resume(c.get())
			for who, r := range map[string]Reads{"a run": r, "the next server": next.get(), "both": r.and(next.get())} {
				cut := r.judge(readers{}).Cut
				if (cut != nil) != (before == 8<<20) || cut != nil && cut.Bytes != before {
					t.Errorf("%s: cut %+v", who, cut)
				}
				if whole := len(r.Fetches) == 1 && r.Fetches[0].complete(); whole != (before == 20<<20) {
					t.Errorf("%s: fetches %+v", who, r.Fetches)
				}
			}
		})
	}
}

// TestWholeBefore: fetches show that a client had the whole image. Bytes do not add up to an
// image if its fetch is known to have broken off.
func TestWholeBefore(t *testing.T) {
	const by, size = "192.0.2.1", 100
	noon := time.Date(2026, 1, 2, 12, 0, 0, 0, time.UTC)
	at := func(s int) time.Time { return noon.Add(time.Duration(s) * time.Second) }
	fetch := func(s int, bytes int64) Fetch { return Fetch{Bytes: bytes, Size: size, At: at(s), By: by} }
	bouts := []Bout{{From: at(1), To: at(2), Bytes: 60, By: by}, {From: at(3), To: at(4), Bytes: 60, By: by}}
	for name, c := range map[string]struct {
		r          Reads
		fetched    bool
		mayBeWhole bool
	}{
		"fetched":              {Reads{Bouts: bouts[:1], Fetches: []Fetch{fetch(2, size)}}, true, true},
		"fetched later":        {Reads{Bouts: bouts[:1], Fetches: []Fetch{fetch(20, size)}}, false, false},
		"fetched later again":  {Reads{Bouts: bouts, Fetches: []Fetch{fetch(20, size)}}, false, true},
		"two parts":            {Reads{Bouts: bouts, Fetches: []Fetch{fetch(4, 60)}}, false, false},
		"broken off later":     {Reads{Bouts: bouts, Fetches: []Fetch{fetch(20, 60)}}, false, true},
		"by ranges, as many":   {Reads{Bouts: bouts}, false, true},
		"by an earlier server": {Reads{Bytes: size}, false, true},
	} {
		if have := c.r.FetchedBefore(at(10)); have != c.fetched {
			t.Errorf("%s: fetched %v", name, have)
		}
		if have := c.r.WholeBefore(at(10), size); have != c.mayBeWhole {
			t.Errorf("%s: may be whole %v", name, have)
		}
	}
	r := Reads{Bouts: bouts, Fetches: []Fetch{fetch(2, size)}}.judge(readersOf("192.0.2.9", false))
	if r.FetchedBefore(at(10)) || r.WholeBefore(at(10), size) {
		t.Error("what another client fetched, the BMC is said to have")
	}
	r = Reads{Bouts: bouts, Fetches: []Fetch{fetch(2, size)}}.judge(readersOf("bmc.example", false))
	if r.FetchedBefore(at(10)) || !r.WholeBefore(at(10), size) {
		t.Error("a client that may be the BMC has a copy: that is no more than possible")
	}
}
