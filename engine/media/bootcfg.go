package media

import (
	"bytes"
	"errors"
	"fmt"
	"slices"
	"strings"
)

// maxCommandLine is the longest command line that the loader takes: path of the
// kernel, a blank and the options stay below it (esx-boot, "mboot").
const maxCommandLine = 4096

// installerOption makes the kernel start the installer. All versions have it in
// their boot.cfg, 5.x and 6.0 without cdromBoot next to it.
const installerOption = "runweasel"

// BootConfig is a boot.cfg: lines of key=value, of which all but kernelopt are
// kept to the byte, unknown ones and their line ends included.
type BootConfig struct {
	lines []string // with their ends
}

// ParseBootConfig reads a boot.cfg as the loader does: keys without regard to
// case, runs of white space as one blank, the last of equal keys counts, and an
// empty value clears an earlier one.
func ParseBootConfig(data []byte) (*BootConfig, error) {
	if bytes.IndexByte(data, 0) >= 0 {
		return nil, errors.New("this is not a boot.cfg: it holds zero bytes")
	}
	c := &BootConfig{lines: slices.Collect(strings.Lines(string(data)))}
	if _, ok := c.Get("kernel"); !ok {
		return nil, errors.New("this is not the boot.cfg of an installer: it names no kernel")
	}
	if _, ok := c.Get("kernelopt"); !ok {
		return nil, errors.New("boot.cfg has no kernel options, so the installer cannot be given a kickstart; this is not an ESXi installer image")
	}
	return c, nil
}

func keyOf(line string) (key, value string, ok bool) {
	if strings.HasPrefix(strings.TrimSpace(line), "#") {
		return "", "", false
	}
	key, value, ok = strings.Cut(line, "=")
	return strings.ToLower(strings.TrimSpace(key)), strings.Join(words(value), " "), ok
}

// words splits at ASCII white space, the only one that the loader knows.
func words(text string) []string {
	return strings.FieldsFunc(text, func(r rune) bool { return r <= ' ' })
}

// Get returns the value that counts for key.
func (c *BootConfig) Get(key string) (string, bool) {
	for _, line := range slices.Backward(c.lines) {
		if k, value, ok := keyOf(line); ok && k == key {
			return value, value != ""
		}
	}
	return "", false
}

// Options are the kernel options, one word each.
func (c *BootConfig) Options() []string {
	value, _ := c.Get("kernelopt")
	return words(value)
}

// Kickstart makes the installer run the kickstart at path, such as "/KS.CFG",
// with further kernel options. Options are tokens, in any order: a former ks= is removed,
// cdromBoot is removed (it belongs to the interactive installer), the rest stays.
func (c *BootConfig) Kickstart(path string, options []string) error {
	tokens := slices.DeleteFunc(c.Options(), func(t string) bool {
		return t == "cdromBoot" || strings.HasPrefix(t, "ks=")
	})
	tokens = append(tokens, "ks=cdrom:"+path)
	if err := CheckOptions(options); err != nil {
		return err
	}
	c.set("kernelopt", strings.Join(append(tokens, options...), " "))
	return c.Check(path)
}

// refusedOption are kernel options by which a machine would not do what was planned, in
// lower case, and why.
var refusedOption = map[string]string{
	"ks": otherKickstart, "cdromboot": "starts the interactive installer, which waits for a person", "runweasel": installerStart, "weaselin": installerStart,
	"ksdevice": downloadNIC, "netdevice": downloadNIC, "bootif": downloadNIC,
	"ip": downloadNIC, "netmask": downloadNIC, "gateway": downloadNIC, "nameserver": downloadNIC, "vlanid": downloadNIC,
	"autopartition": "formats all blank disks at the first boot, unasked; name the disks to clear in esxi.wipe and make datastores by part commands",
}

const (
	otherKickstart = "would lead the installer to another kickstart than this host's"
	installerStart = "belongs to the image, whose boot.cfg starts the installer"
	downloadNIC    = "is for kickstarts that come over the network; this host's is on its medium, and its network comes from the esxi block or the kickstart"
)

// CheckOptions judges further kernel options: one word of printable ASCII each, none that
// leads the installer elsewhere or decides what the plan decides, and not more together
// than the loader takes. How much room the image's own options leave is checked when
// the image is built.
func CheckOptions(options []string) error {
	for _, option := range options {
		if err := checkOption(option); err != nil {
			return err
		}
	}
	if n := len(strings.Join(options, " ")); n >= maxCommandLine {
		return fmt.Errorf("the kernel options have %d bytes together, the loader takes %d with the image's own", n, maxCommandLine-1)
	}
	return nil
}

func checkOption(option string) error {
	if option == "" || strings.ContainsFunc(option, func(r rune) bool { return r <= ' ' || r > '~' }) {
		return fmt.Errorf("kernel option %q must be one word of printable ASCII", option)
	}
	name, value, _ := strings.Cut(strings.ToLower(option), "=")
	reason := refusedOption[name]
	switch {
	case name == "autopartition" && slices.Contains([]string{"false", "0", "no"}, value):
		return nil
	case strings.HasPrefix(name, "ks."):
		reason = downloadNIC
	case name == "":
		reason = "has no name"
	}
	if reason != "" {
		return fmt.Errorf("kernel option %q %s", option, reason)
	}
	return nil
}

// Check demands that a machine that boots with this file installs unattended from
// the kickstart at path.
func (c *BootConfig) Check(path string) error {
	options := c.Options()
	kernel, _ := c.Get("kernel")
	if !slices.Contains(options, installerOption) {
		return fmt.Errorf("its kernel options do not start the installer (no %s among %q), so it is not an installer image, or it was changed",
			installerOption, strings.Join(options, " "))
	}
	i := slices.IndexFunc(options, func(o string) bool { return strings.HasPrefix(o, "ks=") })
	if i < 0 || options[i] != "ks=cdrom:"+path || slices.ContainsFunc(options[i+1:], func(o string) bool { return strings.HasPrefix(o, "ks=") }) {
		return fmt.Errorf("its kernel options do not name the kickstart %s: %q", path, strings.Join(options, " "))
	}
	if n := len(kernel) + 1 + len(strings.Join(options, " ")); n >= maxCommandLine {
		return fmt.Errorf("kernel and options have %d bytes, the loader takes %d", n, maxCommandLine-1)
	}
	return nil
}

// set puts the value into the line that counts, and drops the earlier ones.
func (c *BootConfig) set(key, value string) {
	var out []string
	seen := false
	for _, line := range slices.Backward(c.lines) {
		if k, _, ok := keyOf(line); ok && k == key {
			if !seen {
				out = append(out, key+"="+value+ending(line))
			}
			seen = true
			continue
		}
		out = append(out, line)
	}
	slices.Reverse(out)
	c.lines = out
}

// ending is how a line ends: LF, CR LF, or not at all.
func ending(line string) string { return line[len(strings.TrimRight(line, "\r\n")):] }

// Bytes is the file.
func (c *BootConfig) Bytes() []byte { return []byte(strings.Join(c.lines, "")) }
