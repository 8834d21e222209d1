package bmcsim

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/json"
	"io"
	"log"
	"math/big"
	"net"
	"net/http"
	"slices"
	"strings"
	"sync"
	"time"
)

// Clock is the time of the simulation.
type Clock interface {
	Now() time.Time
	Real(time.Duration) time.Duration // how long a span of simulated time really takes
}

// Config is one simulated machine and its BMC.
type Config struct {
	Profile    Profile
	Clock      Clock
	Username   string
	Password   string
	Accounts   map[string]string // passwords of further users
	Serial     string
	UUID       string
	Disks      []Disk
	MACs       []string
	On         bool
	SecureBoot bool          // is on
	SAN        bool          // a Fibre Channel port is connected
	POST       time.Duration // from power-on to booting
	Faults     []Fault
	// Check reads an image as the BMC does when it mounts it; an error is what the
	// BMC could not do.
	Check func(url string) error
	// Fetch reads a whole image, like a BMC that gives the machine its own copy; half
	// ends the transfer half-way. An error, such as a [FetchStatus], means that nothing
	// came: a partial image is kept, because such a BMC does not notice.
	Fetch func(url string, half bool) error
	// Booted is called when the machine boots: source is Redfish's name of the boot
	// source, image the URL in the virtual drive.
	Booted func(source, image string)
	// Lost is called when the machine lost power.
	Lost func()
	// Screen is what the machine's screen shows, line by line; nil: nothing.
	Screen func() []string
	// Log is called with every request.
	Log func(Request)
	// Latency is how long every answer takes, in real time.
	Latency time.Duration
}

// Disk is a drive, or the volume of the boot controller.
type Disk struct {
	Model, Serial, WWN string
	Bytes              int64
	Boot               bool // behind the profile's boot controller
}

// Request is a request that the BMC answered.
type Request struct {
	Method string `json:"method"`
	Path   string `json:"path"`
	Status int    `json:"status"`
	Body   string `json:"body,omitempty"` // of writes, passwords left out
	// Came and Left are when the request was there and when it was answered, in real time.
	Came time.Time `json:"came,omitzero"`
	Left time.Time `json:"left,omitzero"`
}

// Sim is a simulated BMC with its machine.
type Sim struct {
	c Config
	p Profile

	mu         sync.Mutex
	busy       int // requests that are under way
	came       int // requests so far
	most       int // that were under way at the same time
	power      string
	generation int // of the power state: a pending change of an older one is dropped
	posted     time.Time
	progress   string // of the boot, once POST is over
	rival      bool   // someone else is about to power the machine on
	offAt      time.Time
	target     string
	enabled    string
	mode       string
	device     string // of the vendor's own boot document
	onNext     bool   // the slot's own way to boot once
	mediaAt    time.Time
	cdsOn      bool // the virtual CDs of a BMC that has none at first
	cdsAt      time.Time
	mediaOn    bool // remote media, where it must be enabled
	mountsOn   bool // remote mounts, where they must be allowed
	unchecked  bool // the image server's certificate is not checked
	host, path string
	images     []string // configured to be mounted
	tasks      map[string]*task
	slots      map[string]*slot
	attributes map[string]any
	sessions   map[string]*session // by id
	opened     int
	closed     int
	serial     int // of sessions and ETags
	requests   []Request
	faults     []*Fault
	boots      []string
	dials      int
	resets     int // that took effect
	inserts    int

	listener net.Listener
	server   *http.Server
	done     chan struct{}
}

// slot is a virtual drive; a manager and a system may both show it.
type slot struct {
	profile slotProfile
	place   string // "Systems" or "Managers"
	image   string
	last    string // what was mounted before
	ejected time.Time
}

// New makes a BMC.
func New(c Config) *Sim {
	s := &Sim{c: c, p: c.Profile, power: "Off", mode: "UEFI", device: "None", slots: map[string]*slot{}, sessions: map[string]*session{},
		attributes: map[string]any{}, tasks: map[string]*task{}}
	s.idleBoot()
	if c.On {
		s.power, s.progress = "On", OSRunning
	}
	for k, v := range s.p.Attributes {
		s.attributes[k] = v
	}
	for _, p := range s.p.SystemSlots {
		s.slots["Systems/"+p.ID] = &slot{profile: p, place: "Systems"}
	}
	for _, p := range s.p.ManagerSlots {
		twin := s.slots["Systems/"+p.ID]
		if twin == nil {
			twin = &slot{profile: p, place: "Managers"}
		}
		s.slots["Managers/"+p.ID] = twin
	}
	if id := hiddenSlots[s.p.Flow]; id != "" {
		s.slots["Managers/"+id] = &slot{profile: slotProfile{ID: id, Types: cd, Takes: true}, place: "Managers"}
	}
	for _, f := range c.Faults {
		s.faults = append(s.faults, &f)
	}
	return s
}

// idleBoot is the boot override of a machine for which nothing is set.
func (s *Sim) idleBoot() {
	s.target, s.enabled = "None", "Disabled"
	if s.p.IdlesSet {
		s.target, s.enabled = "Hdd", "Continuous"
	}
}

// Serve listens on a loopback address with a certificate of its own.
func (s *Sim) Serve(address string) error {
	l, err := net.Listen("tcp", address)
	if err != nil {
		return err
	}
	return s.ServeOn(l)
}

// ServeOn is [Sim.Serve] for a listener of any kind, which the BMC closes.
func (s *Sim) ServeOn(l net.Listener) error {
	certificate, err := NewCertificate()
	if err != nil {
		l.Close()
		return err
	}
	s.listener, s.done = l, make(chan struct{})
	s.server = &http.Server{
		Handler: s, ReadHeaderTimeout: 20 * time.Second, ErrorLog: log.New(io.Discard, "", 0),
		TLSConfig:    &tls.Config{Certificates: []tls.Certificate{certificate}, NextProtos: []string{"http/1.1"}},
		TLSNextProto: map[string]func(*http.Server, *tls.Conn, http.Handler){},
	}
	if idle := s.idleLimit(); idle > 0 {
		s.server.IdleTimeout = idle
	}
	s.server.ConnState = func(_ net.Conn, state http.ConnState) {
		if state == http.StateNew {
			s.mu.Lock()
			s.dials++
			s.mu.Unlock()
		}
	}
	go func() {
		defer close(s.done)
		s.server.ServeTLS(l, "", "")
	}()
	return nil
}

// Address is where the BMC listens.
func (s *Sim) Address() string { return s.listener.Addr().String() }

// Close ends the BMC and discards what is pending.
func (s *Sim) Close() {
	s.mu.Lock()
	s.generation++
	s.mu.Unlock()
	s.server.Close()
	<-s.done
}

// NewCertificate makes a self-signed certificate, as a BMC without one does.
func NewCertificate() (tls.Certificate, error) {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return tls.Certificate{}, err
	}
	template := &x509.Certificate{SerialNumber: big.NewInt(time.Now().UnixNano()), Subject: pkix.Name{CommonName: "bmc"},
		NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(87600 * time.Hour)}
	der, err := x509.CreateCertificate(rand.Reader, template, template, &key.PublicKey, key)
	return tls.Certificate{Certificate: [][]byte{der}, PrivateKey: key}, err
}

// Requests lists what was asked so far.
func (s *Sim) Requests() []Request {
	s.mu.Lock()
	defer s.mu.Unlock()
	return slices.Clone(s.requests)
}

// Writes lists the requests that are neither GET nor HEAD nor about sessions.
func (s *Sim) Writes() []Request {
	return slices.DeleteFunc(s.Requests(), func(r Request) bool {
		return r.Method == http.MethodGet || r.Method == http.MethodHead || strings.Contains(r.Path, "/Sessions")
	})
}

// Sessions counts sessions opened and closed.
func (s *Sim) Sessions() (opened, closed int) {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.opened, s.closed
}

// Effects counts the resets and inserts that took effect, whatever was answered.
func (s *Sim) Effects() (resets, inserts int) {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.resets, s.inserts
}

// Connections counts the connections that were made: each is a TLS handshake.
func (s *Sim) Connections() int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.dials
}

// Boots lists the boot sources of the boots so far.
func (s *Sim) Boots() []string {
	s.mu.Lock()
	defer s.mu.Unlock()
	return slices.Clone(s.boots)
}

// PowerState is Redfish's name of the machine's power state.
func (s *Sim) PowerState() string {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.power
}

// Override is the boot source override of the standard, in Redfish's names.
func (s *Sim) Override() (target, enabled string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.target, s.enabled
}

// Mounted is the URL of the image in the machine's virtual drive, "" where it is empty.
func (s *Sim) Mounted() string {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.mounted()
}

// Holds reports whether an image is in any of the BMC's drives.
func (s *Sim) Holds(url string) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, v := range s.slots {
		if v.image == url {
			return true
		}
	}
	return false
}

// mounted is the image that the machine sees in its virtual drive.
func (s *Sim) mounted() string {
	for _, path := range s.slotPaths() {
		if v := s.slots[path]; v.image != "" && v.profile.Takes {
			return v.image
		}
	}
	return ""
}

// Prepare sets what an insert would have to set first, as an earlier insert does.
func (s *Sim) Prepare() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.mediaOn, s.cdsOn, s.mountsOn, s.unchecked = true, true, true, true
}

// Mount puts an image into the first drive that takes one, as a person at the
// console would have.
func (s *Sim) Mount(url string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.mediaOn, s.cdsOn = true, true
	for _, path := range s.slotPaths() {
		if v := s.slots[path]; v.profile.Takes {
			v.image, v.last = url, url
			return
		}
	}
}

// LeaveOverride sets the next boot to the network, as a leftover of another user, if this
// firmware has the standard's boot source override.
func (s *Sim) LeaveOverride() {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.p.OverrideOff || s.p.BootConfig || !slices.Contains(s.p.Targets, "Pxe") {
		return
	}
	s.target, s.enabled = "Pxe", "Once"
	if s.p.OnlyContinuous {
		s.enabled = "Continuous"
	}
}

// MountStick puts an image into each drive that takes floppies and USB sticks only, and
// reports whether there is one.
func (s *Sim) MountStick(url string) (mounted bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, v := range s.slots {
		if types := v.profile.Types; len(types) > 0 && !slices.Contains(types, "CD") && !slices.Contains(types, "DVD") {
			v.image, v.last, mounted = url, url, true
		}
	}
	return mounted
}

func (s *Sim) slotPaths() []string {
	var paths []string
	for path := range s.slots {
		paths = append(paths, path)
	}
	slices.Sort(paths)
	slices.SortStableFunc(paths, func(a, b string) int { return strings.Compare(b[:7], a[:7]) }) // Systems before Managers
	return paths
}

// ServeHTTP implements http.Handler.
func (s *Sim) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	body, err := io.ReadAll(io.LimitReader(r.Body, 1<<20))
	if err != nil {
		return
	}
	rec, came := &recorder{ResponseWriter: w, status: 200}, time.Now()
	defer func() { s.note(r, rec.status, body, came) }()
	busy, number := s.enter()
	defer s.leave()
	if s.crowded(rec, r, busy) {
		return
	}
	time.Sleep(s.delay(number))
	after, over := s.trouble(rec, r)
	if over {
		return
	}
	if after != nil {
		rec.ResponseWriter = discard{http.Header{}}
		defer after(w)
	}
	if !s.authenticated(r) {
		if !s.p.NoBasic && !s.p.NoChallenge {
			rec.Header().Set("WWW-Authenticate", `Basic realm="BMC"`)
		}
		s.fail(rec, 401, "Base.1.8.NoValidSession")
		return
	}
	s.route(rec, r, body)
}

// enter counts a request: it returns how many are under way, and its number.
func (s *Sim) enter() (busy, number int) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.busy, s.came = s.busy+1, s.came+1
	s.most = max(s.most, s.busy)
	return s.busy, s.came
}

func (s *Sim) leave() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.busy--
}

// Most is how many requests were under way at the same time, at most.
func (s *Sim) Most() int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.most
}

type recorder struct {
	http.ResponseWriter
	status int
}

func (r *recorder) WriteHeader(status int) {
	r.status = status
	r.ResponseWriter.WriteHeader(status)
}

// discard swallows an answer that gets lost.
type discard struct{ header http.Header }

func (d discard) Header() http.Header         { return d.header }
func (d discard) Write(b []byte) (int, error) { return len(b), nil }
func (d discard) WriteHeader(int)             {}

func (s *Sim) note(r *http.Request, status int, body []byte, came time.Time) {
	q := Request{Method: r.Method, Path: r.URL.Path, Status: status, Came: came, Left: time.Now()}
	if r.Method != http.MethodGet && !strings.Contains(r.URL.Path, "Sessions") {
		q.Body = string(body)
	}
	s.mu.Lock()
	s.requests = append(s.requests, q)
	s.mu.Unlock()
	if s.c.Log != nil {
		s.c.Log(q)
	}
}

func (s *Sim) authenticated(r *http.Request) bool {
	if s.p.Open || s.isPublic(r) {
		return true
	}
	if user, password, ok := r.BasicAuth(); ok && !s.p.NoBasic {
		return s.knows(user, password)
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	token := r.Header.Get("X-Auth-Token")
	for _, open := range s.sessions {
		if token != "" && open.token == token {
			return true
		}
	}
	return false
}

// isPublic reports a request that needs no login. Most BMCs
// without a session service say so without a login.
func (s *Sim) isPublic(r *http.Request) bool {
	path := strings.TrimSuffix(r.URL.Path, "/")
	login := r.Method == http.MethodPost && strings.HasSuffix(path, "/Sessions")
	return path == "/redfish" || path == "/redfish/v1" && !s.p.HiddenRoot || login && !s.p.GuardsSessions
}

// write sends a document.
func (s *Sim) write(w http.ResponseWriter, status int, document any) {
	w.Header().Set("Content-Type", "application/json; charset=utf-8")
	w.Header().Set("OData-Version", "4.0")
	w.WriteHeader(status)
	json.NewEncoder(w).Encode(document)
}

// succeed answers a write that succeeded, in the vendor's way.
func (s *Sim) succeed(w http.ResponseWriter) {
	if s.p.SuccessBody {
		s.write(w, s.p.Success, extended("Base.1.4.Success"))
		return
	}
	w.WriteHeader(s.p.Success)
}

// fail answers with an error.
func (s *Sim) fail(w http.ResponseWriter, status int, id string, args ...string) {
	if s.p.PlainErrors {
		text := strings.Join(append([]string{id[strings.LastIndexByte(id, '.')+1:]}, args...), " ")
		s.failPlainly(w, status, text)
		return
	}
	s.write(w, status, extended(id, args...))
}

// failPlainly answers with an error whose text is next to the extended information, which
// only says that there was an error.
func (s *Sim) failPlainly(w http.ResponseWriter, status int, text string) {
	const general = "Base.1.0.GeneralError"
	s.write(w, status, map[string]any{"error": map[string]any{
		"code": general, "message": text, "@Message.ExtendedInfo": []any{map[string]any{"MessageId": general}},
	}})
}

func extended(id string, args ...string) any {
	message := map[string]any{"MessageId": id}
	if len(args) > 0 {
		message["MessageArgs"] = args
	}
	return map[string]any{"error": map[string]any{
		"code": "Base.1.8.GeneralError", "message": "See @Message.ExtendedInfo for more information.", "@Message.ExtendedInfo": []any{message},
	}}
}
