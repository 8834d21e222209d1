package bmc

import "context"

// Shadow is the door of a dry run: it answers from the real BMC until a write
// has covered the answer, and remembers its own writes, so that a step that
// reads back what it wrote finds it. booted is called when the shadow machine
// boots, with the boot source and the image in the drive. continuous: the service is known
// to have only overrides that last beyond a boot.
func Shadow(r Reader, continuous bool, booted func(target Target, image string)) Client {
	return &shadow{Reader: r, once: !continuous, booted: booted, ready: map[string]bool{}}
}

type shadow struct {
	Reader
	once   bool // what overrides are set for
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

// plan records a write that only the real run makes; the shadow does nothing more.
func plan(ctx context.Context, w Command) error {
	settle, err := w.begin(ctx)
	if err == nil {
		settle(Done)
	}
	return err
}

func (s *shadow) Reset(ctx context.Context, t ResetType, record Record) error {
	p, err := s.Power(ctx)
	if err != nil {
		return err
	}
	if err := plan(ctx, Command{Verb: VerbReset, Target: "power", Old: string(p.State), New: string(t), Record: record}); err != nil {
		return err
	}
	state := Off
	if t.Starts() {
		state = On
	}
	s.power = &state
	if t.Starts() {
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

func (s *shadow) SetBoot(ctx context.Context, t Target, _ string, record Record) error {
	old, err := s.Boot(ctx)
	if err != nil {
		return err
	}
	if err := plan(ctx, Command{Verb: VerbBoot, Target: "source", Old: old.String(), New: string(t), Record: record}); err != nil {
		return err
	}
	s.boot = &Boot{Target: t, Once: s.once || t == BootNone, Mode: old.Mode, Allowed: old.Allowed}
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

func (s *shadow) Insert(ctx context.Context, slot Slot, url string, record Record) error {
	needs, err := s.Preparations(ctx, slot, url)
	if err != nil {
		return err
	}
	for _, p := range needs {
		if s.ready[p.Target] {
			continue
		}
		if err := plan(ctx, p.write(record)); err != nil {
			return err
		}
		s.ready[p.Target] = true
	}
	return s.change(ctx, slot, InsertCommand(slot, url, record))
}

func (s *shadow) Eject(ctx context.Context, slot Slot, record Record) error {
	return s.change(ctx, slot, EjectCommand(slot, record))
}

// change writes a slot and its mirror images: a BMC may show one slot in two places.
func (s *shadow) change(ctx context.Context, slot Slot, w Command) error {
	slots, err := s.Slots(ctx)
	if err != nil {
		return err
	}
	if err := plan(ctx, w); err != nil {
		return err
	}
	for i := range slots {
		mirror := slots[i].ID == slot.ID && slots[i].Image == slot.Image && slots[i].Loaded == slot.Loaded
		if slots[i].URI == slot.URI || mirror {
			s.slots[i].Loaded, s.slots[i].Image = w.New != "", w.New
		}
	}
	return nil
}

// Close does nothing: the caller that opened the reader closes it.
func (s *shadow) Close(context.Context) error { return nil }
