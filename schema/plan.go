package schema

import (
	"net/netip"
	"os"
	"slices"
	"sync"

	"github.com/hashicorp/hcl/v2"
	"github.com/hashicorp/hcl/v2/ext/typeexpr"
	"github.com/zclconf/go-cty/cty"
)

// Plan is a loaded plan: what the files say, with every host's arguments
// evaluated and every step's body kept as expressions.
type Plan struct {
	Name        string // `plan "lab"`, else the file's name
	Description string
	Dir         string // folder of the plan; relative paths start here
	InFlight    string // "", a number of hosts, or a percentage such as "10%"
	Variables   []*Variable
	Images      []*Image
	Media       *Media // nil when the plan has no media block
	Notify      []*Notify
	Groups      []*Group
	Steps       []*Step
	Files       map[string]*hcl.File // sources by file name, for snippets

	known     Known
	access    *Access
	global    *hcl.EvalContext
	secrets   *secretTexts
	meter     *meter
	arguments sync.Map // of [Plan.Decode]: dependence to JSON
	index     index
	digests   digests
	locals    hcl.Attributes
	unusable  map[string]bool // names of steps whose type is not known
}

// Known is what the language must know about the world around it.
type Known struct {
	Version string // of esxiplan, for `required_version`
	Steps   map[string]StepType
	Vendors []string
	Facts   *Object // what host.facts looks like
	Message *Object // what the template of a notify block calls message
	// RootPassword judges a password as ESXi would; nil: any is accepted.
	RootPassword func(string) error
}

// StepType is what the language needs to know of a step type.
type StepType struct {
	Arguments *Object
	Result    *Object
	Requires  []string // arguments that a host must have for this step, such as "esxi.netmask"
}

// Variable is an input of the plan.
type Variable struct {
	Name        string
	Description string
	Type        cty.Type
	Sensitive   bool
	Default     cty.Value // cty.NilVal without one
	Value       cty.Value
	Origin      string // where the value came from: "default", "-e", a file, the environment …
	Range       hcl.Range
	checks      []validation
	defaultAt   *hcl.Attribute // nil without one
	defaults    *typeexpr.Defaults
}

// Image is an installer ISO.
type Image struct {
	Name    string    `json:"name" doc:"Name of the image block."`
	Source  string    `json:"source" doc:"Path of the installer ISO."`
	SHA256  *string   `json:"sha256" doc:"Checksum of the ISO in hexadecimal; checked before use."`
	Version *string   `json:"version" doc:"ESXi version in the image. Default: read from the image."`
	Build   *string   `json:"build" doc:"ESXi build in the image. Default: read from the image."`
	Range   hcl.Range `json:"-"`

	said hcl.Attributes // its arguments as they are written
}

// rangeOf is where an argument was written, or the block.
func (i *Image) rangeOf(argument string) hcl.Range { return placeOf(argument, i.said, i.Range) }

func placeOf(argument string, said hcl.Attributes, block hcl.Range) hcl.Range {
	if attr, ok := said[argument]; ok {
		return attr.Expr.Range()
	}
	return block
}

// Media says how BMCs fetch what build_iso makes.
type Media struct {
	Directory   *string   `json:"directory" doc:"Folder into which images are published, for a web server that serves it."`
	URL         *string   `json:"url" doc:"Where BMCs find the published images: the address of that folder, or of this run's own server."`
	Store       string    `json:"store" enum:"file overlay" default:"file" doc:"What the folder holds for each host: a whole image, or only what is laid over the source (a few KB, which only esxiplan serve DIR can serve)."`
	Listen      *string   `json:"listen" doc:"Address and port on which this run serves the images itself by HTTP, such as \"0.0.0.0:8090\"."`
	ListenTLS   *string   `json:"listen_tls" doc:"The same by HTTPS, instead of listen or in addition to it."`
	Certificate *string   `json:"certificate" doc:"Certificate for listen_tls, PEM. Default: one that this machine makes itself."`
	Key         *string   `json:"key" doc:"Key of that certificate, PEM."`
	Allow       []string  `json:"allow" doc:"Who may read what this run serves, next to the plan's BMCs and this machine: addresses, networks such as \"10.0.0.0/8\", host names, or \"any\"."`
	Range       hcl.Range `json:"-"`

	said hcl.Attributes // its arguments as they are written
}

// Open opens a regular file that the plan names, such as an installer image. An untrusted
// plan has only those below its folder (see [Access]).
func (p *Plan) Open(name string) (*os.File, error) { return p.access.Open(name) }

// Untrusted reports that the plan's author may be anyone.
func (p *Plan) Untrusted() bool { return p.access != nil && p.access.Untrusted }

// rangeOf is where an argument was written, or the block.
func (m *Media) rangeOf(argument string) hcl.Range { return placeOf(argument, m.said, m.Range) }

// Sensitive reports whether the plan has a variable of that name that must not be shown.
func (p *Plan) Sensitive(variable string) bool {
	return slices.ContainsFunc(p.Variables, func(v *Variable) bool { return v.Name == variable && v.Sensitive })
}

// Serves reports whether the run serves its images itself.
func (m *Media) Serves() bool { return m.Listen != nil || m.ListenTLS != nil }

// Group is a set of hosts with shared defaults.
type Group struct {
	Name     string
	InFlight string
	Hosts    []*Host
	Range    hcl.Range
}

// Host is one machine, with everything that it inherits from its group.
type Host struct {
	Name         string
	Group        string
	Vendor       string // "auto", or the vendor that the BMC must report
	Serial       string // "" when the plan does not demand one
	Protected    bool   // never reset
	AllowRunning bool   // reset even when it may be in use
	BMC          BMC
	ESXi         *ESXi // nil when the host declares none
	Value        cty.Value
	Range        hcl.Range
	said         layers               // its arguments as they are written
	row          *row                 // what made it; nil: it has a block of its own
	unknown      map[string]bool      // arguments, such as "esxi.gateway", that have a problem; nil in a valid plan
	invalid      bool                 // it has a problem
	deferred     map[string]cty.Value // what `host` means to arguments that wait for host.facts; nil: no argument does
}

// RangeOf is where the argument at path was written, or the host's block.
func (h *Host) RangeOf(path string) hcl.Range {
	if attr, _ := h.said.at(path); attr != nil {
		return attr.Expr.Range()
	}
	return h.Range
}

// Says reports whether the plan gives the argument at path for this host, in its own
// block or its group's, be it null.
func (h *Host) Says(path string) bool {
	attr, _ := h.said.at(path)
	return attr != nil
}

// Valid reports whether no problem of the plan concerns this host's own arguments.
func (h *Host) Valid() bool { return !h.invalid }

// knows reports whether all these arguments could be evaluated.
func (h *Host) knows(paths ...string) bool {
	return !slices.ContainsFunc(paths, func(path string) bool { return h.unknown[path] })
}

// Machine names the machine, whatever plans call it: by its BMC, and by the computer
// system where the BMC manages several.
func (h *Host) Machine() string {
	if system := deref(h.BMC.System); system != "" {
		return h.BMC.Address.Key() + " " + system
	}
	return h.BMC.Address.Key()
}

// BMC is how to reach a host's management controller.
type BMC struct {
	Address  Address `json:"address" default:"-" doc:"Host name or IP address of the BMC, with a port or as a URL where it is not https on 443. Default: the name of the host block."`
	Username string  `json:"username" doc:"User of the BMC."`
	Password Secret  `json:"password" doc:"Password of that user."`
	System   *string `json:"system" doc:"Id of the computer system, for a BMC that manages several."`
	TLS      *TLS    `json:"tls" doc:"How the BMC's certificate is checked. Default: against the system's authorities."`
}

// TLS says how a certificate is checked; the fields exclude one another.
type TLS struct {
	Verify      *bool   `json:"verify" doc:"false: not at all."`
	Fingerprint *string `json:"fingerprint" doc:"SHA-256 of the only certificate accepted, as \"sha256:<64 hexadecimal digits>\"."`
	CAFile      *string `json:"ca_file" doc:"File with the authorities to trust, PEM."`
	FirstUse    *bool   `json:"first_use" doc:"true: accept the certificate seen first, and only that one from then on."`
}

// ESXi is the system to be installed.
type ESXi struct {
	Address      string   `json:"address" doc:"Management IP address."`
	DHCP         *bool    `json:"dhcp" doc:"true: the installed system asks a DHCP server, which must give it this address; netmask, gateway, nameservers and hostname are then the server's affair."`
	Netmask      *string  `json:"netmask" doc:"Netmask of the management network, such as \"255.255.240.0\"."`
	Gateway      *string  `json:"gateway" doc:"Default gateway; lies in the same network."`
	Nameservers  []string `json:"nameservers" doc:"DNS servers; ESXi uses the first two."`
	Hostname     *string  `json:"hostname" doc:"Name of the host. Default: esxi- and the address with dashes."`
	VLAN         *int     `json:"vlan" doc:"VLAN id of the management network, 0 to 4095."`
	NIC          *string  `json:"nic" doc:"Management NIC: a MAC address (it can be checked) or vmnicN (it cannot)."`
	Disk         *Disk    `json:"disk" doc:"The disk to install on."`
	Wipe         []Disk   `json:"wipe" doc:"Further disks to clear, each named like disk. They lose everything."`
	LicenseKey   *Secret  `json:"license_key" doc:"Serial number of ESXi, XXXXX-XXXXX-XXXXX-XXXXX-XXXXX (before 9.0; later hosts get it from vCenter)."`
	RootPassword Secret   `json:"root_password" default:"-" doc:"Password of root; reaches the medium only as a salted hash."`
	Current      *Login   `json:"current" doc:"Login of the ESXi that runs there now, to see whether it is in use."`

	deferredNIC bool // it is chosen once the machine's facts are known
}

// Disk names the installation disk by exactly one of its first four fields.
type Disk struct {
	Model   *string `json:"model" doc:"Model as ESXi sees it, such as \"DELLBOSS VD\"."`
	Serial  *string `json:"serial" doc:"Serial number of the drive. ESXi shows it for SATA and NVMe drives; name SAS drives and RAID volumes by wwn or model."`
	WWN     *string `json:"wwn" doc:"World wide name of the drive, in hexadecimal."`
	Name    *string `json:"name" doc:"ESXi device name: naa.… eui.… t10.… mpx.… vml.…"`
	Confirm *bool   `json:"confirm" doc:"false: continue although the BMC cannot confirm that the disk exists. It says nothing of a kickstart of your own: see unchecked_disks of build_iso. Default true."`

	deferred string // the place in the plan that chooses the disk, once the machine's facts are known
}

// Deferred reports that the disk is not chosen yet: that takes the machine's facts.
func (d *Disk) Deferred() bool { return d != nil && d.deferred != "" }

// Key returns which field names the disk, and its text.
func (d *Disk) Key() (kind, text string) {
	switch {
	case d == nil:
		return "", ""
	case d.Model != nil:
		return "model", *d.Model
	case d.Serial != nil:
		return "serial", *d.Serial
	case d.WWN != nil:
		return "wwn", *d.WWN
	case d.Name != nil:
		return "name", *d.Name
	}
	return "", ""
}

func (d *Disk) String() string {
	if d.Deferred() {
		return d.deferred
	}
	kind, text := d.Key()
	return kind + " " + text
}

// Login is a user and a password.
type Login struct {
	Username string `json:"username" doc:"User name."`
	Password Secret `json:"password" doc:"Password."`
}

// HostName is the name that the installed system gets.
func (e *ESXi) HostName() string {
	if e.Hostname != nil {
		return *e.Hostname
	}
	name := []byte("esxi-" + e.Address)
	for i, c := range name {
		if c == '.' || c == ':' {
			name[i] = '-'
		}
	}
	return string(name)
}

// Prefix is the management network.
func (e *ESXi) Prefix() (netip.Prefix, bool) {
	address, err := netip.ParseAddr(e.Address)
	if err != nil || e.Netmask == nil {
		return netip.Prefix{}, false
	}
	bits, err := maskBits(*e.Netmask)
	if err != nil {
		return netip.Prefix{}, false
	}
	return netip.PrefixFrom(address, bits), true
}

// Step is one step of the plan.
type Step struct {
	Type, Name string
	Policy     CommonArguments
	Arguments  hcl.Attributes
	Conditions map[string]*hcl.Attribute // when, until, failed_when, done_when
	Range      hcl.Range
	refs       references // of arguments and conditions

	groupsUnknown bool // because of a problem it is not known which groups take it
}

// CommonArguments are what every step takes, whatever its type, as the plan says it. If it
// says nothing, the policy of the step's type applies (step.Policy).
type CommonArguments struct {
	Tags     []string  `json:"tags" doc:"Words by which --tags and --skip-tags choose steps."`
	Groups   []string  `json:"groups" doc:"Groups whose hosts take this step. Default: all."`
	Retries  *int      `json:"retries" doc:"How many further attempts follow a first that failed or did not meet until."`
	Delay    *Duration `json:"delay" doc:"Pause before a further attempt."`
	MaxDelay *Duration `json:"max_delay" doc:"The pause doubles after each error up to this."`
	Timeout  *Duration `json:"timeout" doc:"Bound for the step on one host, attempts and pauses together."`
	OnError  string    `json:"on_error" enum:"stop continue" default:"stop" doc:"What a failure means for the rest of the host's steps."`
	RunOn    string    `json:"run_on" enum:"success failure always" default:"success" doc:"In which state of the host the step runs."`
	Throttle *int      `json:"throttle" doc:"How many hosts may be in this step at once."`
	Barrier  bool      `json:"barrier" default:"false" doc:"Whether all hosts must arrive before any starts this step."`
}

var commonObject = Of[CommonArguments]()

// CommonObject describes the arguments that every step takes.
func CommonObject() *Object { return commonObject }

// conditionDocs documents the arguments of every step that stay expressions.
var conditionDocs = [][2]string{
	{"when", "The step is skipped on hosts for which this is false."},
	{"done_when", "The step counts as done, without running, on hosts for which this is true."},
	{"until", "Attempts are repeated until this is true of the `result`."},
	{"failed_when", "An attempt whose `result` makes this true is a failure."},
}

// ConditionDocs lists name and meaning of the arguments of every step that are
// conditions, evaluated per host during the run.
func ConditionDocs() [][2]string { return conditionDocs }

// index finds hosts and steps by name. It is made on first use, when the plan is complete.
type index struct {
	once       sync.Once
	hosts      []*Host
	hostByName map[string]*Host
	stepByName map[string]*Step
}

func (p *Plan) indexed() *index {
	p.index.once.Do(func() {
		p.index.hostByName, p.index.stepByName = map[string]*Host{}, map[string]*Step{}
		for _, g := range p.Groups {
			p.index.hosts = append(p.index.hosts, g.Hosts...)
		}
		for _, h := range slices.Backward(p.index.hosts) { // the first of two counts
			p.index.hostByName[h.Name] = h
		}
		for _, s := range slices.Backward(p.Steps) {
			p.index.stepByName[s.Name] = s
		}
	})
	return &p.index
}

// Hosts lists all hosts in the order of the plan. The list is the plan's own: to
// change it, make a copy.
func (p *Plan) Hosts() []*Host { return slices.Clip(p.indexed().hosts) }

// Host finds a host by name.
func (p *Plan) Host(name string) (*Host, bool) {
	h, ok := p.indexed().hostByName[name]
	return h, ok
}

// Step finds a step by name.
func (p *Plan) Step(name string) (*Step, bool) {
	s, ok := p.indexed().stepByName[name]
	return s, ok
}

// Applies reports whether the step's `groups` include the host's group.
func (s *Step) Applies(h *Host) bool {
	if s.Policy.Groups == nil {
		return true
	}
	for _, g := range s.Policy.Groups {
		if g == h.Group {
			return true
		}
	}
	return false
}
