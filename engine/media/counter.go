package media

import (
	"sync"
	"time"
)

// counter is what was read of one image.
type counter struct {
	now   func() time.Time // the clock of the run
	news  func()           // a fetch of the whole image began or ended
	marks landmarks

	mu      sync.Mutex
	reads   Reads
	dirty   bool
	fetches int       // of the whole image, under way
	moved   time.Time // by the real clock: when bytes of such a fetch went out last
	clients map[string]*client
}

// client is what one reader of an image is at.
type client struct {
	last   time.Time // end of its last read
	opened bool      // since the last long pause it read a boot image from its start
	boots  bool      // and that was not counted yet
	beyond int64     // bytes read since
}

// stalled is for how long a fetch may move no byte until it is not taken for one that
// is under way.
const stalled = 15 * time.Second

// fetchMatters is how much of a fetch of the whole image must have gone out before its
// end means something: clients also ask for the whole and read its head only.
const fetchMatters = 1 << 20

// resumes is how far behind what was sent a client may take a broken fetch up again:
// what was sent may have been lost on the way.
const resumes = 16 << 20

func newCounter(now func() time.Time, news func()) *counter {
	return &counter{now: now, news: news, clients: map[string]*client{}}
}

// know tells the counter where boot images and modules lie.
func (c *counter) know(marks landmarks) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.marks = marks
}

// request counts a request, whatever it reads.
func (c *counter) request(by string) {
	now := c.now()
	c.mu.Lock()
	defer c.mu.Unlock()
	c.reads.Count++
	c.reads.Last, c.reads.By, c.dirty = now, by, true
}

// span is a run of bytes of an image that went to a client.
type span struct {
	by    string
	began time.Time // when sending it began
	start int64     // where the answer begins that it belongs to; -1: the place is not known
	from  int64     // where it begins itself
	bytes int64
	fetch bool // the answer is the whole image: that is a copy and no boot
	tail  bool // the answer goes up to the end of the image
}

// sent counts bytes that went out.
func (c *counter) sent(s span) {
	now := c.now()
	c.mu.Lock()
	defer c.mu.Unlock()
	c.reads.Bytes += s.bytes
	c.reads.Last, c.reads.By, c.dirty = now, s.by, true
	b := c.reads.bout(s.by, s.began, now)
	b.Bytes += s.bytes
	if cut := c.reads.Cut; cut != nil && cut.By == s.by && !s.fetch {
		if s.tail && cut.takenUp(s.start) {
			return // the rest of the copy
		}
		c.reads.Cut = nil // it reads what it needs
	}
	if s.fetch {
		c.moved = time.Now()
		return
	}
	c.pass(s, b, now)
}

// takenUp reports whether a read up to the end of the image goes on where the fetch
// broke off. One that begins near the image's head rather streams.
func (c *Cut) takenUp(from int64) bool {
	return from <= c.Bytes && from >= max(fetchMatters, c.Bytes-resumes)
}

// pass follows a machine through the image: from its boot image to the last module.
func (c *counter) pass(s span, b *Bout, now time.Time) {
	p := c.clients[s.by]
	if p == nil {
		if len(c.clients) >= maxBouts {
			clear(c.clients)
		}
		p = &client{}
		c.clients[s.by] = p
	}
	if s.began.Sub(p.last) >= restartTakes {
		p.opened = false
	}
	p.last = now
	p.beyond += s.bytes
	for _, at := range c.marks.Boot {
		if s.start == at && s.from == at && !p.opened {
			p.opened, p.boots, p.beyond = true, true, 0
		}
	}
	for _, end := range c.marks.Loaded {
		if s.start >= 0 && s.from < end && end <= s.from+s.bytes {
			b.Loaded = true
		}
	}
	if p.boots && (p.beyond >= bootIsReal || b.Loaded) {
		b.Boots++
		p.boots = false
	}
}

// fetchBegan counts a fetch of the whole image that is under way.
func (c *counter) fetchBegan() {
	defer c.news()
	c.mu.Lock()
	defer c.mu.Unlock()
	c.fetches++
	c.moved, c.dirty = time.Now(), true
}

// fetchEnded judges a fetch of the whole image by how much of it went out.
func (c *counter) fetchEnded(by string, sent, size int64) {
	now := c.now()
	defer c.news()
	c.mu.Lock()
	defer c.mu.Unlock()
	c.fetches--
	c.dirty = true
	c.ended(by, sent, size, now)
}

// tailEnded judges a read from a byte on to the end, which may complete a broken fetch.
func (c *counter) tailEnded(by string, from, sent, size int64) {
	now := c.now()
	c.mu.Lock()
	defer c.mu.Unlock()
	if cut := c.reads.Cut; cut != nil && cut.By == by && cut.takenUp(from) {
		c.dirty = true
		c.ended(by, from+sent, size, now)
	}
}

func (c *counter) ended(by string, reached, size int64, now time.Time) {
	switch cut := c.reads.Cut; {
	case reached < size && reached > fetchMatters:
		c.reads.Cut = &Cut{Bytes: reached, Size: size, At: now, By: by}
	case reached >= size && cut != nil && cut.By == by:
		c.reads.Cut = nil
	}
}

// mark makes the count known although nothing was read yet.
func (c *counter) mark() {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.dirty = true
}

// resume goes on from what was noted before, by an earlier server.
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
	if r.Cut == nil && len(r.Bouts) == len(earlier.Bouts) { // nobody read meanwhile
		r.Cut = earlier.clone().Cut
	}
	for len(r.Bouts) > maxBouts {
		r.merge()
	}
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
	r := c.reads.clone()
	r.Fetching = c.fetches > 0 && time.Since(c.moved) < stalled
	return r
}
