package schema

import (
	"cmp"
	"crypto/x509"
	"errors"
	"fmt"
	"io/fs"
	"net/netip"
	"regexp"
	"slices"
	"strings"

	"github.com/hashicorp/hcl/v2"
)

var (
	macPattern      = regexp.MustCompile(`^([0-9A-Fa-f]{2}[:-]){5}[0-9A-Fa-f]{2}$`)
	vmnicPattern    = regexp.MustCompile(`^vmnic[0-9]+$`)
	hostnamePattern = regexp.MustCompile(`^[A-Za-z0-9]([A-Za-z0-9-]*[A-Za-z0-9])?(\.[A-Za-z0-9]([A-Za-z0-9-]*[A-Za-z0-9])?)*$`)
	diskNamePattern = regexp.MustCompile(`^(naa|eui|t10|mpx|vml)\.[!-~]+$`)
	licensePattern  = regexp.MustCompile(`^([0-9A-Z]{5}-){4}[0-9A-Z]{5}$`)
	sha256Pattern   = regexp.MustCompile(`^(sha256:)?([0-9a-fA-F]{64}|([0-9a-fA-F]{2}:){31}[0-9a-fA-F]{2})$`)
)

func isMAC(text string) bool { return macPattern.MatchString(text) }

// checkHosts finds what is wrong with a host alone, then what two hosts may
// not share.
func (l *loader) checkHosts() {
	groups := map[string]bool{"all": true}
	for _, g := range l.plan.Groups {
		groups[g.Name] = true
	}
	taken := &claimed{by: map[string]owner{}, conflicts: map[string]*conflict{}}
	for _, h := range l.plan.Hosts() {
		l.host = h
		if !hostPattern.MatchString(h.Name) || groups[h.Name] {
			l.problem(h.Range, "Invalid host name", "%q cannot be the name of a host: "+
				"take letters, digits, dots, colons, dashes and underscores, and neither \"all\" nor the name of a group, so that --limit can name it.", h.Name)
		}
		l.checkVendor(h)
		l.checkBMC(h)
		l.checkTLS(h)
		if h.ESXi != nil {
			l.checkESXi(h)
		}
		taken.add(h)
	}
	l.host = nil
	l.checkClaims(taken)
}

// claimed is what hosts claim for themselves, in the order of the second claims.
type claimed struct {
	by        map[string]owner
	conflicts map[string]*conflict
	order     []*conflict
}

// owner is the first host that claims something.
type owner struct {
	host    *Host
	derived bool
}

// conflict is what several hosts claim.
type conflict struct {
	claim claim // as the second one spells it
	hosts []*Host
}

// add notes the claims of a host. One BMC address may serve several systems, if each of its
// hosts names its own.
func (c *claimed) add(h *Host) {
	for _, claim := range claims(h) {
		if !h.knows(claim.path) {
			continue
		}
		key := claim.what + " " + strings.ToLower(cmp.Or(claim.key, claim.value))
		first, shared := c.by[key]
		switch {
		case !shared:
			c.by[key] = owner{h, claim.derived}
		case claim.derived && first.derived: // the address is claimed twice, too
		case claim.what == "BMC address" && deref(h.BMC.System) != "" && deref(first.host.BMC.System) != "": // each claims its system
		default:
			c.share(key, claim, first.host, h)
		}
	}
}

func (c *claimed) share(key string, claim claim, first, another *Host) {
	of := c.conflicts[key]
	if of == nil {
		of = &conflict{claim, []*Host{first}}
		c.conflicts[key], c.order = of, append(c.order, of)
	}
	of.hosts = append(of.hosts, another)
}

// checkClaims reports what two hosts or more claim.
func (l *loader) checkClaims(c *claimed) {
	for _, of := range c.order {
		what, first, second := of.claim.what, of.hosts[0], of.hosts[1]
		d := problem(second.RangeOf(of.claim.path), "Two hosts share one "+what, "Host %q and host %q (%s) both have %s %q.", second.Name, first.Name,
			first.place(), what, of.claim.value)
		if n := len(of.hosts); n > 2 {
			d.Summary = "Several hosts share one " + what
			d.Detail = fmt.Sprintf("%s have %s %q. Give each host its own.", capital(l.plan.hostsInWords(of.hosts)), what, of.claim.value)
		}
		d.Detail += madeBy(of.hosts[1:])
		d.Extra = &concern{hosts: of.hosts, named: true}
		l.add(d)
	}
}

var hostPattern = regexp.MustCompile(`^[A-Za-z0-9_][A-Za-z0-9._:-]*$`)

func (l *loader) checkBMC(h *Host) {
	if h.knows("bmc.username", "bmc.password") && (h.BMC.Username == "" || h.BMC.Password.IsZero()) {
		l.problem(h.RangeOf("bmc.password"), "Empty login", "The user or the password of the BMC is empty.")
	}
}

type claim struct {
	what, path, value string
	key               string // the same for all spellings of the value; "": the value itself
	derived           bool   // from another claim
}

// claims lists what belongs to one host only.
func claims(h *Host) []claim {
	out := []claim{{what: "host name", value: h.Name}, {what: "BMC address", path: "bmc.address", value: h.BMC.Address.String(), key: h.BMC.Address.Key()}}
	if system := deref(h.BMC.System); system != "" {
		out = append(out, claim{what: "computer system", path: "bmc.system", value: system, key: h.Machine()})
	}
	if h.Serial != "" {
		out = append(out, claim{what: "serial number", path: "serial", value: h.Serial})
	}
	if x := h.ESXi; x != nil {
		key := ""
		if ip, err := netip.ParseAddr(x.Address); err == nil {
			key = ip.Unmap().String()
		}
		out = append(out, claim{what: "ESXi address", path: "esxi.address", value: x.Address, key: key},
			claim{what: "hostname", path: "esxi.hostname", value: x.HostName(), derived: x.Hostname == nil})
		if x.NIC != nil && isMAC(*x.NIC) {
			out = append(out, claim{what: "MAC address", path: "esxi.nic", value: *x.NIC})
		}
	}
	return out
}

func (l *loader) checkVendor(h *Host) {
	known := append([]string{"auto"}, l.plan.known.Vendors...)
	if h.knows("vendor") && !slices.Contains(known, h.Vendor) {
		l.problem(h.RangeOf("vendor"), "Unknown vendor", "There is no vendor %q; there are %s%s", h.Vendor, quoted(known), DidYouMean(h.Vendor, known))
	}
}

func (l *loader) checkTLS(h *Host) {
	if h.BMC.TLS == nil {
		return
	}
	for _, reason := range l.invalidTLS(h.BMC.TLS, "verify, fingerprint, ca_file and first_use") {
		l.problem(h.RangeOf("bmc.tls"), "Invalid tls", "%s.", reason)
	}
}

// invalidTLS is what is wrong with how a certificate is checked; ways are those that there are.
func (l *loader) invalidTLS(t *TLS, ways string) (reasons []string) {
	given := 0
	for _, set := range []bool{t.Verify != nil, t.Fingerprint != nil, t.CAFile != nil, t.FirstUse != nil} {
		if set {
			given++
		}
	}
	if given != 1 {
		reasons = append(reasons, "Give exactly one of "+ways)
	}
	if t.CAFile != nil {
		if err := l.checkCAFile(*t.CAFile); err != nil {
			reasons = append(reasons, fmt.Sprintf("ca_file: %v", err))
		}
	}
	if t.Fingerprint != nil && !sha256Pattern.MatchString(*t.Fingerprint) {
		reasons = append(reasons, "fingerprint: write \"sha256:\" and 64 hexadecimal digits")
	}
	return reasons
}

// checkCAFile looks at a file with authorities, once for all hosts that name it.
func (l *loader) checkCAFile(name string) error {
	path := l.access.path(name)
	err, known := l.caFiles[path]
	if !known {
		var pem []byte
		pem, err = l.access.authorities(name)
		if !l.access.Untrusted {
			err = unreadable(name, path, err)
		}
		if err == nil && !x509.NewCertPool().AppendCertsFromPEM(pem) {
			err = fmt.Errorf("%s holds no certificate in PEM form", name)
		}
		l.caFiles[path] = err
	}
	return err
}

func isAddress(text string) bool {
	_, err := netip.ParseAddr(text)
	return err == nil
}

func (l *loader) checkESXi(h *Host) {
	x := h.ESXi
	if h.knows("esxi.address") && !isAddress(x.Address) {
		l.problem(h.RangeOf("esxi.address"), "Invalid address", "esxi.address: %q is not an IP address.", x.Address)
	}
	l.checkNetwork(h)
	for _, server := range x.Nameservers {
		if !isAddress(server) {
			l.problem(h.RangeOf("esxi.nameservers"), "Invalid address", "esxi.nameservers: %q is not an IP address.", server)
		}
	}
	if x.NIC != nil && !isMAC(*x.NIC) && !vmnicPattern.MatchString(*x.NIC) {
		l.problem(h.RangeOf("esxi.nic"), "Invalid NIC", "esxi.nic: %q is neither a MAC address such as B4:96:91:A7:3F:D6 nor vmnicN.", *x.NIC)
	}
	if name := x.HostName(); h.knows("esxi.hostname") && (x.Hostname != nil || isAddress(x.Address)) && !hostnamePattern.MatchString(name) || len(name) > 253 {
		l.problem(h.RangeOf("esxi.hostname"), "Invalid hostname", "esxi.hostname: %q is not a host name: letters, digits and dashes, parts separated by dots.", name)
	}
	if x.VLAN != nil && (*x.VLAN < 0 || *x.VLAN > 4095) {
		l.problem(h.RangeOf("esxi.vlan"), "Invalid VLAN", "esxi.vlan: %d is not a VLAN id, 0 to 4095.", *x.VLAN)
	}
	if check := l.plan.known.RootPassword; check != nil && !x.RootPassword.IsZero() {
		if err := check(x.RootPassword.Reveal()); err != nil {
			l.problem(h.RangeOf("esxi.root_password"), "Invalid password", "esxi.root_password: %v.", err)
		}
	}
	l.checkESXiDevices(h)
	if x.LicenseKey != nil && !licensePattern.MatchString(x.LicenseKey.Reveal()) {
		l.problem(h.RangeOf("esxi.license_key"), "Invalid license key", "esxi.license_key: this is not of the form XXXXX-XXXXX-XXXXX-XXXXX-XXXXX.")
	}
}

// checkESXiDevices checks how the plan names disks.
func (l *loader) checkESXiDevices(h *Host) {
	x := h.ESXi
	if err := checkDisk(x.Disk); err != nil {
		l.problem(h.RangeOf("esxi.disk"), "Invalid disk", "esxi.disk: %v.", err)
	}
	for _, d := range x.Wipe {
		if err := checkDisk(&d); err != nil {
			l.problem(h.RangeOf("esxi.wipe"), "Invalid disk", "esxi.wipe: %v.", err)
		} else if x.Disk != nil && d.String() == x.Disk.String() {
			l.problem(h.RangeOf("esxi.wipe"), "Invalid disk", "esxi.wipe: %s is the disk of the installation, which is overwritten anyway.", d.String())
		}
	}
}

func (l *loader) checkNetwork(h *Host) {
	x := h.ESXi
	if x.DHCP != nil && *x.DHCP || !h.knows("esxi.dhcp") {
		return // left to the server
	}
	if x.Gateway != nil && !isAddress(*x.Gateway) {
		l.problem(h.RangeOf("esxi.gateway"), "Invalid address", "esxi.gateway: %q is not an IP address.", *x.Gateway)
	}
	if x.Netmask == nil {
		return
	}
	bits, err := maskBits(*x.Netmask)
	if err != nil {
		l.problem(h.RangeOf("esxi.netmask"), "Invalid netmask", "esxi.netmask: %v.", err)
		return
	}
	address, err := netip.ParseAddr(x.Address)
	if err != nil {
		return
	}
	if !address.Is4() {
		l.problem(h.RangeOf("esxi.address"), "Invalid address", "esxi.address: %s has an IPv4 netmask; the installer takes IPv4 addresses only.", address)
		return
	}
	network := netip.PrefixFrom(address, bits).Masked()
	if bits < 31 && (address == network.Addr() || address == lastAddress(network)) {
		l.problem(h.RangeOf("esxi.address"), "Address outside its network",
			"esxi.address: %s is the first or last address of its network %s and cannot be a host's.", address, network)
	}
	if x.Gateway == nil {
		return
	}
	gateway, err := netip.ParseAddr(*x.Gateway)
	switch {
	case err != nil: // reported above
	case !network.Contains(gateway):
		l.problem(h.RangeOf("esxi.gateway"), "Gateway outside the network",
			"esxi.gateway: %s does not lie in %s, the network of %s with netmask %s. The installed host could not be reached.", gateway, network, address, *x.Netmask)
	case bits < 31 && (gateway == network.Addr() || gateway == lastAddress(network)):
		l.problem(h.RangeOf("esxi.gateway"), "Invalid address",
			"esxi.gateway: %s is the first or last address of the network %s and cannot be a gateway's.", gateway, network)
	case gateway == address:
		l.problem(h.RangeOf("esxi.gateway"), "Gateway outside the network", "esxi.gateway: %s is the host's own address.", gateway)
	}
}

func lastAddress(network netip.Prefix) netip.Addr {
	last, _ := addressAt(network, -1)
	return last
}

// checkDisk demands one way of naming a disk, and consent where no BMC can
// confirm the name.
func checkDisk(d *Disk) error {
	if d == nil || d.Deferred() {
		return nil
	}
	given := 0
	for _, p := range []*string{d.Model, d.Serial, d.WWN, d.Name} {
		if p != nil {
			given++
			if strings.TrimSpace(*p) == "" || strings.ContainsAny(*p, "\n\r'\"\\`$") {
				return fmt.Errorf("%q cannot name a disk: it is empty, or holds a quotation mark, a backslash, a dollar sign or a line break", *p)
			}
		}
	}
	if given != 1 {
		return fmt.Errorf("give exactly one of model, serial, wwn and name")
	}
	if d.Name == nil {
		return nil
	}
	if !diskNamePattern.MatchString(*d.Name) {
		return fmt.Errorf("%q is not an ESXi device name, which starts with naa., eui., t10., mpx. or vml. and continues with the id", *d.Name)
	}
	unconfirmed := !strings.HasPrefix(*d.Name, "naa.") && !strings.HasPrefix(*d.Name, "eui.")
	if unconfirmed && (d.Confirm == nil || *d.Confirm) {
		return fmt.Errorf("no BMC can confirm the name %q; "+
			"name the disk by model, serial or wwn, or accept the risk with { name = %q, confirm = false }", *d.Name, *d.Name)
	}
	return nil
}

// checkRequirements demands that each host has what its steps need, each argument once.
func (l *loader) checkRequirements() {
	for _, h := range l.plan.Hosts() {
		l.host = h
		var missed map[string]bool
		for _, s := range l.plan.Steps {
			if !s.Applies(h) || s.groupsUnknown {
				continue
			}
			for _, path := range l.plan.known.Steps[s.Type].Requires {
				missed = l.require(h, s, path, missed)
			}
		}
	}
	l.host = nil
}

// require reports an argument that a step needs and a host does not have, unless that was
// reported already.
func (l *loader) require(h *Host, s *Step, path string, missed map[string]bool) map[string]bool {
	switch {
	case h.ESXi == nil && strings.HasPrefix(path, "esxi."):
		return l.missing(h, s, "esxi", "There is no esxi block, neither here nor for the whole group", missed)
	case path == "esxi.network":
		return l.requireNetwork(h, s, missed)
	case !h.Has(path):
		return l.missing(h, s, path, path+" is missing, here and in the group", missed)
	}
	return missed
}

// requireNetwork demands what a static network needs, or DHCP.
func (l *loader) requireNetwork(h *Host, s *Step, missed map[string]bool) map[string]bool {
	if h.ESXi.DHCP != nil && *h.ESXi.DHCP || !h.knows("esxi.dhcp") {
		return missed
	}
	for _, path := range []string{"esxi.netmask", "esxi.gateway"} {
		if !h.Has(path) {
			missed = l.missing(h, s, path, path+" is missing, here and in the group (esxi.dhcp = true would do as well)", missed)
		}
	}
	return missed
}

func (l *loader) missing(h *Host, s *Step, path, what string, missed map[string]bool) map[string]bool {
	if missed[path] {
		return missed
	}
	if missed == nil {
		missed = map[string]bool{}
	}
	missed[path] = true
	l.problem(h.Range, "Missing argument", "%s. Step %q (%s at %s) needs it.", what, s.Name, s.Type, position(s.Range))
	return missed
}

// CheckImages checks the installer images, which a run reads. It is separate from [Load],
// because a plan is also checked without its images.
func (p *Plan) CheckImages() hcl.Diagnostics {
	var diags hcl.Diagnostics
	for _, i := range p.Images {
		if i.Source == "" { // a problem of its own
			continue
		}
		switch info, err := p.access.Stat(i.Source); {
		case errors.Is(err, errOutside): // a warning says that it is not checked
		case err != nil:
			diags = append(diags, problem(i.rangeOf("source"), "Missing image", "source: %s.", noImage(i.Source, p.access.path(i.Source), err)))
		case info.IsDir():
			diags = append(diags, problem(i.rangeOf("source"), "Not a file", "source: %q is a folder. Name the ISO file in it.", i.Source))
		}
	}
	return p.settled(diags)
}

func noImage(name, path string, err error) string {
	text := unreadable(name, path, err).Error()
	if errors.Is(err, fs.ErrNotExist) {
		text = strings.TrimSuffix(text, ", or create the file") + ", put the image there, or check the plan with --offline if the image is not available here"
	}
	return text
}

// Has reports whether the host has a value for an argument, such as "esxi.disk".
func (h *Host) Has(path string) bool {
	section, name, nested := strings.Cut(path, ".")
	value := h.Value.GetAttr(section)
	if nested {
		if value.IsNull() {
			return false
		}
		value = value.GetAttr(name)
	}
	value, _ = value.Unmark()
	return !value.IsNull()
}

// Sorted orders diagnostics by file and place.
func Sorted(diags hcl.Diagnostics) hcl.Diagnostics {
	slices.SortStableFunc(diags, func(a, b *hcl.Diagnostic) int {
		if a.Subject == nil || b.Subject == nil {
			return 0
		}
		if c := strings.Compare(a.Subject.Filename, b.Subject.Filename); c != 0 {
			return c
		}
		return a.Subject.Start.Byte - b.Subject.Start.Byte
	})
	return diags
}
