package bmc

import "context"

// Shadow is the door of a dry run: it answers from the real BMC until a write
// has covered the answer, and remembers its own writes, so that a step that
// reads back what it wrote finds it. booted is told when the shadow machine
// boots, with the boot source and the image in the drive.
func Shadow(r Reader, record Record, booted func(target Target, image string)) Client {
	return &shadow{Reader: r, record: record, booted: booted, ready: map[string]bool{}}
}

type shadow struct {
	Reader
	record Record
	booted func(Target, string)
	power  *PowerState
	boot   *Boot
	slots  []Slot
	ready  map[string]bool // preparations that were made
}

func (s *shadow) Power(ctx context.Context) (Power, error) {
	p, err := s.Reader.Power(ctx)
	if err == nil && s.power != nil {
		p.State = *s.power
	}
	return p, err
}

func (s *shadow) Boot(ctx context.Context) (Boot, error) {
	if s.boot != nil {
		return *s.boot, nil
	}
	return s.Reader.Boot(ctx)
}

func (s *shadow) Slots(ctx context.Context) ([]Slot, error) {
	if s.slots == nil {
		slots, err := s.Reader.Slots(ctx)
		if err != nil {
			return nil, err
		}
		s.slots = slots
	}
	return append([]Slot(nil), s.slots...), nil
}

func (s *shadow) Reset(ctx context.Context, r Reset) error {
	p, err := s.Power(ctx)
	if err != nil {
		return err
	}
	if err := s.record(ctx, Write{Action: "reset", Target: "power", Old: string(p.State), New: string(r.Type)}); err != nil {
		return err
	}
	state := On
	if r.Type == ResetForceOff || r.Type == ResetGracefulShutdown {
		state = Off
	}
	s.power = &state
	if state == On {
		return s.start(ctx)
	}
	return nil
}

// start is one boot: it uses up the override.
func (s *shadow) start(ctx context.Context) error {
	boot, err := s.Boot(ctx)
	if err != nil {
		return err
	}
	slots, err := s.Slots(ctx)
	if err != nil {
		return err
	}
	image := ""
	for _, slot := range slots {
		if slot.Loaded && slot.CD {
			image = slot.Image
			break
		}
	}
	s.booted(boot.Target, image)
	if boot.Once {
		s.boot = &Boot{Target: BootNone, Once: true, Mode: boot.Mode, Allowed: boot.Allowed}
	}
	return nil
}

// Ways also sees what this dry run would have set.
func (s *shadow) Ways(ctx context.Context, t Target) ([]string, error) {
	if t != BootNone || s.boot == nil {
		return s.Reader.Ways(ctx, t)
	}
	if s.boot.Target == BootNone {
		return nil, nil
	}
	return []string{wayStandard}, nil
}

func (s *shadow) SetBoot(ctx context.Context, t Target, _ string) error {
	old, err := s.Boot(ctx)
	if err != nil {
		return err
	}
	if err := s.record(ctx, Write{Action: "boot", Target: "source", Old: old.String(), New: string(t)}); err != nil {
		return err
	}
	s.boot = &Boot{Target: t, Once: true, Mode: old.Mode, Allowed: old.Allowed}
	return nil
}

// Slot implements [Reader].
func (s *shadow) Slot(ctx context.Context, slot Slot) (Slot, error) {
	slots, err := s.Slots(ctx)
	for _, now := range slots {
		if now.URI == slot.URI {
			return now, err
		}
	}
	return slot, err
}

func (s *shadow) Insert(ctx context.Context, slot Slot, url string) error {
	needs, err := s.Preparations(ctx, slot, url)
	if err != nil {
		return err
	}
	for _, p := range needs {
		if s.ready[p.Target] {
			continue
		}
		if err := s.record(ctx, p.write()); err != nil {
			return err
		}
		s.ready[p.Target] = true
	}
	return s.change(ctx, slot, "insert", url)
}

func (s *shadow) Eject(ctx context.Context, slot Slot) error {
	return s.change(ctx, slot, "eject", "")
}

// change writes a slot and its mirror images: a BMC may show one slot in two places.
func (s *shadow) change(ctx context.Context, slot Slot, action, url string) error {
	slots, err := s.Slots(ctx)
	if err != nil {
		return err
	}
	old := slot.Image
	if action == "eject" && old == "" {
		old = "unknown image"
	}
	if err := s.record(ctx, Write{Action: action, Target: slot.Name(), Old: old, New: url}); err != nil {
		return err
	}
	for i := range slots {
		mirror := slots[i].ID == slot.ID && slots[i].Image == slot.Image && slots[i].Loaded == slot.Loaded
		if slots[i].URI == slot.URI || mirror {
			s.slots[i].Loaded, s.slots[i].Image = url != "", url
		}
	}
	return nil
}

// Close does nothing: whoever opened the reader closes it.
func (s *shadow) Close(context.Context) error { return nil }
