package media

import (
	"bytes"
	"fmt"
	"slices"
	"strings"
)

// maxKernelOptions is the longest kernel command line that the loader takes:
// it must stay below 4096 bytes, of which the path of the kernel needs some.
const maxKernelOptions = 4000

// BootConfig is a boot.cfg: lines of key=value, of which all but kernelopt are
// kept to the letter, unknown ones included.
type BootConfig struct {
	lines []string
}

// ParseBootConfig reads a boot.cfg as the loader does: keys without regard to
// case, the last of equal keys counts.
func ParseBootConfig(data []byte) (*BootConfig, error) {
	if bytes.IndexByte(data, 0) >= 0 {
		return nil, fmt.Errorf("this is no boot.cfg: it holds zero bytes")
	}
	c := &BootConfig{lines: strings.Split(strings.TrimSuffix(string(data), "\n"), "\n")}
	if _, ok := c.Get("kernel"); !ok {
		return nil, fmt.Errorf("this is no boot.cfg of an installer: it names no kernel")
	}
	if _, ok := c.Get("kernelopt"); !ok {
		return nil, fmt.Errorf("boot.cfg has no kernelopt line, so the installer cannot be told of a kickstart; this is not an ESXi installer image")
	}
	return c, nil
}

func keyOf(line string) (key, value string, ok bool) {
	if strings.HasPrefix(strings.TrimSpace(line), "#") {
		return "", "", false
	}
	key, value, ok = strings.Cut(line, "=")
	return strings.ToLower(strings.TrimSpace(key)), strings.Join(strings.Fields(value), " "), ok
}

// Get returns the value that counts for key.
func (c *BootConfig) Get(key string) (string, bool) {
	for _, line := range slices.Backward(c.lines) {
		if k, value, ok := keyOf(line); ok && k == key {
			return value, true
		}
	}
	return "", false
}

// Kickstart makes the installer run the kickstart at path, such as "/KS.CFG",
// with further kernel options. Options are tokens: a former ks= goes, cdromBoot
// goes (it belongs to the interactive installer), runweasel stays or comes.
func (c *BootConfig) Kickstart(path string, options []string) error {
	old, _ := c.Get("kernelopt")
	tokens := slices.DeleteFunc(strings.Fields(old), func(t string) bool {
		return t == "cdromBoot" || strings.HasPrefix(t, "ks=")
	})
	if !slices.Contains(tokens, "runweasel") {
		tokens = slices.Insert(tokens, 0, "runweasel")
	}
	tokens = append(tokens, "ks=cdrom:"+path)
	for _, option := range options {
		if option == "" || strings.ContainsFunc(option, func(r rune) bool { return r <= ' ' || r > '~' }) {
			return fmt.Errorf("kernel option %q must be one word of printable ASCII", option)
		}
		tokens = append(tokens, option)
	}
	line := strings.Join(tokens, " ")
	if len(line) > maxKernelOptions {
		return fmt.Errorf("the kernel options have %d bytes, the loader takes %d", len(line), maxKernelOptions)
	}
	c.set("kernelopt", line)
	return nil
}

// set puts the value into the line that counts, and drops the earlier ones.
func (c *BootConfig) set(key, value string) {
	var out []string
	seen := false
	for _, line := range slices.Backward(c.lines) {
		if k, _, ok := keyOf(line); ok && k == key {
			if !seen {
				out = append(out, key+"="+value)
			}
			seen = true
			continue
		}
		out = append(out, line)
	}
	slices.Reverse(out)
	c.lines = out
}

// Bytes is the file.
func (c *BootConfig) Bytes() []byte { return []byte(strings.Join(c.lines, "\n") + "\n") }
