package main

import (
	"context"
	"errors"
	"fmt"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"time"

	"esxiplan/engine/bmc"
	"esxiplan/engine/bmc/bmcsim"
	"esxiplan/engine/bmc/vendors"
	"esxiplan/engine/esxi"
	"esxiplan/engine/log"
	"esxiplan/engine/media"
	"esxiplan/engine/session"
	"esxiplan/engine/state"
	"esxiplan/engine/step"
	"esxiplan/engine/survey"
	"esxiplan/engine/twin"
	"esxiplan/schema"
)

// world opens the doors to the outside: real ones, their shadows in a dry run, or those of
// simulated machines. Nothing else in esxiplan does. A new one looks and writes nothing;
// [world.begin] makes it that of a run.
type world struct {
	site
	plan    *schema.Plan
	trace   *tracer
	secret  func(host, token string) // takes in what must not be shown
	logins  *bmc.Logins
	survey  *survey.Survey
	log     *log.Log
	dry     bool
	again   bool
	keep    bool
	consent session.Agreement

	store   media.Store
	library *media.Library // behind the store, nil without a media block
	close   func()
	atEnd   func() // before the store is closed

	mu     sync.Mutex
	warned map[string]bool
}

// newWorld is a world that only looks.
func (a *app) newWorld(p *schema.Plan, s site, t *tracer) *world {
	return &world{site: s, plan: p, trace: t, secret: a.secrets.AddToken, dry: true, logins: bmc.NewLogins(), close: func() {}, atEnd: func() {}, warned: map[string]bool{}}
}

// begin makes the world that of a run: it opens the store of media.
func (w *world) begin(s *survey.Survey, l *log.Log, f *runFlags, consent session.Agreement) error {
	w.survey, w.log, w.dry, w.again, w.keep, w.consent = s, l, f.dry, f.again, f.keepMedia, consent
	if w.dry {
		w.consent = session.Everything() // nothing is written
	}
	return w.openStore()
}

// Close ends what all hosts share.
func (w *world) Close() {
	w.atEnd()
	w.close()
}

// simulation maps the plan to simulated machines.
type simulation struct {
	Addresses    map[string]string `json:"addresses"`
	Placeholders map[string]string `json:"images"`          // by image source
	Directory    string            `json:"media_directory"` // in the place of the plan's

	network *twin.Network // on which they are in this process; nil: on loopback
}

// dialer is how machines are reached; nil is as usual.
func (w *world) dialer() bmc.DialFunc {
	if w.sim == nil {
		return nil
	}
	return w.sim.network.Dialer(w.sim.Addresses)
}

// openStore opens the media door: one per process, shared by all hosts.
func (w *world) openStore() error {
	m := w.plan.Media
	if m == nil {
		return nil
	}
	o := media.Options{Plan: w.plan.Name, Now: w.clock.Now, Dial: media.DialFunc(w.dialer()), Dir: w.plan.Dir, Cache: w.state}
	if w.sim != nil {
		o.Placeholders = w.sim.Placeholders
	}
	if w.plan.Untrusted() {
		o.Open = w.plan.Open
	}
	if m.Directory != nil {
		return w.openDirectory(m, o)
	}
	return w.openServer(m, o)
}

func (w *world) openDirectory(m *schema.Media, o media.Options) error {
	dir := *m.Directory
	if w.sim != nil {
		dir = w.sim.Directory
	} else if !filepath.IsAbs(dir) {
		dir = filepath.Join(w.plan.Dir, dir)
	}
	library, err := media.NewDirectory(dir, *m.URL, m.Store == "overlay", o)
	if err != nil {
		return err
	}
	w.use(library, library, library.Close)
	return nil
}

func (w *world) use(s media.Store, l *media.Library, closeStore func()) {
	w.store, w.library, w.close = s, l, closeStore
	if w.dry {
		w.store = media.Shadow(s)
	}
}

// openServer serves from this process. A dry run and a simulation stay on loopback; a
// dry run knows the addresses of the real one all the same.
func (w *world) openServer(m *schema.Media, o media.Options) error {
	allow := slices.Clone(m.Allow)
	if !w.dry && w.sim == nil {
		if err := media.CheckAllowed(allow); err != nil {
			return fmt.Errorf("media block: allow: %w", err)
		}
	}
	for _, h := range w.survey.Hosts() {
		allow = append(allow, h.BMC.Address.Host())
	}
	options := media.ServerOptions{Options: o, Allow: allow, State: filepath.Join(w.state, "media"), Bounds: w.bounds}
	last := media.LastAddresses(options.State, w.plan.Name)
	at := media.Addresses{HTTP: deref(m.Listen), HTTPS: deref(m.ListenTLS)}
	if w.sim == nil {
		options.URL = deref(m.URL)
	} else {
		at = at.Loopback()
	}
	if w.dry {
		planned := at.Again(last)
		options.DryRun, at, last = &planned, at.Loopback(), media.Addresses{} // its own sockets are for itself
	}
	var err error
	if options.Sockets, err = w.sockets(m, at, last); err != nil {
		return err
	}
	server, err := media.NewServer(options)
	if err != nil {
		return errors.Join(err, options.Sockets.Close())
	}
	w.use(server, server.Library, server.Close)
	return nil
}

// sockets listens at addresses. Where a port is open, it is the one under which images were
// published last, if that is free.
func (w *world) sockets(m *schema.Media, at, last media.Addresses) (media.Sockets, error) {
	if w.sim != nil && w.sim.network != nil {
		return w.sim.listen(at)
	}
	file := func(given *string) string {
		if given == nil || filepath.IsAbs(*given) {
			return deref(given)
		}
		return filepath.Join(w.plan.Dir, *given)
	}
	folder := w.state
	if w.dry {
		folder = "" // a dry run leaves nothing behind
	}
	sockets, err := at.Listen(last, file(m.Certificate), file(m.Key), folder)
	if err != nil {
		return sockets, fmt.Errorf("media block: %w", err)
	}
	return sockets, nil
}

// listen gives a media server its place in a simulation without sockets.
func (s *simulation) listen(at media.Addresses) (out media.Sockets, err error) {
	if at.HTTP != "" {
		out.HTTP = s.network.Listen()
	}
	if at.HTTPS != "" {
		out.HTTPS = s.network.Listen()
		out.Certificate, err = bmcsim.NewCertificate()
	}
	return out, err
}

func deref[T any](p *T) T {
	if p == nil {
		var zero T
		return zero
	}
	return *p
}

// Open gives a host its doors.
func (w *world) Open(declared *schema.Host) (*step.Host, error) {
	settings := w.survey.Settings(declared)
	settings.Again, settings.KeepMedia, settings.Consent, settings.Approved = w.again, w.keep, w.consent.Of(declared.Name), w.consent.Approved(declared.Name)
	h := step.NewHost(w.plan.Name, declared, settings)
	h.SetMedia(w.store)
	client, err := bmc.Open(w.bmcOptions(declared, h))
	if err != nil {
		return nil, err
	}
	var shadow *esxi.ShadowClient
	if x := declared.ESXi; x != nil {
		h.ESXi = esxi.Open(w.esxiOptions(x))
		if w.sim == nil {
			h.Neighbours = esxi.Neighbours
		}
		if w.dry {
			shadow = esxi.Shadow(h.ESXi)
			h.ESXi = shadow
			if _, open := w.log.History(h.Name).Installing(); open { // what a wait is to find
				w.install(h, shadow)
			}
		}
	}
	if w.dry {
		reader := client
		client = dryBMC{bmc.Shadow(reader, w.log.History(h.Name).OnlyContinuous(), w.shadowBoot(h, shadow)), reader}
	}
	h.SetBMC(client)
	return h, nil
}

// dryBMC closes the real connection under a shadow.
type dryBMC struct {
	bmc.Client
	real bmc.Client
}

func (d dryBMC) Close(ctx context.Context) error { return d.real.Close(ctx) }

// shadowBoot connects the shadow of the BMC with the shadow of the ESXi: a boot
// from our image installs.
func (w *world) shadowBoot(h *step.Host, shadow *esxi.ShadowClient) func(bmc.Target, string) {
	return func(target bmc.Target, image string) {
		if shadow != nil && target == bmc.BootCD && image != "" {
			w.install(h, shadow)
		}
	}
}

// install lets the shadow of an ESXi show what an installation from our image brings.
func (w *world) install(h *step.Host, shadow *esxi.ShadowClient) {
	version, build := "", ""
	if h.Media != nil {
		if p, ok := h.Media.Latest(h.Name); ok {
			version, build = p.Version, p.Build
		}
	}
	shadow.Install(version, build)
}

// bmcOptions are those of a host in a run: its writes are recorded, and its waits
// give way to other hosts.
func (w *world) bmcOptions(d *schema.Host, h *step.Host) bmc.Options {
	o := w.bmcLogin(d)
	o.ReadOnly = w.dry
	if !w.dry { // a dry run closes no session but its own
		o.Sessions = w.log
	}
	o.Warn, o.Sleep = func(text string) { w.warnOnce(d, h.Warn, text) }, h.Sleep
	return o
}

// bmcLogin says how a host's BMC is reached.
func (w *world) bmcLogin(d *schema.Host) bmc.Options {
	return bmc.Options{
		Address: d.BMC.Address.URL(), Username: d.BMC.Username, Password: d.BMC.Password.Reveal(), System: deref(d.BMC.System), Trust: w.trust(d.BMC.TLS),
		Vendors: vendors.All(), Dial: w.dialer(), Logins: w.logins, Now: w.clock.Now, Trace: w.trace.of(d.Name),
		Secret: func(token string) { w.secret(d.Name, token) }, Timeout: max(w.clock.Real(requestTakes), leastTimeout), Brief: w.brief,
	}
}

// requestTakes is how long a BMC may take to answer: some mount an image meanwhile.
// In a simulation that runs fast, it is as much shorter, but not too short for a
// busy machine.
const (
	requestTakes = time.Minute
	leastTimeout = 3 * time.Second
)

// warnOnce shows a remark about a connection once per group, not once per host.
func (w *world) warnOnce(d *schema.Host, warn func(string, ...any), text string) {
	kind, _, _ := strings.Cut(text, ";")
	w.mu.Lock()
	seen := w.warned[d.Group+kind]
	w.warned[d.Group+kind] = true
	w.mu.Unlock()
	if !seen && w.sim == nil {
		warn("group %q: %s", d.Group, text)
	}
}

// trust translates the plan's tls. Simulated machines have certificates that
// could not have been pinned.
func (w *world) trust(t *schema.TLS) bmc.Trust {
	var out bmc.Trust
	switch {
	case w.sim != nil:
		out.Off = true
	case t == nil:
	case t.Fingerprint != nil:
		out.Fingerprint = *t.Fingerprint
	case t.CAFile != nil:
		out.CAFile = *t.CAFile
		if !filepath.IsAbs(out.CAFile) {
			out.CAFile = filepath.Join(w.plan.Dir, out.CAFile)
		}
	case t.FirstUse != nil && *t.FirstUse:
		out.FirstUse = state.Pins{Dir: w.state, ReadOnly: w.dry}
	case t.Verify != nil && !*t.Verify:
		out.Off = true
	}
	return out
}

func (w *world) esxiOptions(x *schema.ESXi) esxi.Options {
	o := esxi.Options{Address: x.Address, Dial: esxi.DialFunc(w.dialer()), Now: w.clock.Now, Refused: state.Refusals{Dir: w.state}, Brief: w.brief}
	if !x.RootPassword.IsZero() {
		o.Root = &esxi.Login{Username: "root", Password: x.RootPassword.Reveal()}
	}
	if x.Current != nil {
		o.Current = &esxi.Login{Username: x.Current.Username, Password: x.Current.Password.Reveal()}
	}
	return o
}

// learn takes in what must never be shown: the hosts' passwords and license keys, every
// sensitive variable, and what was read from the environment. It comes before the first
// byte is read from a machine. What esxiplan made up itself is no secret.
func (a *app) learn(p *schema.Plan) {
	add := func(user string, s schema.Secret) {
		if !isMadeUp(s.Reveal()) {
			a.secrets.AddLogin(user, s.Reveal())
		}
	}
	for _, text := range p.Secrets() {
		add("", schema.NewSecret(text))
	}
	for _, n := range p.Notify {
		for _, text := range n.Secrets() {
			add("", schema.NewSecret(text))
		}
	}
	for _, h := range p.Hosts() {
		add(h.BMC.Username, h.BMC.Password)
		if x := h.ESXi; x != nil {
			add("root", x.RootPassword)
			add("", deref(x.LicenseKey))
			add(deref(x.Current).Username, deref(x.Current).Password)
		}
	}
}
