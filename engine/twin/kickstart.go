package twin

import (
	"errors"
	"fmt"
	"net/netip"
	"regexp"
	"slices"
	"strings"
)

// script is a kickstart as the installer parsed it.
type script struct {
	commands map[string]command
	include  string
	resolve  string   // what the %pre script looks for: "model = DELLBOSS VD"
	wipes    []string // and the disks that it clears
}

type command struct {
	options map[string]string
	words   []string
}

// grammar are the commands and options that the installer knows. A real one only
// warns of unknown ones; the simulated one refuses them, because typing mistakes
// reach machines by warnings that no one reads.
var grammar = map[string][]string{
	"vmaccepteula": {}, "accepteula": {}, "reboot": {"noeject"}, "paranoid": {}, "dryrun": {},
	"rootpw":   {"iscrypted"},
	"keyboard": {}, "serialnum": {"esx"},
	"install":   {"disk", "firstdisk", "overwritevmfs", "overwritevsan", "preservevmfs", "novmfsondisk", "ignoressd", "forceunsupportedinstall", "systemdisk"},
	"clearpart": {"drives", "overwritevmfs"},
	"part":      {"ondisk"},
	"network":   {"bootproto", "device", "ip", "netmask", "gateway", "nameserver", "hostname", "vlanid", "addvmportgroup"},
	"%include":  {},
}

var cryptPattern = regexp.MustCompile(`^\$6\$[A-Za-z0-9./]{1,16}\$[A-Za-z0-9./]{86}$`)

// parseKickstart reads a kickstart strictly.
func parseKickstart(data []byte) (*script, error) {
	s := &script{commands: map[string]command{}}
	section := ""
	for i, line := range strings.Split(string(data), "\n") {
		line = strings.TrimSuffix(line, "\r")
		if strings.ContainsFunc(line, func(r rune) bool { return r > '~' || r < ' ' && r != '\t' }) {
			return nil, fmt.Errorf("line %d: only printable ASCII is allowed", i+1)
		}
		if strings.HasPrefix(line, "%pre") || strings.HasPrefix(line, "%post") || strings.HasPrefix(line, "%firstboot") {
			section = line
			continue
		}
		if section != "" && !strings.HasPrefix(line, "%include") && !strings.HasPrefix(line, "include") {
			s.marks(section, line)
			continue
		}
		if err := s.line(line); err != nil {
			return nil, fmt.Errorf("line %d: %w", i+1, err)
		}
	}
	return s, s.check()
}

// marks reads what our %pre script says of itself; the simulated installer
// runs no shell. Ours is the last of them: what another one says before it does not count.
func (s *script) marks(section, line string) {
	if !strings.HasPrefix(section, "%pre") {
		return
	}
	if text, ok := strings.CutPrefix(line, "# resolve: "); ok {
		s.resolve, s.wipes = text, nil
	}
	if text, ok := strings.CutPrefix(line, "# wipe: "); ok {
		s.wipes = append(s.wipes, text)
	}
}

func (s *script) line(line string) error {
	words, err := lex(line)
	if err != nil || len(words) == 0 {
		return err
	}
	known, ok := grammar[words[0]]
	if !ok {
		return fmt.Errorf("unknown command %q", words[0])
	}
	if words[0] == "%include" {
		if len(words) != 2 {
			return errors.New("%include takes a file")
		}
		s.include = words[1]
		return nil
	}
	if _, twice := s.commands[words[0]]; twice {
		return fmt.Errorf("%s is given twice", words[0])
	}
	c := command{options: map[string]string{}}
	for _, w := range words[1:] {
		name, isOption := strings.CutPrefix(w, "--")
		if !isOption {
			c.words = append(c.words, w)
			continue
		}
		name, value, _ := strings.Cut(name, "=")
		if !slices.Contains(known, name) {
			return fmt.Errorf("%s does not know --%s", words[0], name)
		}
		if _, twice := c.options[name]; twice {
			return fmt.Errorf("--%s is given twice", name)
		}
		c.options[name] = value
	}
	s.commands[words[0]] = c
	return nil
}

// lex cuts a line like a shell with comments: # starts one even inside a word.
func lex(line string) ([]string, error) {
	var words []string
	var word strings.Builder
	started, quote := false, byte(0)
	end := func() {
		if started {
			words = append(words, word.String())
		}
		word.Reset()
		started = false
	}
	for i := 0; i < len(line); i++ {
		c := line[i]
		switch {
		case quote != 0 && c == quote:
			quote = 0
		case quote != 0:
			word.WriteByte(c)
		case c == '\'' || c == '"':
			quote, started = c, true
		case c == '#':
			end()
			return words, nil
		case c == '\\':
			if i+1 == len(line) {
				return nil, errors.New("no escaped character: lines cannot be continued")
			}
			i++
			word.WriteByte(line[i])
			started = true
		case c == ' ' || c == '\t':
			end()
		default:
			word.WriteByte(c)
			started = true
		}
	}
	if quote != 0 {
		return nil, errors.New("no closing quotation")
	}
	end()
	return words, nil
}

func (s *script) check() error {
	if _, ok := s.commands["vmaccepteula"]; !ok {
		if _, ok := s.commands["accepteula"]; !ok {
			return errors.New("the license is not accepted (vmaccepteula)")
		}
	}
	password, ok := s.commands["rootpw"]
	if !ok || len(password.words) != 1 {
		return errors.New("rootpw is missing")
	}
	if _, crypted := password.options["iscrypted"]; !crypted || !cryptPattern.MatchString(password.words[0]) {
		return errors.New("rootpw: crypted password is not valid")
	}
	if _, ok := s.commands["install"]; !ok && s.include == "" {
		return errors.New("no install command")
	}
	if _, ok := s.commands["reboot"]; !ok {
		return errors.New("no reboot command: the machine would wait at a prompt")
	}
	return s.checkNetwork()
}

func (s *script) checkNetwork() error {
	n, ok := s.commands["network"]
	if !ok {
		return errors.New("no network command")
	}
	if n.options["bootproto"] == "dhcp" {
		for _, name := range []string{"ip", "netmask", "gateway"} {
			if _, given := n.options[name]; given {
				return fmt.Errorf("network --%s cannot be given together with DHCP", name)
			}
		}
		return nil
	}
	for _, name := range []string{"ip", "netmask", "gateway"} {
		if _, err := netip.ParseAddr(n.options[name]); err != nil {
			return fmt.Errorf("network --%s: %w", name, err)
		}
	}
	if servers := n.options["nameserver"]; servers != "" && strings.Count(servers, ",") > 1 {
		return errors.New("network --nameserver takes two servers at the most")
	}
	return nil
}

func (s *script) rootHash() string { return s.commands["rootpw"].words[0] }
func (s *script) address() string  { return s.commands["network"].options["ip"] }

// clears finds the disks that are cleared in addition to the one to install on.
func (s *script) clears(disks []device) ([]device, error) {
	var out []device
	if drives := s.commands["clearpart"].options["drives"]; drives != "" {
		for name := range strings.SplitSeq(drives, ",") {
			d, err := pick(disks, "name "+name, func(d device) bool { return d.name == name })
			if err != nil {
				return nil, err
			}
			out = append(out, d)
		}
	}
	for _, text := range s.wipes {
		d, err := resolve(disks, text)
		if err != nil {
			return nil, err
		}
		out = append(out, d)
	}
	return out, nil
}

// choose finds the disk as the installer sees disks: by name, or as the %pre
// script does, which demands exactly one match.
func (s *script) choose(disks []device) (device, error) {
	install, ok := s.commands["install"]
	if ok {
		first, general := install.options["firstdisk"]
		if general && (first == "" || strings.Contains(first, ",")) {
			return device{}, errors.New("install --firstdisk takes whatever comes first")
		}
		if _, overwrite := install.options["overwritevmfs"]; !overwrite {
			return device{}, errors.New("the disk holds a VMFS partition, and neither --overwritevmfs nor --preservevmfs is given")
		}
		if general {
			return resolve(disks, "model = "+first)
		}
		return pick(disks, "name "+install.options["disk"], func(d device) bool { return d.name == install.options["disk"] })
	}
	if s.resolve == "" {
		return device{}, fmt.Errorf("no script of esxiplan's writes %s, and the simulated installer runs no shell", s.include)
	}
	return resolve(disks, s.resolve)
}

// resolve finds the disk that a line such as "model = DELLBOSS VD" means.
func resolve(disks []device, line string) (device, error) {
	kind, text, _ := strings.Cut(line, " = ")
	return pick(disks, kind+" "+text, func(d device) bool {
		switch kind {
		case "name":
			return d.name == text
		case "model":
			return strings.EqualFold(d.model, text)
		case "serial":
			return strings.EqualFold(d.serial, text)
		case "wwn":
			return strings.TrimPrefix(d.name, "naa.") == strings.ToLower(strings.NewReplacer(":", "", "-", "", "0x", "", "naa.", "", "eui.", "").Replace(text))
		}
		return false
	})
}

// device is a disk as ESXi names it.
type device struct{ name, model, serial string }

func pick(disks []device, what string, matches func(device) bool) (device, error) {
	var found []device
	for _, d := range disks {
		if matches(d) {
			found = append(found, d)
		}
	}
	if len(found) != 1 {
		return device{}, fmt.Errorf("%d disks match %s, exactly one must", len(found), what)
	}
	return found[0], nil
}
