package media

import (
	"cmp"
	"fmt"
	"net/netip"
	"slices"
	"time"
)

// Reads is what was fetched of an image, by the clock of the run. It holds totals and,
// to separate evidence from what happened before, bouts.
type Reads struct {
	Bytes   int64     `json:"bytes"`
	Count   int64     `json:"requests"`
	Last    time.Time `json:"last,omitzero"`
	By      string    `json:"by,omitempty"`      // address of the last reader
	Bouts   []Bout    `json:"bouts,omitempty"`   // oldest first; at most [maxBouts] of a server
	Fetches []Fetch   `json:"fetches,omitempty"` // of the whole image: see [lastFetches]

	Fetching *Fetch `json:"-"` // by the host's BMC: under way, whether bytes move or not
	Cut      *Fetch `json:"-"` // by the host's BMC: broken off, and not completed since
}

// Bout is reading by one client without a long pause.
type Bout struct {
	From   time.Time `json:"from"` // when the first request began, so that nothing in the bout is older
	To     time.Time `json:"to"`
	Bytes  int64     `json:"bytes"`
	By     string    `json:"by"`
	Own    bool      `json:"own,omitempty"`    // by the machine that serves the image: that shows nothing
	Boots  int       `json:"boots,omitempty"`  // how many times a machine booted from the image: see [landmarks]
	Loaded bool      `json:"loaded,omitempty"` // the loader read its last module: from then on the installer is running

	Is relation `json:"is,omitempty"` // what the client is, as far as its server knew

	other bool // by a client that is not known to be the host's BMC
}

// Fetch is a fetch of the whole image by one client, or how far it came.
type Fetch struct {
	Bytes int64     `json:"bytes"` // that the client's machine has acknowledged
	Size  int64     `json:"size"`
	At    time.Time `json:"at"` // when it ended; while it is under way, when bytes moved last
	By    string    `json:"by,omitempty"`
	Own   bool      `json:"own,omitempty"`  // as in [Bout]
	Is    relation  `json:"is,omitempty"`   // as in [Bout]
	Open  bool      `json:"open,omitempty"` // under way

	other bool // as in [Bout]
}

// String is how much of the image came.
func (f Fetch) String() string {
	return fmt.Sprintf("%.1f of %.1f MB", float64(f.Bytes)/1e6, float64(f.Size)/1e6)
}

func (f Fetch) complete() bool { return !f.Open && f.Bytes >= f.Size }

// ended is what remains of a fetch when it ends, or its server does. It matters unless so
// little arrived that the client may not have wanted more.
func (f Fetch) ended() (_ Fetch, matters bool) {
	f.Open = false
	return f, f.complete() || f.Bytes > fetchMatters
}

// Reading sums up bouts.
type Reading struct {
	Bytes       int64
	By          string // the last reader
	First, Last time.Time
	Boots       int  // how many times the machine booted the medium and loaded what is on it
	Loaded      bool // it did so to the last module
	Other       bool // by clients that are not known to be the host's BMC
}

// A bout ends with a pause, or when it becomes old: a bout that straddles a moment
// of interest says nothing about it, so bouts are short.
const (
	boutGap   = 5 * time.Second
	boutLasts = 30 * time.Second
	maxBouts  = 64
)

// Since sums up the bouts of the host's BMC that began at t or later. A bout that
// straddles t counts for nothing, because some or all of its bytes may have been read
// before. If the BMC read nothing, it is what other clients read: it names them, and
// is no evidence that a machine booted.
func (r Reads) Since(t time.Time) Reading {
	if out := r.since(t, false); out.Bytes > 0 {
		return out
	}
	return r.since(t, true)
}

func (r Reads) since(t time.Time, other bool) (out Reading) {
	for _, b := range r.Bouts {
		if b.From.Before(t) || b.Own || b.other != other {
			continue
		}
		if out.First.IsZero() || b.From.Before(out.First) {
			out.First = b.From
		}
		if !b.To.Before(out.Last) {
			out.Last, out.By = b.To, b.By
		}
		out.Bytes, out.Other = out.Bytes+b.Bytes, other
		if !other {
			out.Boots += b.Boots
			out.Loaded = out.Loaded || b.Loaded
		}
	}
	return out
}

// FetchedBefore reports whether the host's BMC had fetched the whole image before t.
func (r Reads) FetchedBefore(t time.Time) bool {
	return slices.ContainsFunc(r.Fetches, func(f Fetch) bool { return f.complete() && !f.other && f.At.Before(t) })
}

// WholeBefore reports whether the host's BMC had fetched the whole image before t, or may
// have: silence after t does not show then that it boots something else. What a client did
// before its last fetch is unknown, and so is what it puts together from ranges: if it read as
// many bytes as the image has, it may have a copy.
func (r Reads) WholeBefore(t time.Time, size int64) bool {
	switch {
	case size <= 0:
		return false
	case r.FetchedBefore(t):
		return true
	case len(r.Bouts) == 0: // noted by an earlier version of esxiplan
		return r.Bytes >= size
	}
	read := map[string]int64{}
	for _, b := range r.Bouts {
		if b.From.Before(t) && !b.Own && b.Is != another && !r.brokeOff(b.By, t) {
			read[b.By] += b.Bytes
		}
		if read[b.By] >= size {
			return true
		}
	}
	return false
}

// brokeOff reports that the last fetch of a client broke off before t.
func (r Reads) brokeOff(by string, t time.Time) bool {
	return slices.ContainsFunc(r.Fetches, func(f Fetch) bool {
		return f.By == by && !f.Open && !f.complete() && f.At.Before(t)
	})
}

// readers says whose reading counts for a host.
type readers struct {
	bmc netip.Addr // invalid: the plan gives a name, and servers know who that is
	own bool       // this machine's own addresses may be the BMC's
	any bool       // every client's does
}

// readersOf are those of the host with this BMC. In a simulation the BMCs of the plan are
// elsewhere: any client may be one.
func readersOf(bmc string, simulated bool) readers {
	address, err := netip.ParseAddr(bmc)
	if err != nil || simulated {
		return readers{any: simulated}
	}
	address = plainAddress(address)
	return readers{bmc: address, own: ownAddress(address)}
}

// judge says what a client is, from what a server noted about it.
func (w readers) judge(by string, own bool, noted relation) relation {
	address, err := netip.ParseAddr(by)
	switch {
	case w.any, own && w.own:
		return theBMC
	case !w.bmc.IsValid() && own && noted == notKnown:
		return another
	case !w.bmc.IsValid():
		return noted
	case !own && err == nil && plainAddress(address) == w.bmc:
		return theBMC
	}
	return another
}

// judge ties what was read to the host's BMC.
func (r Reads) judge(w readers) Reads {
	r = r.clone()
	for i := range r.Bouts {
		b := &r.Bouts[i]
		b.Is = w.judge(b.By, b.Own, b.Is)
		b.other = b.Is != theBMC
		b.Own = b.Own && b.other
	}
	for i := range r.Fetches {
		f := &r.Fetches[i]
		f.Is = w.judge(f.By, f.Own, f.Is)
		f.other = f.Is != theBMC
	}
	r.Fetching, r.Cut = r.unfinished(w)
	return r
}

// unfinished are the fetches of the host's BMC that were not completed. Better too
// many warnings that an image may be incomplete than none: if no fetch is known to be the
// BMC's, any may be that is not known to be another's.
func (r Reads) unfinished(w readers) (open, cut *Fetch) {
	known := slices.ContainsFunc(r.Fetches, func(f Fetch) bool { return f.Is == theBMC })
	for _, f := range r.Fetches {
		switch {
		case f.Is == another, known && f.Is != theBMC:
		case f.Open:
			open = &f
		case !f.complete():
			cut = &f
		case !w.bmc.IsValid(): // the BMC may have several addresses
			cut = nil
		}
	}
	return open, cut
}

// clone is a copy that later reads do not change.
func (r Reads) clone() Reads {
	r.Bouts, r.Fetches = slices.Clone(r.Bouts), slices.Clone(r.Fetches)
	return r
}

// and adds what another server noted of the same image.
func (r Reads) and(other Reads) Reads {
	r = r.clone()
	r.Bytes += other.Bytes
	r.Count += other.Count
	if other.Last.After(r.Last) {
		r.Last, r.By = other.Last, other.By
	}
	r.Bouts = append(r.Bouts, other.Bouts...)
	slices.SortStableFunc(r.Bouts, func(a, b Bout) int { return a.From.Compare(b.From) })
	r.Fetches = lastFetches(append(r.Fetches, other.Fetches...))
	return r
}

// lastFetches keeps the last fetch of each client, oldest first. As long as the end of that
// one would not matter, the one before it still shows what the client has.
func lastFetches(all []Fetch) (out []Fetch) {
	sortFetches(all)
	known := map[string]bool{}
	for _, f := range slices.Backward(all) {
		if !known[f.By] {
			_, known[f.By] = f.ended()
			out = append(out, f)
		}
	}
	slices.Reverse(out)
	return out
}

// sortFetches puts the oldest first, at the same time those that broke off, and last those
// that are under way.
func sortFetches(all []Fetch) {
	rank := func(f Fetch) int {
		switch {
		case f.Open:
			return 2
		case f.complete():
			return 1
		}
		return 0
	}
	slices.SortFunc(all, func(a, b Fetch) int {
		return cmp.Or(a.At.Compare(b.At), rank(a)-rank(b), cmp.Compare(a.By, b.By))
	})
}

// bout returns the bout of a read that began at began and has just ended.
func (r *Reads) bout(by string, began, ended time.Time) *Bout {
	for i := len(r.Bouts) - 1; i >= 0; i-- {
		b := &r.Bouts[i]
		if b.By != by || b.From.Sub(began) >= boutGap { // a delayed read must not make later reads older
			continue
		}
		if began.Sub(b.To) >= boutGap || began.Sub(b.From) >= boutLasts {
			break
		}
		if began.Before(b.From) { // requests side by side
			b.From = began
		}
		if b.To.Before(ended) {
			b.To = ended
		}
		return b
	}
	if len(r.Bouts) >= maxBouts {
		r.merge()
	}
	r.Bouts = append(r.Bouts, Bout{From: began, To: ended, By: by})
	return &r.Bouts[len(r.Bouts)-1]
}

// merge makes one bout of two of the same client with the same relation. A merged bout is as
// old as its first half, so two between which the machine may have been restarted are merged
// last: first the oldest two without such a pause; then those with the shortest pause whose
// later half shows no boot, so that no evidence is lost.
func (r *Reads) merge() {
	type pair struct {
		a, b, rank int
		pause      time.Duration
	}
	var best *pair
	type reader struct {
		by string
		is relation
	}
	last := map[reader]int{}
	for i, b := range r.Bouts {
		at, ok := last[reader{b.By, b.Is}]
		last[reader{b.By, b.Is}] = i
		if !ok {
			continue
		}
		p := pair{a: at, b: i, pause: b.From.Sub(r.Bouts[at].To)}
		switch {
		case p.pause < restartTakes:
			p.pause = 0
		case b.Boots == 0 && !b.Loaded:
			p.rank = 1
		default:
			p.rank = 2
		}
		if best == nil || cmp.Or(cmp.Compare(p.rank, best.rank), cmp.Compare(p.pause, best.pause)) < 0 {
			best = &p
		}
	}
	if best == nil { // each is another client's
		r.Bouts = slices.Delete(r.Bouts, 0, 1)
		return
	}
	a, b := &r.Bouts[best.a], r.Bouts[best.b]
	if b.From.Before(a.From) {
		a.From = b.From
	}
	if a.To.Before(b.To) {
		a.To = b.To
	}
	a.Bytes, a.Boots, a.Loaded = a.Bytes+b.Bytes, a.Boots+b.Boots, a.Loaded || b.Loaded
	r.Bouts = slices.Delete(r.Bouts, best.b, best.b+1)
}
