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
	"slices"
	"strings"
	"time"

	"github.com/vmware/govmomi/fault"
	"github.com/vmware/govmomi/vim25"
	"github.com/vmware/govmomi/vim25/methods"
	"github.com/vmware/govmomi/vim25/mo"
	"github.com/vmware/govmomi/vim25/soap"
	"github.com/vmware/govmomi/vim25/types"
)

// maxRootLogins bounds the use of the new root password: five wrong ones lock
// root for a quarter of an hour.
const maxRootLogins = 3

// DialFunc opens a connection; it lets plan addresses be reached elsewhere.
type DialFunc func(ctx context.Context, network, address string) (net.Conn, error)

// Options say how an ESXi is reached.
type Options struct {
	Address string
	Current *Login
	Root    *Login
	Dial    DialFunc
	Timeout time.Duration // of one request; 0: 20 seconds
}

// Open gives a client. It connects when it is used.
func Open(o Options) Client {
	if o.Timeout == 0 {
		o.Timeout = 20 * time.Second
	}
	return &client{o: o}
}

type client struct {
	o       Options
	current *inspected
	logins  int
}

type inspected struct {
	system System
	err    error
}

// conversation is one connection to the API, with the certificate that it showed.
type conversation struct {
	soap      *soap.Client
	transport *http.Transport
	seen      string
	pinned    string
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
		DialContext: c.o.Dial, DisableCompression: true, MaxConnsPerHost: 1, TLSHandshakeTimeout: c.o.Timeout,
		TLSNextProto:   map[string]func(string, *tls.Conn) http.RoundTripper{},
		ReadBufferSize: 2048, WriteBufferSize: 2048,
		TLSClientConfig: &tls.Config{InsecureSkipVerify: true, VerifyConnection: v.verify, CurvePreferences: []tls.CurveID{tls.X25519, tls.CurveP256}},
	}
	v.soap.Client.Transport = readingMethods{v.transport}
	v.soap.Client.Timeout = c.o.Timeout
	return v
}

func (v *conversation) close() { v.transport.CloseIdleConnections() }

// verify lets through the pinned certificate only. A probe pins nothing: it
// sends nothing that is worth protecting.
func (v *conversation) verify(state tls.ConnectionState) error {
	sum := sha256.Sum256(state.PeerCertificates[0].Raw)
	v.seen = hex.EncodeToString(sum[:])
	if v.pinned != "" && v.pinned != v.seen {
		return errors.New("the certificate is no longer the one that was seen before the login")
	}
	return nil
}

// allowed are the methods that may cross this door: all of them read.
var allowed = []string{"RetrieveServiceContent", "Login", "Logout", "RetrieveProperties", "RetrievePropertiesEx", "CurrentTime", "installDate"}

// readingMethods refuses every SOAP method that is not known to read, by the
// body itself.
type readingMethods struct{ next http.RoundTripper }

func (r readingMethods) RoundTrip(req *http.Request) (*http.Response, error) {
	body, err := io.ReadAll(req.Body)
	req.Body.Close()
	if err != nil {
		return nil, err
	}
	if name := soapMethod(body); !slices.Contains(allowed, name) {
		return nil, fmt.Errorf("esxiplan tried to call %q of an ESXi, which is not among the methods that only read; this is a mistake in esxiplan, and nothing was sent", name)
	}
	req.Body = io.NopCloser(bytes.NewReader(body))
	req.GetBody = func() (io.ReadCloser, error) { return io.NopCloser(bytes.NewReader(body)), nil }
	req.ContentLength = int64(len(body))
	resp, err := r.next.RoundTrip(req)
	if err == nil {
		resp.Body = struct {
			io.Reader
			io.Closer
		}{io.LimitReader(resp.Body, 16<<20), resp.Body}
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

// Probe implements [Client]. That nothing answers is an answer, not an error.
func (c *client) Probe(ctx context.Context) (Probe, error) {
	v := c.converse("")
	defer v.close()
	content, err := methods.GetServiceContent(ctx, v.soap)
	if ctx.Err() != nil {
		return Probe{}, ctx.Err()
	}
	p := Probe{State: Up, Fingerprint: v.seen}
	switch {
	case err == nil:
		a := content.About
		p.Product, p.Version, p.Build, p.ESXi = a.FullName, a.Version, a.Build, a.ApiType == "HostAgent"
		if !p.ESXi {
			p.State, p.Reason = Other, "a "+a.FullName+" answers there"
		}
	case v.seen == "":
		p.State, p.Reason = Silent, plain(err)
	case strings.Contains(err.Error(), "503"):
		p.State, p.Reason = Starting, "the web service is up, the API not yet"
	default:
		p.State, p.Reason = Other, plain(err)
	}
	return p, nil
}

func plain(err error) string {
	var u *url.Error
	if errors.As(err, &u) {
		err = u.Err
	}
	var op *net.OpError
	if errors.As(err, &op) {
		err = op.Err
	}
	return err.Error()
}

// Inspect implements [Client].
func (c *client) Inspect(ctx context.Context, who Who, fingerprint string) (System, error) {
	if who == Root {
		return c.inspectRoot(ctx, fingerprint)
	}
	if c.o.Current == nil {
		return System{}, ErrNoLogin
	}
	if c.current == nil {
		system, err := c.inspect(ctx, *c.o.Current, fingerprint)
		c.current = &inspected{system, err}
	}
	return c.current.system, c.current.err
}

func (c *client) inspectRoot(ctx context.Context, fingerprint string) (System, error) {
	if c.o.Root == nil {
		return System{}, ErrNoLogin
	}
	if c.logins >= maxRootLogins {
		return System{}, &ErrLogin{c.o.Address, c.o.Root.Username, fmt.Sprintf("%d logins with the new password failed; no more are tried, they would lock root. Log in by hand to see what was installed", c.logins)}
	}
	system, err := c.inspect(ctx, *c.o.Root, fingerprint)
	if err != nil && ctx.Err() == nil {
		c.logins++
	}
	return system, err
}

func (c *client) inspect(ctx context.Context, login Login, fingerprint string) (System, error) {
	v := c.converse(fingerprint)
	defer v.close()
	content, err := methods.GetServiceContent(ctx, v.soap)
	if err != nil {
		return System{}, fmt.Errorf("ESXi %s: %s", c.o.Address, plain(err))
	}
	_, err = methods.Login(ctx, v.soap, &types.Login{This: *content.SessionManager, UserName: login.Username, Password: login.Password})
	if err != nil {
		reason := plain(err)
		if fault.Is(err, &types.InvalidLogin{}) {
			reason = "wrong password, or root is locked"
		}
		return System{}, &ErrLogin{c.o.Address, login.Username, reason}
	}
	defer func() {
		bounded, cancel := context.WithTimeout(context.WithoutCancel(ctx), 10*time.Second)
		defer cancel()
		methods.Logout(bounded, v.soap, &types.Logout{This: *content.SessionManager})
	}()
	system, err := v.read(ctx, content)
	if err != nil {
		return System{}, fmt.Errorf("ESXi %s: %s", c.o.Address, plain(err))
	}
	return system, nil
}

var hostRef = types.ManagedObjectReference{Type: "HostSystem", Value: "ha-host"}

// read gathers everything in one property request and two small ones.
func (v *conversation) read(ctx context.Context, content types.ServiceContent) (System, error) {
	objects, err := methods.RetrieveProperties(ctx, v.soap, &types.RetrieveProperties{This: content.PropertyCollector, SpecSet: []types.PropertyFilterSpec{{
		ObjectSet: []types.ObjectSpec{{Obj: hostRef, Skip: types.NewBool(false), SelectSet: []types.BaseSelectionSpec{&types.TraversalSpec{Type: "HostSystem", Path: "vm"}}}},
		PropSet: []types.PropertySpec{
			{Type: "HostSystem", PathSet: []string{"hardware.systemInfo", "runtime.bootTime", "summary.managementServerIp", "config.vsanHostConfig", "configManager.imageConfigManager"}},
			{Type: "VirtualMachine", PathSet: []string{"name", "runtime.powerState"}},
		},
	}}})
	if err != nil {
		return System{}, err
	}
	system := System{Version: content.About.Version, Build: content.About.Build}
	var images *types.ManagedObjectReference
	for _, object := range objects.Returnval {
		if object.Obj.Type == "VirtualMachine" {
			system.addVM(object)
			continue
		}
		var host mo.HostSystem
		if err := mo.LoadObjectContent([]types.ObjectContent{object}, &host); err != nil {
			return System{}, err
		}
		system.addHost(host)
		images = host.ConfigManager.ImageConfigManager
	}
	if now, err := methods.CurrentTime(ctx, v.soap, &types.CurrentTime{This: vim25.ServiceInstance}); err == nil {
		system.Now = now.Returnval
	}
	if images != nil {
		if date, err := methods.InstallDate(ctx, v.soap, &types.InstallDate{This: *images}); err == nil {
			system.Installed = date.Returnval
		}
	}
	return system, nil
}

func (s *System) addVM(object types.ObjectContent) {
	var vm mo.VirtualMachine
	if mo.LoadObjectContent([]types.ObjectContent{object}, &vm) == nil && vm.Runtime.PowerState == types.VirtualMachinePowerStatePoweredOn {
		s.VMs = append(s.VMs, vm.Name)
	}
}

func (s *System) addHost(host mo.HostSystem) {
	if host.Hardware != nil {
		info := host.Hardware.SystemInfo
		s.UUID = strings.ToLower(info.Uuid)
		if info.SerialNumber != "" {
			s.Serials = append(s.Serials, info.SerialNumber)
		}
		for _, id := range info.OtherIdentifyingInfo {
			if text := strings.TrimSpace(id.IdentifierValue); text != "" && !slices.Contains(s.Serials, text) {
				s.Serials = append(s.Serials, text)
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

// Close implements [Client]; nothing stays open between calls.
func (c *client) Close() {}
