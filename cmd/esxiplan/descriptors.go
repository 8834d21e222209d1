package main

import (
	"errors"
	"fmt"

	"esxiplan/engine/descriptor"
	"esxiplan/engine/event"
	"esxiplan/engine/media"
)

// How many descriptors things take. A process that has no more blames whatever it was about
// to open, so they are reckoned before a run starts.
const (
	ownDescriptors = 64 // of the process: log, locks, images, the server's sockets, look-ups of names
	hostTakes      = 6  // connections to a host: four to its BMC, two to its ESXi
	briefTakes     = 4  // where a connection is closed after each request
	readsTake      = 2  // connections by which a BMC reads its image from this process
)

// need is what a run, or a command that looks at machines, is to hold open.
type need struct {
	hosts   int // that stay connected for as long as they have steps to do
	forks   int // hosts that do something at once
	reading int // hosts that may read an image from this process at once
}

// served are the descriptors of the server of images, where each BMC has so many connections.
func (n need) served(each int) int {
	return min(n.reading*each, media.DefaultBounds().Connections) * media.PerConnection
}

// whole is what everything takes together.
func (n need) whole() int { return ownDescriptors + n.served(readsTake) + n.hosts*hostTakes }

// least is without what everything takes that can do with less: one host that does something,
// and one connection for each BMC, whose idle ones are closed for new ones.
func (n need) least() int { return ownDescriptors + n.served(1) + briefTakes }

// thrift is how a run keeps within the limit.
type thrift struct {
	forks  int
	brief  bool         // connections are closed after each request
	bounds media.Bounds // of the server of images
}

// within fits a need into a limit. Where all connections cannot stay open, they are closed
// after each request, and as many hosts do something at once as the rest allows.
func (n need) within(limit int) (t thrift, said string, err error) {
	t = thrift{forks: min(n.forks, n.hosts)}
	left := limit - ownDescriptors
	switch {
	case limit >= n.whole():
		t.bounds = media.DefaultBounds().Within(left - n.hosts*hostTakes)
		return t, "", nil
	case limit < n.least():
		return t, "", n.tooMuch(limit)
	}
	asked := t.forks
	t.brief, t.forks = true, min(asked, (left-n.served(1))/briefTakes)
	t.bounds = media.DefaultBounds().Within(left - t.forks*briefTakes)
	said = fmt.Sprintf("this process may open %d files and connections, and %s may take %d: connections are closed after each request", limit, event.Count(n.hosts, "host"), n.whole())
	if t.forks < asked {
		said += fmt.Sprintf(", and at most %s at once instead of %d (--forks)", event.Count(t.forks, "host"), asked)
	}
	return t, said + fmt.Sprintf("; to avoid that, %s to %d", descriptor.Advice, n.whole()), nil
}

func (n need) tooMuch(limit int) error {
	text := fmt.Sprintf("this process may open %d files and connections, and at least %d are needed: %s to %d", limit, n.least(), descriptor.Advice, n.whole())
	if fits := (limit - ownDescriptors - briefTakes) / media.PerConnection; fits > 0 && n.reading > 0 {
		text += fmt.Sprintf(", or let at most %s read from this process at once (--in-flight %d)", event.Count(fits, "host"), fits)
	}
	return errors.New(text)
}

// fit fits what is needed into what this process may open, lowers forks to that, and says what
// it costs. Where no limit is known, all stays as it is.
func (a *app) fit(s *site, n need, forks *int) (err error) {
	limit, known := descriptor.Limit()
	if !known {
		return nil
	}
	var said string
	if s.thrift, said, err = n.within(limit); err != nil {
		return err
	}
	if said != "" {
		a.sayBefore(said)
	}
	if s.brief {
		*forks = s.forks
	}
	return nil
}

// serveBounds are those of esxiplan serve, as far as this process may open so much.
func serveBounds() (media.Bounds, error) {
	limit, known := descriptor.Limit()
	if !known {
		return media.DefaultBounds(), nil
	}
	if least := ownDescriptors + 16*media.PerConnection; limit < least {
		return media.Bounds{}, fmt.Errorf("this process may open %d files and connections, and the server needs at least %d: %s", limit, least, descriptor.Advice)
	}
	return media.DefaultBounds().Within(limit - ownDescriptors), nil
}
