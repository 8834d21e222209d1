package media

import (
	"fmt"
	"maps"
	"path/filepath"
	"slices"
	"time"

	"esxiplan/engine/descriptor"
)

// How a server writes down what is read, so that runs in other processes know it.

// flushEvery is how often counts are written down.
const flushEvery = time.Second

// begin starts to note what is read.
func (s *handler) begin() {
	if s.now == nil {
		s.now = time.Now
	}
	if s.every <= 0 {
		s.every = flushEvery
	}
	s.items, s.bases, s.quit = map[string]*item{}, map[string]*Installer{}, make(chan struct{})
	s.early = make(chan struct{}, 1)
	s.bounds = s.bounds.complete()
	s.clients = newConnections(s.bounds, s.tell)
	s.process = newToken()
	if s.readOnly {
		return
	}
	s.pulse()
	s.ended.Go(s.flushAlways)
}

// pulse shows that the server runs.
func (s *handler) pulse() {
	if err := s.manifest.pulse(s.name, pulse{s.process, time.Now().UTC(), s.now().UTC()}); err != nil {
		s.complain(err)
	}
}

// endTakes is how long requests may take to end after their connections are closed.
const endTakes = 3 * time.Second

// end writes down what was read last and closes the source images. A fetch that breaks off
// because the server ends is reported by its request, for which end waits.
func (s *handler) end() {
	select {
	case <-s.requests.end():
	case <-time.After(endTakes):
	}
	close(s.quit)
	s.ended.Wait()
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, i := range s.bases {
		i.Close()
	}
}

func (s *handler) flushAlways() {
	tick := time.NewTicker(s.every)
	defer tick.Stop()
	for pulsed := time.Now(); ; {
		select {
		case <-tick.C:
		case <-s.early:
			s.gather()
		case <-s.quit:
			s.flush()
			s.sum(time.Now(), true)
			return
		}
		s.flush()
		s.sum(time.Now(), false)
		if time.Since(pulsed) >= pulseEvery {
			pulsed = time.Now()
			s.pulse()
			s.forgetRemoved()
		}
	}
}

// gathers is for how long fetches that begin or end are gathered to be written down at once:
// each time that costs a look at all of them, and a write that is durable.
const gathers = 20 * time.Millisecond

func (s *handler) gather() {
	select {
	case <-time.After(gathers):
	case <-s.quit:
	}
}

// hurry has counts written down at once: the mount step asks whether a BMC fetched all of
// an image as soon as the BMC says that it is mounted.
func (s *handler) hurry() {
	select {
	case s.early <- struct{}{}:
	default:
	}
}

// flush writes down and logs the counts that changed.
func (s *handler) flush() {
	s.mu.Lock()
	items := slices.Collect(maps.Values(s.items))
	s.mu.Unlock()
	for _, i := range items {
		reads, changed := i.count.take()
		if !changed {
			continue
		}
		s.mu.Lock()
		logged, host, notes := i.logged, i.host, i.notes
		i.logged = reads
		s.mu.Unlock()
		if n := reads.Count - logged.Count; n > 0 || reads.Bytes > logged.Bytes {
			s.tell(Served{Client: reads.By, Path: i.path, Requests: max(n, 1), Bytes: reads.Bytes - logged.Bytes})
		}
		if s.readOnly || s.replaced(i.token, host, notes) {
			continue
		}
		if err := notes.note(host, s.name, noted{i.token, s.process, reads}); err != nil {
			i.count.mark() // once more
			s.complain(err)
		}
	}
}

// replaced reports whether the host has another image by now, or none at all: what is
// still read of the old one must not replace what is read of the new one.
func (s *handler) replaced(token, host string, notes manifest) bool {
	if e, ok := notes.read(host); ok {
		return e.Token != token
	}
	_, _, err := s.stat(token, fileName(host))
	return err != nil && !descriptor.Exhausted(err)
}

// forgetRemoved drops images whose file is gone, unless they are being read, or what was
// read of them was not noted yet.
func (s *handler) forgetRemoved() {
	s.mu.Lock()
	defer s.mu.Unlock()
	maps.DeleteFunc(s.items, func(_ string, i *item) bool {
		_, _, err := s.stat(i.token, i.name)
		return err != nil && !descriptor.Exhausted(err) && i.count.idle()
	})
}

// complain logs once that runs do not learn what is read.
func (s *handler) complain(err error) {
	s.mu.Lock()
	logged := s.silent
	s.silent = true
	s.mu.Unlock()
	if !logged {
		s.tell(Served{Refused: fmt.Sprintf("what is read cannot be noted, so runs will not know it: %v", err)})
	}
}

// live is what was read of an image that this server serves.
func (s *handler) live(e entry) (Reads, bool) {
	s.mu.Lock()
	i, ok := s.items[filepath.Join(s.dir, filepath.FromSlash(e.file()))]
	s.mu.Unlock()
	if !ok {
		return Reads{}, false
	}
	return i.count.get(), true
}
