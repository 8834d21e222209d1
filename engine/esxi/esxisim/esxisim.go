// Package esxisim simulates the ESXi on one management address, on govmomi's
// simulator: a real TLS socket, a real SOAP API, a login that locks root after
// five wrong passwords, an install date, virtual machines.
//
// The address outlives the installations on it: [Sim.Boot] brings a system up,
// [Sim.Down] removes it, as a reset does.
package esxisim

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"fmt"
	"io"
	"log"
	"maps"
	"math/big"
	"net"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/vmware/govmomi/simulator"
	"github.com/vmware/govmomi/simulator/esx"
	"github.com/vmware/govmomi/vim25/methods"
	"github.com/vmware/govmomi/vim25/mo"
	"github.com/vmware/govmomi/vim25/soap"
	"github.com/vmware/govmomi/vim25/types"
)

// Config is one installed system.
type Config struct {
	Version, Build string
	UUID, Serial   string
	Accepts        func(password string) bool // of root
	Installed      time.Time
	Booted         time.Time
	VMs            []string // names of powered-on virtual machines
	VCenter        string
	VSAN           bool
	LUNs           []LUN
	HidesLUNs      bool // from the user, with the datastores
	Datastores     []Datastore
	Certificate    tls.Certificate // zero: a new one
	Now            func() time.Time
}

// maxFailures wrong passwords lock root.
const maxFailures = 5

// Sim is an address on which an ESXi may answer.
type Sim struct {
	listener net.Listener
	server   *http.Server
	done     chan struct{}

	mu          sync.Mutex
	conns       map[net.Conn]bool
	handler     http.Handler // nil: starting, 503
	certificate *tls.Certificate
	failures    int
	sessions    int
	calls       []string
	called      func(method string)
}

// Start listens on a loopback address; no system answers yet. called, which may
// be nil, gets the name of every SOAP method.
func Start(address string, called func(method string)) (*Sim, error) {
	l, err := net.Listen("tcp", address)
	if err != nil {
		return nil, err
	}
	return StartOn(l, called), nil
}

// StartOn is [Start] for a listener of any kind, which the simulator closes.
func StartOn(l net.Listener, called func(method string)) *Sim {
	s := &Sim{listener: l, done: make(chan struct{}), called: called, conns: map[net.Conn]bool{}}
	s.server = &http.Server{
		Handler: http.HandlerFunc(s.serve), ReadHeaderTimeout: 10 * time.Second, ErrorLog: log.New(io.Discard, "", 0),
		TLSNextProto: map[string]func(*http.Server, *tls.Conn, http.Handler){},
		TLSConfig:    &tls.Config{GetCertificate: s.present, NextProtos: []string{"http/1.1"}, SessionTicketsDisabled: true},
		ConnState:    s.track,
	}
	go func() {
		defer close(s.done)
		s.server.ServeTLS(gate{l, s}, "", "")
	}()
	return s
}

// gate hangs up at once while no system runs, as a closed port would.
type gate struct {
	net.Listener
	sim *Sim
}

func (g gate) Accept() (net.Conn, error) {
	for {
		conn, err := g.Listener.Accept()
		if err != nil {
			return nil, err
		}
		g.sim.mu.Lock()
		there := g.sim.certificate != nil
		g.sim.mu.Unlock()
		if there {
			return conn, nil
		}
		if tcp, ok := conn.(*net.TCPConn); ok {
			tcp.SetLinger(0)
		}
		conn.Close()
	}
}

// track knows the open connections.
func (s *Sim) track(conn net.Conn, state http.ConnState) {
	s.mu.Lock()
	defer s.mu.Unlock()
	switch state {
	case http.StateNew:
		s.conns[conn] = true
	case http.StateClosed, http.StateHijacked:
		delete(s.conns, conn)
	}
}

// Address is where the simulator listens.
func (s *Sim) Address() string { return s.listener.Addr().String() }

// Close ends the simulator.
func (s *Sim) Close() {
	s.server.Close()
	<-s.done
}

func (s *Sim) present(*tls.ClientHelloInfo) (*tls.Certificate, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.certificate == nil {
		return nil, fmt.Errorf("no system is there")
	}
	return s.certificate, nil
}

func (s *Sim) serve(w http.ResponseWriter, r *http.Request) {
	s.mu.Lock()
	handler := s.handler
	s.mu.Unlock()
	if handler == nil {
		http.Error(w, "503 Service Unavailable (Failed to connect to endpoint)", http.StatusServiceUnavailable)
		return
	}
	handler.ServeHTTP(w, r)
}

// SessionLost is passed instead of a method for each session that ends with its system.
const SessionLost = "SessionLost"

// Down removes the system: open connections and sessions end, new ones are refused.
func (s *Sim) Down() {
	s.mu.Lock()
	lost, open := s.sessions, slices.Collect(maps.Keys(s.conns))
	s.handler, s.certificate, s.sessions = nil, nil, 0
	s.mu.Unlock()
	for _, conn := range open {
		conn.Close()
	}
	for range lost {
		if s.called != nil {
			s.called(SessionLost)
		}
	}
}

// Starting shows the certificate but no API yet.
func (s *Sim) Starting(certificate tls.Certificate) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.handler, s.certificate = nil, &certificate
}

// Boot brings up a system and returns its certificate.
func (s *Sim) Boot(c Config) (tls.Certificate, error) {
	if c.Certificate.Certificate == nil {
		var err error
		if c.Certificate, err = NewCertificate(); err != nil {
			return c.Certificate, err
		}
	}
	if c.Now == nil {
		c.Now = time.Now
	}
	handler, err := s.build(c)
	if err != nil {
		return c.Certificate, err
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.handler, s.certificate, s.failures = handler, &c.Certificate, 0
	return c.Certificate, nil
}

// Locked reports whether wrong passwords have locked root.
func (s *Sim) Locked() bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.failures >= maxFailures
}

// OpenSessions counts logins without a logout.
func (s *Sim) OpenSessions() int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.sessions
}

// Calls lists the SOAP methods called so far.
func (s *Sim) Calls() []string {
	s.mu.Lock()
	defer s.mu.Unlock()
	return slices.Clone(s.calls)
}

// NewCertificate makes a self-signed certificate such as a new installation does.
func NewCertificate() (tls.Certificate, error) {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return tls.Certificate{}, err
	}
	serial, err := rand.Int(rand.Reader, big.NewInt(1<<62))
	if err != nil {
		return tls.Certificate{}, err
	}
	template := &x509.Certificate{
		SerialNumber: serial, Subject: pkix.Name{CommonName: "localhost.localdomain"},
		NotBefore: time.Now().Add(-24 * time.Hour), NotAfter: time.Now().Add(10 * 365 * 24 * time.Hour),
	}
	der, err := x509.CreateCertificate(rand.Reader, template, template, &key.PublicKey, key)
	return tls.Certificate{Certificate: [][]byte{der}, PrivateKey: key}, err
}

// build makes the API of one system: a bare host object in a registry, which
// costs a hundredth of govmomi's whole inventory.
func (s *Sim) build(c Config) (http.Handler, error) {
	t := esx.ServiceContent
	content := types.ServiceContent{RootFolder: t.RootFolder, PropertyCollector: t.PropertyCollector, SessionManager: t.SessionManager,
		EventManager: t.EventManager, Setting: t.Setting}
	ctx, si := simulator.NewServiceInstance(simulator.NewContext(), content, esx.RootFolder)
	si.Content.About = about(c)
	ctx.Map.OptionManager().Setting = nil
	properties := &collector{}
	properties.Self = t.PropertyCollector
	ctx.Map.Put(properties)
	ctx.Map.Put(&clock{*si, c.Now})
	images := types.ManagedObjectReference{Type: "HostImageConfigManager", Value: "ha-image-config-manager"}
	ctx.Map.Put(&imageManager{mo.HostImageConfigManager{Self: images}, c.Installed})
	host := newHost(c, images)
	for i, name := range c.VMs {
		vm := &mo.VirtualMachine{}
		vm.Self = types.ManagedObjectReference{Type: "VirtualMachine", Value: fmt.Sprint(i + 1)}
		vm.Name = name
		vm.Runtime.PowerState = types.VirtualMachinePowerStatePoweredOn
		ctx.Map.Put(vm)
		host.Vm = append(host.Vm, vm.Self)
	}
	ctx.Map.Put(host)
	ctx.Map.Handler = s.observe
	ctx.Map.SessionManager().ValidLogin = func(l *types.Login) bool { return s.login(l, c.Accepts) }
	service := simulator.New(ctx, si)
	service.Listen = &url.URL{Scheme: "https", Host: s.Address(), User: url.UserPassword("root", "-")}
	service.RegisterSDK(ctx.Map, ctx.Map.Path+"/vimService")
	return service.ServeMux, nil
}

func about(c Config) types.AboutInfo {
	a := esx.ServiceContent.About
	a.Version, a.ApiVersion, a.Build = c.Version, c.Version+".0", c.Build
	a.Name, a.OsType, a.ApiType, a.ProductLineId = "VMware ESXi", "vmnix-x86", "HostAgent", "embeddedEsx"
	a.FullName = "VMware ESXi " + c.Version + " build-" + c.Build
	return a
}

var hostRef = types.ManagedObjectReference{Type: "HostSystem", Value: "ha-host"}

func newHost(c Config, images types.ManagedObjectReference) *host {
	h := &host{hides: c.HidesLUNs}
	h.Self = hostRef
	h.Config, h.Hardware = &types.HostConfigInfo{StorageDevice: storageOf(c.LUNs), FileSystemVolume: volumesOf(c.Datastores)}, &types.HostHardwareInfo{}
	h.Config.VsanHostConfig = &types.VsanHostConfigInfo{Enabled: &c.VSAN}
	h.Hardware.SystemInfo = types.HostSystemInfo{Uuid: strings.ToLower(c.UUID), SerialNumber: c.Serial,
		OtherIdentifyingInfo: []types.HostSystemIdentificationInfo{{IdentifierValue: c.Serial,
			IdentifierType: &types.ElementDescription{Description: types.Description{Label: "Service tag", Summary: "Service tag of the system"}, Key: "ServiceTag"}}}}
	h.Runtime.BootTime = &c.Booted
	h.Summary.ManagementServerIp = c.VCenter
	h.ConfigManager.ImageConfigManager = &images
	return h
}

// observe keeps the list of calls and refuses reads without a session.
func (s *Sim) observe(ctx *simulator.Context, m *simulator.Method) (mo.Reference, types.BaseMethodFault) {
	s.mu.Lock()
	s.calls = append(s.calls, m.Name)
	if m.Name == "Logout" && ctx.Session != nil {
		s.sessions--
	}
	s.mu.Unlock()
	if s.called != nil {
		s.called(m.Name)
	}
	if ctx.Session == nil && m.Name != "RetrieveServiceContent" && m.Name != "Login" {
		return nil, &types.NotAuthenticated{NoPermission: types.NoPermission{Object: &m.This, PrivilegeId: "System.View"}}
	}
	return nil, nil
}

func (s *Sim) login(l *types.Login, accepts func(string) bool) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.failures >= maxFailures {
		return false
	}
	if l.UserName != "root" || !accepts(l.Password) {
		s.failures++
		return false
	}
	s.failures = 0
	s.sessions++
	return true
}

// imageManager answers the install date, which govmomi's simulator does not know.
type imageManager struct {
	mo.HostImageConfigManager
	when time.Time
}

// InstallDate is called by the simulator through its name.
func (m *imageManager) InstallDate(*simulator.Context, *types.InstallDate) soap.HasFault {
	return &methods.InstallDateBody{Res: &types.InstallDateResponse{Returnval: m.when}}
}

// clock answers CurrentTime by the clock of the simulation.
type clock struct {
	simulator.ServiceInstance
	now func() time.Time
}

// CurrentTime is called by the simulator through its name.
func (c *clock) CurrentTime(*simulator.Context, *types.CurrentTime) soap.HasFault {
	return &methods.CurrentTimeBody{Res: &types.CurrentTimeResponse{Returnval: c.now()}}
}
