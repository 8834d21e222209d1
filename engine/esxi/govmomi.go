package esxi

import (
	"bytes"
	"context"
	"crypto/sha256"
	"crypto/tls"
	"encoding/hex"
	"encoding/xml"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"reflect"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/vmware/govmomi/fault"
	"github.com/vmware/govmomi/vim25"
	"github.com/vmware/govmomi/vim25/methods"
	"github.com/vmware/govmomi/vim25/mo"
	"github.com/vmware/govmomi/vim25/soap"
	"github.com/vmware/govmomi/vim25/types"

	"esxiplan/engine/descriptor"
	"esxiplan/engine/text"
)

// maxRootLogins bounds the use of the new root password: five wrong ones lock
// root for a quarter of an hour.
const maxRootLogins = 3

// betweenLogins keeps a system that is just coming up from using all of them.
const betweenLogins = 30 * time.Second

// DialFunc opens a connection; it lets plan addresses be reached elsewhere.
type DialFunc func(ctx context.Context, network, address string) (net.Conn, error)

// Options say how an ESXi is reached.
type Options struct {
	Address string
	Current *Login
	Root    *Login
	Dial    DialFunc
	Timeout time.Duration    // of one request; 0: 20 seconds
	Now     func() time.Time // the clock of the run; nil: the real one
	Refused Refusals         // nil: those of this client only
	Brief   bool             // connections are closed after each request
}

// Refusals remembers refused logins across runs, by system: wrong ones add up, and
// five of them within a quarter of an hour lock root. A system is an address and the
// certificate that it shows there: a newly installed one has another, and its count starts at zero.
type Refusals interface {
	Between(address, fingerprint string, from, to time.Time) int
	Add(address, fingerprint string, t time.Time) error
}

// No login is made after so many refusals within so long.
const (
	maxRefused   = 3
	refusedCount = 15 * time.Minute
)

// Open returns a client. It connects when it is used.
func Open(o Options) Client {
	if o.Timeout == 0 {
		o.Timeout = 20 * time.Second
	}
	if o.Now == nil {
		o.Now = time.Now
	}
	return &client{o: o}
}

type client struct {
	o          Options
	probed     *conversation // of the last probe, for a login that follows at once
	current    *conversation // the session with the running system
	currentErr error         // of its login, which is not tried again
	logins     int           // with the new root password, failed or not
	last       time.Time     // of them
	root       *seen         // what the new password showed
	rootErr    error         // why the last login with it failed
}

type seen struct {
	fingerprint string
	system      System
	time        time.Time
}

// whole reports that the answer is complete; else it may hold more once the system is up.
func (s *seen) whole() bool { return !s.system.Now.IsZero() && !s.system.Installed.IsZero() }

// at is the system at a later time, by its own clock.
func (s *seen) at(now time.Time) System {
	system := s.system
	if !system.Now.IsZero() {
		system.Now = system.Now.Add(now.Sub(s.time))
	}
	return system
}

// conversation is one connection to the API, with the certificate that it showed.
type conversation struct {
	soap      *soap.Client
	content   types.ServiceContent
	transport *http.Transport
	answered  time.Time // when content came

	mu     sync.Mutex // a handshake may outlive the request that began it
	pinned string
	seen   string
}

// freshFor is how long a connection counts as alive after an answer. No login is tried on
// an older one: it may be dead, and the login of the running system is not tried again.
const freshFor = 2 * time.Second

// pin accepts only the certificate with a fingerprint from now on.
func (v *conversation) pin(fingerprint string) {
	v.mu.Lock()
	defer v.mu.Unlock()
	v.pinned = fingerprint
}

func (v *conversation) fingerprint() string {
	v.mu.Lock()
	defer v.mu.Unlock()
	return v.seen
}

func (c *client) converse(pinned string) *conversation {
	v := &conversation{pinned: pinned}
	host := c.o.Address
	if ip := net.ParseIP(host); ip != nil && ip.To4() == nil {
		host = "[" + host + "]"
	}
	v.soap = soap.NewClient(&url.URL{Scheme: "https", Host: host, Path: "/sdk"}, true)
	v.soap.Namespace, v.soap.Version = "urn:vim25", "6.5"
	v.transport = &http.Transport{
		DialContext: c.o.Dial, DisableCompression: true, DisableKeepAlives: c.o.Brief, MaxConnsPerHost: 1, TLSHandshakeTimeout: c.o.Timeout,
		TLSNextProto:   map[string]func(string, *tls.Conn) http.RoundTripper{},
		ReadBufferSize: 2048, WriteBufferSize: 2048, IdleConnTimeout: freshFor,
		MaxResponseHeaderBytes: 64 << 10,
		// #nosec G402 -- verify pins the certificate: no CA signed the certificate of a fresh installation
		TLSClientConfig: &tls.Config{InsecureSkipVerify: true, VerifyConnection: v.verify, CurvePreferences: []tls.CurveID{tls.X25519, tls.CurveP256}},
	}
	v.soap.Client.Transport = readingMethods{v.transport}
	v.soap.Client.Timeout = c.o.Timeout
	v.soap.Client.CheckRedirect = func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse } // else a login would be sent on
	return v
}

// answering returns an error for an answer that lacks what was requested, which govmomi's
// methods would follow as a nil pointer.
type answering struct{ *soap.Client }

// RoundTrip implements soap.RoundTripper.
func (a answering) RoundTrip(ctx context.Context, asked, answer soap.HasFault) error {
	if err := a.Client.RoundTrip(ctx, asked, answer); err != nil {
		return err
	}
	result := reflect.ValueOf(answer).Elem().FieldByName("Res")
	if result.Kind() == reflect.Pointer && result.IsNil() {
		return errors.New("its answer holds no result")
	}
	return nil
}

func (v *conversation) close() { v.transport.CloseIdleConnections() }

// verify accepts only the pinned certificate. A probe pins nothing: it sends
// nothing worth protecting.
func (v *conversation) verify(state tls.ConnectionState) error {
	sum := sha256.Sum256(state.PeerCertificates[0].Raw)
	seen := hex.EncodeToString(sum[:])
	v.mu.Lock()
	defer v.mu.Unlock()
	v.seen = seen
	if v.pinned != "" && v.pinned != seen {
		return errors.New("the certificate is no longer the one that was seen before the login")
	}
	return nil
}

// allowed are the methods that may be called: all of them read.
var allowed = []string{"RetrieveServiceContent", "Login", "Logout", "RetrieveProperties", "RetrievePropertiesEx", "CurrentTime", "installDate"}

// maxBody bounds what an ESXi can make us read: a thousand virtual machines take a quarter.
const maxBody = 4 << 20

// readingMethods refuses every SOAP method that is not known to read, judged by
// the body itself.
type readingMethods struct{ next http.RoundTripper }

func (r readingMethods) RoundTrip(req *http.Request) (*http.Response, error) {
	body, err := io.ReadAll(req.Body)
	req.Body.Close()
	if err != nil {
		return nil, err
	}
	if name := soapMethod(body); !slices.Contains(allowed, name) {
		return nil, fmt.Errorf("esxiplan tried to call %q of an ESXi, which is not among the methods that only read; "+
			"this is a bug in esxiplan, and nothing was sent", name)
	}
	req.Body = io.NopCloser(bytes.NewReader(body))
	req.GetBody = func() (io.ReadCloser, error) { return io.NopCloser(bytes.NewReader(body)), nil }
	req.ContentLength = int64(len(body))
	resp, err := r.next.RoundTrip(req)
	if err == nil {
		resp.Body = struct {
			io.Reader
			io.Closer
		}{io.LimitReader(resp.Body, maxBody), resp.Body}
	}
	return resp, err
}

// soapMethod is the name of the first element in the body of an envelope.
func soapMethod(envelope []byte) string {
	d := xml.NewDecoder(bytes.NewReader(envelope))
	inside := false
	for {
		token, err := d.Token()
		if err != nil {
			return ""
		}
		start, ok := token.(xml.StartElement)
		switch {
		case ok && inside:
			return start.Name.Local
		case ok && start.Name.Local == "Body":
			inside = true
		}
	}
}

// Probe implements [Client]. No answer is a result, not an error.
func (c *client) Probe(ctx context.Context) (Probe, error) {
	c.forgetProbe()
	v := c.converse("")
	content, err := v.begin(ctx)
	if ctx.Err() != nil {
		v.close()
		return Probe{}, ctx.Err()
	}
	if descriptor.Exhausted(err) {
		v.close()
		return Probe{}, c.failure(err)
	}
	if c.probed = v; err != nil {
		c.forgetProbe()
	}
	p := Probe{State: Up, Fingerprint: v.fingerprint()}
	switch {
	case err == nil:
		a := content.About
		p.Product, p.Version, p.Build, p.ESXi = text.Clean(a.FullName), text.Clean(a.Version), text.Clean(a.Build), a.ApiType == "HostAgent"
		if !p.ESXi {
			p.State, p.Reason = Other, "a "+p.Product+" answers there"
		}
	case p.Fingerprint == "":
		p.State, p.Reason = Silent, plain(err)
	case strings.Contains(err.Error(), "503"):
		p.State, p.Reason = Starting, "the web service is up, the API not yet"
	default:
		p.State, p.Reason = Other, plain(err)
	}
	return p, nil
}

// plain is an error without method and URL. An ESXi may have chosen some of its text.
func plain(err error) string {
	var u *url.Error
	if errors.As(err, &u) {
		err = u.Err
	}
	var op *net.OpError
	if errors.As(err, &op) {
		err = op.Err
	}
	return text.Clean(err.Error())
}

// Inspect implements [Client].
func (c *client) Inspect(ctx context.Context, who Who, fingerprint string) (System, error) {
	if who == Root {
		return c.inspectRoot(ctx, fingerprint)
	}
	return c.inspectCurrent(ctx, fingerprint)
}

// inspectCurrent logs in once per run. The session stays open, so that a second
// look sees the present state.
func (c *client) inspectCurrent(ctx context.Context, fingerprint string) (System, error) {
	switch {
	case c.o.Current == nil:
		return System{}, ErrNoLogin
	case c.currentErr != nil:
		return System{}, c.currentErr
	case c.current != nil && c.current.pinned != fingerprint:
		return System{}, &ErrLogin{Address: c.o.Address, Username: c.o.Current.Username,
			Reason: "another system answers there than the one that was looked into before, and its login is used only once"}
	case c.current == nil:
		v, err := c.login(ctx, *c.o.Current, fingerprint, func() {})
		if err != nil {
			if !descriptor.Exhausted(err) { // then it was not sent
				c.currentErr = err
			}
			return System{}, err
		}
		c.current = v
	}
	system, err := c.current.read(ctx)
	if err == nil {
		system.LUNs, err = c.current.remoteLUNs(ctx)
	}
	if err == nil {
		system.Datastores, err = c.current.datastores(ctx)
	}
	if err != nil {
		return System{}, c.failure(err)
	}
	return system, nil
}

// failure is why a request was not answered. Only an error of this machine keeps its type:
// any other is an answer about the ESXi.
func (c *client) failure(err error) error {
	if descriptor.Exhausted(err) {
		return fmt.Errorf("ESXi %s: %w", c.o.Address, err)
	}
	return fmt.Errorf("ESXi %s: %s", c.o.Address, plain(err))
}

func (c *client) inspectRoot(ctx context.Context, fingerprint string) (System, error) {
	if c.o.Root == nil {
		return System{}, ErrNoLogin
	}
	soon := c.logins > 0 && c.o.Now().Sub(c.last) < betweenLogins
	if c.root != nil && c.root.fingerprint == fingerprint && (soon || c.root.whole()) { // what it is does not change; one login shows it
		return c.root.at(c.o.Now()), nil
	}
	if c.logins >= maxRootLogins {
		return System{}, &ErrLogin{c.o.Address, c.o.Root.Username,
			fmt.Sprintf("%d logins with the new password did not prove the installation; no more are made, wrong ones would lock root. "+
				"Log in by hand to see what runs there", c.logins), true}
	}
	if soon {
		return System{}, tooSoon{c.rootErr}
	}
	system, err := c.loginRoot(ctx, fingerprint)
	if c.rootErr = err; err == nil {
		c.root = &seen{fingerprint, system, c.o.Now()}
	}
	return system, err
}

// tooSoon is a login that is not tried yet; the error of the last one says why it failed.
type tooSoon struct{ last error }

func (e tooSoon) Error() string {
	if e.last == nil {
		return ErrTooSoon.Error()
	}
	return e.last.Error()
}

func (e tooSoon) Is(target error) bool { return target == ErrTooSoon }

// loginRoot looks into the ESXi with the new password, once.
func (c *client) loginRoot(ctx context.Context, fingerprint string) (System, error) {
	v, err := c.login(ctx, *c.o.Root, fingerprint, func() { c.logins++; c.last = c.o.Now() })
	if err != nil {
		return System{}, err
	}
	defer v.logout(ctx)
	system, err := v.read(ctx)
	if err != nil {
		return System{}, c.failure(err)
	}
	return system, nil
}

// login opens a session; it calls sent before it sends the password.
func (c *client) login(ctx context.Context, login Login, fingerprint string, sent func()) (*conversation, error) {
	v, err := c.begin(ctx, fingerprint)
	if err != nil {
		return nil, c.failure(err)
	}
	if err := c.mayLogIn(login, fingerprint); err != nil {
		v.close()
		return nil, err
	}
	sent()
	_, err = methods.Login(ctx, answering{v.soap}, &types.Login{This: *v.content.SessionManager, UserName: login.Username, Password: login.Password})
	if err == nil {
		return v, nil
	}
	v.close()
	if descriptor.Exhausted(err) {
		return nil, c.failure(err)
	}
	reason := plain(err)
	if fault.Is(err, &types.InvalidLogin{}) {
		reason = "wrong password, or root is locked"
		if c.o.Refused != nil {
			if err := c.o.Refused.Add(c.o.Address, fingerprint, c.o.Now()); err != nil {
				reason += fmt.Sprintf(" (and that could not be noted: %v)", err)
			}
		}
	}
	return nil, &ErrLogin{Address: c.o.Address, Username: login.Username, Reason: reason}
}

// begin opens a conversation with the system that has a fingerprint. One that a probe began
// a moment ago is continued.
func (c *client) begin(ctx context.Context, fingerprint string) (v *conversation, err error) {
	if v = c.probed; v != nil && v.fingerprint() == fingerprint && time.Since(v.answered) < freshFor {
		c.probed = nil
		v.pin(fingerprint)
	} else {
		c.forgetProbe()
		v = c.converse(fingerprint)
		_, err = v.begin(ctx)
	}
	if err == nil && v.content.SessionManager == nil {
		err = errors.New("its API offers no login")
	}
	if err != nil {
		v.close()
	}
	return v, err
}

// begin reads what the API says without a login.
func (v *conversation) begin(ctx context.Context) (types.ServiceContent, error) {
	content, err := methods.GetServiceContent(ctx, answering{v.soap})
	v.content, v.answered = content, time.Now()
	return content, err
}

// forgetProbe closes the connection of the last probe.
func (c *client) forgetProbe() {
	if c.probed != nil {
		c.probed.close()
		c.probed = nil
	}
}

// mayLogIn refuses a login to an account that refused too many of our logins a moment ago.
func (c *client) mayLogIn(login Login, fingerprint string) error {
	if c.o.Refused == nil {
		return nil
	}
	now := c.o.Now()
	if n := c.o.Refused.Between(c.o.Address, fingerprint, now.Add(-refusedCount), now); n >= maxRefused {
		return &ErrLogin{c.o.Address, login.Username, fmt.Sprintf("not tried: %d of our logins were refused there within %s, "+
			"and more could lock the account. Correct the password in the plan, then wait a quarter of an hour", n, text.Duration(refusedCount)), true}
	}
	return nil
}

// logout ends the session, also after the run's context has ended.
func (v *conversation) logout(ctx context.Context) {
	bounded, cancel := context.WithTimeout(context.WithoutCancel(ctx), 10*time.Second)
	defer cancel()
	methods.Logout(bounded, answering{v.soap}, &types.Logout{This: *v.content.SessionManager})
	v.close()
}

var hostRef = types.ManagedObjectReference{Type: "HostSystem", Value: "ha-host"}

// read gathers everything in one property request and two small ones. What the
// user may not see is an error, not an absence: "no virtual machine" must be known.
func (v *conversation) read(ctx context.Context) (System, error) {
	answer, err := methods.RetrieveProperties(ctx, answering{v.soap}, &types.RetrieveProperties{This: v.content.PropertyCollector, SpecSet: []types.PropertyFilterSpec{{
		ObjectSet: []types.ObjectSpec{{Obj: hostRef, Skip: types.NewBool(false),
			SelectSet: []types.BaseSelectionSpec{&types.TraversalSpec{Type: "HostSystem", Path: "vm"}}}},
		PropSet: []types.PropertySpec{
			{Type: "HostSystem", PathSet: []string{"hardware.systemInfo", "runtime.bootTime", "summary.managementServerIp", "config.vsanHostConfig",
				"configManager.imageConfigManager"}},
			{Type: "VirtualMachine", PathSet: []string{"name", "runtime.powerState"}},
		},
	}}})
	if err != nil {
		return System{}, err
	}
	system := System{Version: v.content.About.Version, Build: v.content.About.Build}
	images, err := system.add(answer.Returnval)
	if err != nil {
		return System{}, err
	}
	if now, err := methods.CurrentTime(ctx, answering{v.soap}, &types.CurrentTime{This: vim25.ServiceInstance}); err == nil {
		system.Now = now.Returnval
	}
	if images != nil {
		if date, err := methods.InstallDate(ctx, answering{v.soap}, &types.InstallDate{This: *images}); err == nil {
			system.Installed = date.Returnval
		}
	}
	text.Value(&system)
	return system, nil
}

func (s *System) add(objects []types.ObjectContent) (images *types.ManagedObjectReference, err error) {
	seen := false
	for _, object := range objects {
		if len(object.MissingSet) > 0 {
			return nil, fmt.Errorf("the user may not read %s of %s", text.Clean(object.MissingSet[0].Path), text.Clean(object.Obj.Type))
		}
		if object.Obj.Type == "VirtualMachine" {
			if err := s.addVM(object); err != nil {
				return nil, err
			}
			continue
		}
		var host mo.HostSystem
		if err := mo.LoadObjectContent([]types.ObjectContent{object}, &host); err != nil {
			return nil, err
		}
		s.addHost(host)
		images, seen = host.ConfigManager.ImageConfigManager, host.Hardware != nil
	}
	if !seen {
		return nil, errors.New("it does not show its hardware, so nothing is known of its use")
	}
	return images, nil
}

func (s *System) addVM(object types.ObjectContent) error {
	var vm mo.VirtualMachine
	if err := mo.LoadObjectContent([]types.ObjectContent{object}, &vm); err != nil {
		return err
	}
	if vm.Runtime.PowerState != types.VirtualMachinePowerStatePoweredOff {
		s.VMs = append(s.VMs, vm.Name)
	}
	return nil
}

func (s *System) addHost(host mo.HostSystem) {
	if host.Hardware != nil {
		info := host.Hardware.SystemInfo
		s.UUID = strings.ToLower(info.Uuid)
		if info.SerialNumber != "" {
			s.Serials = append(s.Serials, info.SerialNumber)
		}
		for _, id := range info.OtherIdentifyingInfo {
			if serial := strings.TrimSpace(id.IdentifierValue); serial != "" && !slices.Contains(s.Serials, serial) {
				s.Serials = append(s.Serials, serial)
			}
		}
	}
	if host.Runtime.BootTime != nil {
		s.Booted = *host.Runtime.BootTime
	}
	s.VCenter = host.Summary.ManagementServerIp
	if host.Config != nil && host.Config.VsanHostConfig != nil && host.Config.VsanHostConfig.Enabled != nil {
		s.VSAN = *host.Config.VsanHostConfig.Enabled
	}
}

// Gone implements [Client].
func (c *client) Gone() {
	c.forgetProbe()
	if c.current != nil {
		c.current.close()
		c.current, c.currentErr = nil, &ErrLogin{Address: c.o.Address, Username: c.o.Current.Username,
			Reason: "the login of the running system was used already, and is used only once per run"}
	}
}

// Close implements [Client]: it ends the session with the running system, which
// may be off by now.
func (c *client) Close() {
	c.forgetProbe()
	if c.current != nil {
		c.current.logout(context.Background())
		c.Gone()
	}
}
