package media

import (
	"net/netip"
	"slices"
	"sync"
	"time"

	"esxiplan/engine/media/iso"
)

// counter is what was read of one image. It notes every client separately; the code that
// reads the notes judges which is the host's BMC, see [readers].
type counter struct {
	now   func() time.Time // the clock of the run
	news  func()           // a fetch of the whole image began or ended
	marks landmarks

	mu      sync.Mutex
	reads   Reads
	dirty   bool
	open    int // requests under way
	clients map[string]*client
}

// client is the state of one reader of an image.
type client struct {
	own    bool      // an address of this machine
	is     relation  // as it was known last
	last   time.Time // end of its last read by ranges
	opened bool      // since the last long pause it read a boot image from its start
	loads  bool      // and that is not counted as a boot yet
	beyond int64     // bytes read since
	copied int64     // how far its ranges go without a gap from the start of the image

	copies    []*transfer // under way
	elsewhere int64       // bytes that it read by ranges while none of them moved
	fetch     *Fetch      // how its last fetch of the whole image ended
	asked     time.Time   // when that one began, by the real clock
	reach     int64       // how far that one came at most: the end of it may have been lost
}

// transfer is an answer that is the whole image, or the rest of it after a fetch that
// broke off.
type transfer struct {
	by           string
	start, size  int64
	sent         int64                // handed to the system
	acknowledged int64                // of that, what has certainly arrived
	opened       time.Time            // by the real clock
	moved        time.Time            // by the real clock, too
	writing      time.Time            // by the real clock, too: when handing over the last bytes began
	began, at    time.Time            // by that of the run: when the last bytes were passed to the system
	unsent       func() (int64, bool) // what the system holds for the client; false: unknown
	left         int64                // when that was known last
	settled      bool                 // its end means nothing: its client has the image, or reads by ranges instead
}

// stalled is for how long a transfer may move no byte until its client, when it reads by
// ranges, no longer counts as fetching the rest.
const stalled = 15 * time.Second

// fetchMatters is how much of a fetch of the whole image must have arrived before its
// end means something: clients also ask for the whole and read its head only.
const fetchMatters = 1 << 20

// resumes is how far before the end of what was sent a client may resume a broken fetch:
// the last part may have been lost on the way.
const resumes = 16 << 20

// maxClients bounds how many readers of an image are counted separately.
const maxClients = 64

func newCounter(now func() time.Time, news func()) *counter {
	return &counter{now: now, news: news, clients: map[string]*client{}}
}

// know notes where boot images and modules are.
func (c *counter) know(marks landmarks) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.marks = marks
}

// client returns the state of a reader. Their number is bounded: the one that read least
// recently, and has nothing to report, is forgotten.
func (c *counter) client(by string) *client {
	if p := c.clients[by]; p != nil {
		return p
	}
	if len(c.clients) >= maxClients {
		c.forgetClient()
	}
	address, err := netip.ParseAddr(by)
	p := &client{own: err == nil && ownAddress(plainAddress(address))}
	c.clients[by] = p
	return p
}

// identify notes whose address a client has.
func (c *counter) identify(by string, is relation) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if is != notKnown {
		c.client(by).is = is
	}
}

func (c *counter) forgetClient() {
	oldest := ""
	for by, p := range c.clients {
		if q := c.clients[oldest]; len(p.copies) == 0 &&
			(q == nil || p.fetch == nil && q.fetch != nil || (p.fetch == nil) == (q.fetch == nil) && p.last.Before(q.last)) {
			oldest = by
		}
	}
	delete(c.clients, oldest)
}

// request counts a request, whatever it reads; the caller calls answered at its end.
func (c *counter) request(by string) {
	now := c.now()
	c.mu.Lock()
	defer c.mu.Unlock()
	c.reads.Count++
	c.reads.Last, c.reads.By, c.dirty = now, by, true
	c.open++
}

func (c *counter) answered() {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.open--
}

// idle reports that no request is under way, and that nothing changed since the count was taken.
func (c *counter) idle() bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.open == 0 && !c.dirty
}

// began returns the transfer of an answer; nil if the answer is neither the whole image nor
// the rest of it.
func (c *counter) began(by string, start, length, size int64, unsent func() (int64, bool)) *transfer {
	if start < 0 || start+length != size {
		return nil
	}
	now := c.now()
	c.mu.Lock()
	defer c.mu.Unlock()
	p := c.client(by)
	if start > 0 && !p.takesUp(start) {
		return nil
	}
	t := &transfer{by: by, start: start, size: size, opened: time.Now(), moved: time.Now(), began: now, at: now, unsent: unsent}
	p.copies = append(p.copies, t)
	c.dirty = true
	c.news()
	return t
}

// takesUp reports whether a read up to the end of the image continues where a fetch broke
// off. A read that begins near the image's head streams instead.
func (p *client) takesUp(from int64) bool {
	follows := func(arrived, reach int64) bool {
		return from <= reach && from >= max(fetchMatters, arrived-resumes)
	}
	if p.fetch != nil && !p.fetch.complete() && follows(p.fetch.Bytes, p.reach) {
		return true
	}
	return slices.ContainsFunc(p.copies, func(t *transfer) bool {
		return follows(t.start+t.acknowledged, t.start+t.sent)
	})
}

// span is a run of bytes of an image that went to a client.
type span struct {
	by      string
	began   time.Time // when sending it began
	writing time.Time // that by the real clock
	start   int64     // where the answer begins that it belongs to; -1: the place is not known
	from    int64     // where it begins itself
	bytes   int64
	size    int64     // of the image
	copy    *transfer // that it is part of: that is a copy and no boot
}

// sent counts bytes that went out.
func (c *counter) sent(s span) {
	now := c.now()
	c.mu.Lock()
	defer c.mu.Unlock()
	p := c.client(s.by)
	if t := s.copy; t != nil {
		t.sent += s.bytes
		t.moved, t.writing, t.began, t.at = time.Now(), s.writing, s.began, now
		p.elsewhere = 0
		c.arrived(t, p, now)
		return
	}
	b := c.add(s.by, p, s.began, now, s.bytes)
	boots := c.boots(s, p)
	p.streams(s, boots)
	p.pass(s, boots, b, now, c.marks)
}

// add adds bytes to the totals and to the bout that they belong to.
func (c *counter) add(by string, p *client, began, now time.Time, bytes int64) *Bout {
	c.reads.Bytes += bytes
	c.dirty = true
	if !now.Before(c.reads.Last) {
		c.reads.Last, c.reads.By = now, by
	}
	b := c.reads.bout(by, began, now)
	b.Bytes += bytes
	b.Own, b.Is = p.own, p.is
	return b
}

// arrived counts what arrived of a transfer since the last look.
func (c *counter) arrived(t *transfer, p *client, now time.Time) {
	if before := t.acknowledged; t.arrived() > before {
		c.add(t.by, p, t.began, now, t.acknowledged-before)
	}
}

// arrived is how much of a transfer the client's machine has acknowledged.
func (t *transfer) arrived() int64 {
	if left, ok := t.unsent(); ok {
		t.left = left
	}
	t.acknowledged = max(t.acknowledged, t.sent-t.left)
	return t.acknowledged
}

// boots reports whether a read is firmware's: of the boot catalog or a boot image, from
// its start. One that continues a copy by ranges is part of that copy.
func (c *counter) boots(s span, p *client) bool {
	return s.start == s.from && slices.Contains(c.marks.Boot, s.start) && s.start != p.copied
}

// streams judges the fetches of a client by a read by ranges: a client that boots from the
// image does not need the copy that it did not get. The same holds for one that reads more
// than a glimpse while its fetch stands still.
func (p *client) streams(s span, boots bool) {
	if len(p.copies) == 0 {
		if boots && p.fetch != nil && !p.fetch.complete() {
			p.fetch = nil
		}
		return
	}
	if slices.ContainsFunc(p.copies, func(t *transfer) bool { return time.Since(t.moved) < stalled }) {
		return
	}
	if p.elsewhere += s.bytes; !boots && p.elsewhere < iso.Sector {
		return
	}
	p.settle(time.Now())
	p.fetch = nil
}

// pass follows a machine through the image: from its boot image to the last module.
func (p *client) pass(s span, boots bool, b *Bout, now time.Time, marks landmarks) {
	if s.began.Sub(p.last) >= restartTakes {
		p.opened, p.loads, p.beyond = false, false, 0
	}
	p.last = now
	p.follow(s, now)
	p.beyond += s.bytes
	if boots && !p.opened {
		p.opened, p.loads, p.beyond = true, true, 0
	}
	done := len(marks.Loaded) == 0 && p.beyond >= bootIsReal
	for _, end := range marks.Loaded {
		if p.opened && s.start >= 0 && s.from < end && end <= s.from+s.bytes {
			b.Loaded, done = true, true
		}
	}
	if p.loads && done {
		b.Boots++
		p.loads = false
	}
}

// follow follows a copy by ranges; one that reaches the end counts as a fetch.
func (p *client) follow(s span, now time.Time) {
	switch {
	case s.start < 0 || s.from > p.copied && s.from > 0:
		return
	case s.from == 0:
		p.copied = s.bytes
	default:
		p.copied = max(p.copied, s.from+s.bytes)
	}
	if p.copied >= s.size {
		p.completed(s.by, s.size, now, time.Now())
	}
}

// ended judges a transfer by how much of it arrived.
func (c *counter) ended(t *transfer) {
	now := c.now()
	defer c.news()
	c.mu.Lock()
	defer c.mu.Unlock()
	p := c.client(t.by)
	p.copies = slices.DeleteFunc(p.copies, func(other *transfer) bool { return other == t })
	c.dirty = true
	c.arrived(t, p, now)
	f, matters := Fetch{Bytes: t.start + t.acknowledged, Size: t.size, At: now, By: t.by, Own: p.own, Is: p.is}.ended()
	switch {
	case f.complete():
		p.completed(t.by, t.size, now, t.writing)
	case matters && !t.settled:
		p.fetch, p.asked, p.reach = &f, t.opened, t.start+t.sent
	}
}

// completed notes that a client has the whole image; fetches that it began before the end
// went out no longer matter. A fetch that it began after that, and broke off before this was
// noticed, is its last one.
func (p *client) completed(by string, size int64, now, last time.Time) {
	p.settle(last)
	if p.fetch != nil && p.asked.After(last) {
		return
	}
	p.fetch = &Fetch{Bytes: size, Size: size, At: now, By: by, Own: p.own, Is: p.is}
}

// settle makes the end of all earlier transfers meaningless.
func (p *client) settle(before time.Time) {
	p.elsewhere = 0
	p.copies = slices.DeleteFunc(p.copies, func(t *transfer) bool {
		t.settled = !t.opened.After(before)
		return t.settled
	})
}

// mark makes the count known although nothing was read yet.
func (c *counter) mark() {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.dirty = true
}

// resume continues from what an earlier server at the same address noted. What was being
// fetched from that one is broken off.
func (c *counter) resume(earlier Reads) {
	c.mu.Lock()
	defer c.mu.Unlock()
	r := &c.reads
	r.Bytes += earlier.Bytes
	r.Count += earlier.Count
	if r.By == "" {
		r.By, r.Last = earlier.By, earlier.Last
	}
	r.Bouts = append(earlier.clone().Bouts, r.Bouts...)
	for len(r.Bouts) > maxBouts {
		r.merge()
	}
	for _, f := range earlier.Fetches {
		ended, matters := f.ended()
		if !matters || c.clients[f.By] != nil { // it reads from this server
			continue
		}
		p := c.client(f.By)
		if p.reach = f.Bytes; f.Open {
			p.reach = f.Bytes + resumes // that was noted some time before
		}
		p.fetch = &ended
	}
	c.dirty = true
}

// take returns the count, and whether it changed since it was taken last.
func (c *counter) take() (r Reads, changed bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	changed, c.dirty = c.dirty, false
	return c.snapshot(), changed
}

func (c *counter) get() Reads {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.snapshot()
}

func (c *counter) snapshot() Reads {
	for _, p := range c.clients {
		for _, t := range p.copies {
			c.arrived(t, p, t.at)
		}
	}
	r := c.reads.clone()
	r.Fetches = nil
	for by, p := range c.clients {
		if p.fetch != nil {
			r.Fetches = append(r.Fetches, *p.fetch)
		}
		if len(p.copies) > 0 {
			r.Fetches = append(r.Fetches, p.fetching(by))
		}
	}
	r.Fetches = lastFetches(r.Fetches)
	return r
}

// fetching is the fetch of the whole image that is under way.
func (p *client) fetching(by string) Fetch {
	f := Fetch{By: by, Own: p.own, Is: p.is, Open: true}
	for _, t := range p.copies {
		f.Size = t.size
		f.Bytes = max(f.Bytes, t.start+t.acknowledged)
		if t.at.After(f.At) {
			f.At = t.at
		}
	}
	return f
}
