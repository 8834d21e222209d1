package bmc

import "context"

// Open gives a client that connects when it is first used.
func Open(o Options) (Client, error) {
	if o.Logins == nil {
		o.Logins = NewLogins()
	}
	if o.Sessions == nil {
		o.Sessions = noLog{}
	}
	if o.Warn == nil {
		o.Warn = func(string) {}
	}
	r, err := newRedfish(o)
	if err != nil {
		return nil, err
	}
	return &opened{redfish: r}, nil
}

type noLog struct{}

func (noLog) SessionOpened(string, string) {}
func (noLog) SessionClosed(string, string) {}
func (noLog) Leftover(string) []string     { return nil }

// opened finds out on first use whose BMC it is, and hands over to the vendor.
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

func (o *opened) Identity(ctx context.Context) (Identity, error) {
	c, err := o.vendor(ctx)
	if err != nil {
		return Identity{}, err
	}
	return c.Identity(ctx)
}

func (o *opened) Power(ctx context.Context) (Power, error) {
	c, err := o.vendor(ctx)
	if err != nil {
		return Power{}, err
	}
	return c.Power(ctx)
}

func (o *opened) Boot(ctx context.Context) (Boot, error) {
	c, err := o.vendor(ctx)
	if err != nil {
		return Boot{}, err
	}
	return c.Boot(ctx)
}

func (o *opened) Slots(ctx context.Context) ([]Slot, error) {
	c, err := o.vendor(ctx)
	if err != nil {
		return nil, err
	}
	return c.Slots(ctx)
}

func (o *opened) Inventory(ctx context.Context) (Inventory, error) {
	c, err := o.vendor(ctx)
	if err != nil {
		return Inventory{}, err
	}
	return c.Inventory(ctx)
}

func (o *opened) Reset(ctx context.Context, reset Reset) error {
	c, err := o.vendor(ctx)
	if err != nil {
		return err
	}
	return c.Reset(ctx, reset)
}

func (o *opened) SetBoot(ctx context.Context, t Target) (string, error) {
	c, err := o.vendor(ctx)
	if err != nil {
		return "", err
	}
	return c.SetBoot(ctx, t)
}

func (o *opened) Insert(ctx context.Context, s Slot, url string) error {
	c, err := o.vendor(ctx)
	if err != nil {
		return err
	}
	return c.Insert(ctx, s, url)
}

func (o *opened) Eject(ctx context.Context, s Slot) error {
	c, err := o.vendor(ctx)
	if err != nil {
		return err
	}
	return c.Eject(ctx, s)
}

func (o *opened) Close(ctx context.Context) error { return o.redfish.Close(ctx) }
