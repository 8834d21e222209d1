package bmc

import (
	"context"
	"time"
)

// Open returns a client that connects when it is first used.
func Open(o Options) (Client, error) {
	r, err := newRedfish(o)
	if err != nil {
		return nil, err
	}
	return &opened{redfish: r}, nil
}

// complete fills in what the options leave out.
func (o *Options) complete() {
	if o.Timeout == 0 {
		o.Timeout = time.Minute
	}
	if o.Logins == nil {
		o.Logins = NewLogins()
	}
	if o.Sessions == nil {
		o.Sessions = noLog{}
	}
	if o.Warn == nil {
		o.Warn = func(string) {}
	}
	if o.Secret == nil {
		o.Secret = func(string) {}
	}
	if o.Sleep == nil {
		o.Sleep = sleep
	}
	if o.Now == nil {
		o.Now = time.Now
	}
}

func sleep(ctx context.Context, d time.Duration) error {
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-t.C:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}

// opened determines the vendor of the BMC on first use, and returns the vendor's client.
type opened struct {
	redfish *Redfish
	client  Client
}

func (o *opened) vendor(ctx context.Context) (Client, error) {
	if o.client != nil {
		return o.client, nil
	}
	r := o.redfish
	if err := r.discover(ctx); err != nil {
		return nil, err
	}
	for _, v := range r.o.Vendors {
		if !v.Match(r.identity, r.root) {
			continue
		}
		o.client = v.New(r)
		r.belongsTo(v)
		return o.client, nil
	}
	return nil, &ErrUnsupported{"no driver takes this BMC"}
}

// ask passes a read to the vendor.
func ask[T any](ctx context.Context, o *opened, question func(Client) (T, error)) (T, error) {
	o.redfish.asked = 0
	c, err := o.vendor(ctx)
	if err != nil {
		var zero T
		return zero, err
	}
	return question(c)
}

// tell passes a write to the vendor.
func tell(ctx context.Context, o *opened, order func(Client) error) error {
	o.redfish.asked = 0
	c, err := o.vendor(ctx)
	if err != nil {
		return err
	}
	return order(c)
}

func (o *opened) Identity(ctx context.Context) (Identity, error) {
	return ask(ctx, o, func(c Client) (Identity, error) { return c.Identity(ctx) })
}

// Screen implements [Screener], for vendors that do.
func (o *opened) Screen(ctx context.Context) ([]byte, error) {
	return ask(ctx, o, func(c Client) ([]byte, error) {
		s, ok := c.(Screener)
		if !ok || o.redfish.o.ReadOnly {
			return nil, &ErrUnsupported{"the BMC does not show the machine's screen"}
		}
		return s.Screen(ctx)
	})
}

func (o *opened) Power(ctx context.Context) (Power, error) {
	return ask(ctx, o, func(c Client) (Power, error) { return c.Power(ctx) })
}

func (o *opened) Boot(ctx context.Context) (Boot, error) {
	return ask(ctx, o, func(c Client) (Boot, error) { return c.Boot(ctx) })
}

func (o *opened) Ways(ctx context.Context, t Target) ([]string, error) {
	return ask(ctx, o, func(c Client) ([]string, error) { return c.Ways(ctx, t) })
}

func (o *opened) Slots(ctx context.Context) ([]Slot, error) {
	return ask(ctx, o, func(c Client) ([]Slot, error) { return c.Slots(ctx) })
}

func (o *opened) Slot(ctx context.Context, s Slot) (Slot, error) {
	return ask(ctx, o, func(c Client) (Slot, error) { return c.Slot(ctx, s) })
}

func (o *opened) Preparations(ctx context.Context, s Slot, url string) ([]Preparation, error) {
	return ask(ctx, o, func(c Client) ([]Preparation, error) { return c.Preparations(ctx, s, url) })
}

func (o *opened) Inventory(ctx context.Context) (Inventory, error) {
	return ask(ctx, o, func(c Client) (Inventory, error) { return c.Inventory(ctx) })
}

func (o *opened) Network(ctx context.Context) (Network, error) {
	return ask(ctx, o, func(c Client) (Network, error) { return c.Network(ctx) })
}

func (o *opened) License(ctx context.Context) (License, error) {
	return ask(ctx, o, func(c Client) (License, error) { return c.License(ctx) })
}

func (o *opened) OtherSessions(ctx context.Context) ([]string, error) {
	return ask(ctx, o, func(c Client) ([]string, error) { return c.OtherSessions(ctx) })
}

func (o *opened) Ready(ctx context.Context) (string, error) {
	return ask(ctx, o, func(c Client) (string, error) { return c.Ready(ctx) })
}

func (o *opened) Refresh(age time.Duration) { o.redfish.Refresh(age) }

func (o *opened) Reset(ctx context.Context, t ResetType, r Record) error {
	return tell(ctx, o, func(c Client) error { return c.Reset(ctx, t, r) })
}

func (o *opened) SetBoot(ctx context.Context, t Target, way string, r Record) error {
	return tell(ctx, o, func(c Client) error { return c.SetBoot(ctx, t, way, r) })
}

func (o *opened) Insert(ctx context.Context, s Slot, url string, r Record) error {
	return tell(ctx, o, func(c Client) error { return c.Insert(ctx, s, url, r) })
}

func (o *opened) Eject(ctx context.Context, s Slot, r Record) error {
	return tell(ctx, o, func(c Client) error { return c.Eject(ctx, s, r) })
}

func (o *opened) Close(ctx context.Context) error { return o.redfish.Close(ctx) }
