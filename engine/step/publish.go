package step

import (
	"context"

	"esxiplan/engine/event"
	"esxiplan/engine/media"
)

// Media is the media door as steps see it: reading is as it is, each write is a method of
// its own, behind its guard and recorded.
type Media struct {
	media.Reader
	store media.Store
	host  *Host
}

// SetMedia gives the host its media door, behind the guards. nil: the plan has none.
func (h *Host) SetMedia(s media.Store) {
	h.Media = nil
	if s != nil {
		h.Media = &Media{Reader: s, store: s, host: h}
	}
}

// Publish makes the host's image reachable. An image from which a machine is being
// installed is not replaced by another: the guard stands before the record.
func (m *Media) Publish(ctx context.Context, r media.Request) (media.Published, error) {
	if err := m.admitHost(ctx); err != nil {
		return media.Published{}, err
	}
	var id string
	p, err := m.store.Publish(ctx, r, func(ctx context.Context, w media.Replacement) (err error) {
		if err := m.admitPublish(w); err != nil {
			return err
		}
		id, err = m.record(ctx, event.Publish, w, event.Intent{})
		return err
	})
	m.settle(id, err)
	return p, err
}

// Unpublish takes the host's image away, where there is one. One from which a machine is
// being installed stays, unless the intent says by force: the caller knows that it is over.
func (m *Media) Unpublish(ctx context.Context, i event.Intent) error {
	p, ok := m.Latest(m.host.Name)
	if !ok || !m.Holds(m.host.Name) {
		return nil
	}
	if !i.Force {
		if err := m.admitChange(p); err != nil {
			return err
		}
	}
	id, err := m.record(ctx, event.Remove, media.Replacement{Target: "image", Old: p.URL, Digest: p.Digest}, i)
	if err != nil {
		return err
	}
	err = m.store.Remove(ctx, m.host.Name)
	m.settle(id, err)
	return err
}

// admitHost runs the guards about the host for which media are made: something was agreed about
// it, and a saved plan that is to change its machine finds that as it was.
func (m *Media) admitHost(ctx context.Context) error {
	if err := CheckBarred(m.host.Settings.Consent); err != nil {
		return err
	}
	if a := m.host.Settings.Approved; a == nil || a.Machine == nil || m.host.BMC == nil {
		return nil
	}
	return m.host.BMC.meet(ctx)
}

func (m *Media) record(ctx context.Context, v event.Verb, w media.Replacement, i event.Intent) (id string, err error) {
	i.Medium = w.Digest
	return m.host.record(ctx, event.Change{Door: event.DoorMedia, Verb: v, Target: w.Target, Old: w.Old, New: w.New, Makes: mediumOf(w.Makes), Replaces: mediumOf(w.Replaces), Intent: i})
}

// mediumOf is what people read of a medium.
func mediumOf(c *media.Contents) *event.Medium {
	if c == nil {
		return nil
	}
	return &event.Medium{Source: c.Source.String(), Kickstart: c.Kickstart, Options: c.Options}
}

func (m *Media) settle(id string, err error) {
	switch {
	case id == "":
	case err == nil:
		m.host.attempt.Settle(event.Settled{Change: id, Fate: event.Done})
	default:
		m.host.attempt.Settle(event.Settled{Change: id, Fate: event.Unknown})
	}
}

// admitPublish runs the guard of an image that is about to take the place of another.
func (m *Media) admitPublish(w media.Replacement) error {
	latest, ok := m.Latest(m.host.Name)
	if !ok || w.New == latest.URL {
		return nil
	}
	return m.admitChange(latest)
}

// admitChange runs the guard of an image that is about to go.
func (m *Media) admitChange(latest media.Published) error {
	if m.host.Settings.Again {
		return nil
	}
	return CheckReplace(m.host.History(), latest, m.host.Settings)
}
