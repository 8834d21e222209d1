package media

import (
	"slices"
	"time"
)

// Reads is what was fetched of an image, by the clock of the run. It holds totals and,
// so that evidence can be told from what happened before, bouts.
type Reads struct {
	Bytes    int64     `json:"bytes"`
	Count    int64     `json:"requests"`
	Last     time.Time `json:"last,omitzero"`
	By       string    `json:"by,omitempty"`       // address of the last reader
	Bouts    []Bout    `json:"bouts,omitempty"`    // oldest first; at most [maxBouts]
	Fetching bool      `json:"fetching,omitempty"` // the whole image is being fetched, and bytes are moving
	Cut      *Cut      `json:"cut,omitempty"`      // a fetch of the whole image that broke off and was not made good
}

// Bout is reading by one client without a long pause.
type Bout struct {
	From   time.Time `json:"from"` // when the first request began, so that nothing in the bout is older
	To     time.Time `json:"to"`
	Bytes  int64     `json:"bytes"`
	By     string    `json:"by"`
	Boots  int       `json:"boots,omitempty"`  // how many times a machine booted from the image: see [landmarks]
	Loaded bool      `json:"loaded,omitempty"` // the loader read its last module: from then on the installer is running
}

// Cut is a fetch of the whole image that broke off.
type Cut struct {
	Bytes int64     `json:"bytes"` // sent; the client may have received less
	Size  int64     `json:"size"`
	At    time.Time `json:"at"`
	By    string    `json:"by,omitempty"`
}

// Reading sums up bouts.
type Reading struct {
	Bytes       int64
	By          string // the last reader
	First, Last time.Time
	Boots       int
	Loaded      bool
}

// A bout ends with a pause, or when it becomes old: a bout that straddles a moment of
// interest says nothing about it, so bouts are short.
const (
	boutGap   = 5 * time.Second
	boutLasts = 30 * time.Second
	maxBouts  = 64
)

// Since sums up the bouts that began at t or later. A bout that straddles t counts for
// nothing, because some or all of its bytes may have been read before.
func (r Reads) Since(t time.Time) (out Reading) {
	for _, b := range r.Bouts {
		if b.From.Before(t) {
			continue
		}
		if out.First.IsZero() || b.From.Before(out.First) {
			out.First = b.From
		}
		if !b.To.Before(out.Last) {
			out.Last, out.By = b.To, b.By
		}
		out.Bytes += b.Bytes
		out.Boots += b.Boots
		out.Loaded = out.Loaded || b.Loaded
	}
	return out
}

// WholeBefore reports whether one client had read as many bytes before t as the image
// has: it may hold a copy, so that silence after t does not show that it boots something else.
func (r Reads) WholeBefore(t time.Time, size int64) bool {
	if size <= 0 {
		return false
	}
	if len(r.Bouts) == 0 { // noted by an earlier version of esxiplan
		return r.Bytes >= size
	}
	read := map[string]int64{}
	for _, b := range r.Bouts {
		if b.From.Before(t) {
			read[b.By] += b.Bytes
		}
		if read[b.By] >= size {
			return true
		}
	}
	return false
}

// clone is a copy that later reads do not change.
func (r Reads) clone() Reads {
	r.Bouts = slices.Clone(r.Bouts)
	if r.Cut != nil {
		cut := *r.Cut
		r.Cut = &cut
	}
	return r
}

// bout is the bout that a read belongs to which began at began and has just ended.
func (r *Reads) bout(by string, began, ended time.Time) *Bout {
	for i := len(r.Bouts) - 1; i >= 0; i-- {
		b := &r.Bouts[i]
		if b.By != by {
			continue
		}
		if began.Sub(b.To) >= boutGap || began.Sub(b.From) >= boutLasts {
			break
		}
		if began.Before(b.From) { // requests side by side
			b.From = began
		}
		b.To = ended
		return b
	}
	if len(r.Bouts) >= maxBouts {
		r.merge()
	}
	r.Bouts = append(r.Bouts, Bout{From: began, To: ended, By: by})
	return &r.Bouts[len(r.Bouts)-1]
}

// merge makes one bout of the two neighbours with the shortest pause between them, the
// oldest of those, so that pauses, such as that of a restart, stay visible for longest.
func (r *Reads) merge() {
	at, least := 0, time.Duration(1<<62)
	for i := range len(r.Bouts) - 1 {
		a, b := r.Bouts[i], r.Bouts[i+1]
		pause := b.From.Sub(a.To)
		if a.By != b.By {
			pause += 24 * time.Hour
		}
		if pause < least {
			at, least = i, pause
		}
	}
	a, b := r.Bouts[at], r.Bouts[at+1]
	if b.From.Before(a.From) {
		a.From = b.From
	}
	if a.To.Before(b.To) {
		a.To, a.By = b.To, b.By
	}
	a.Bytes, a.Boots, a.Loaded = a.Bytes+b.Bytes, a.Boots+b.Boots, a.Loaded || b.Loaded
	r.Bouts[at] = a
	r.Bouts = slices.Delete(r.Bouts, at+1, at+2)
}
