package kickstart

import (
	"cmp"
	"regexp"
	"slices"
	"strings"
)

// NamedDisk is a place where a script decides which disk a command writes to.
type NamedDisk struct {
	Command string // install, installorupgrade, upgrade, clearpart, part, partition, %include
	Option  string // such as "disk"; "" for %include
	Text    string // a device name without its folder; else the text there
	Line    int
	Column  int
}

// Single reports that the text is the name of one device. The other forms (--firstdisk,
// --alldrives, --ignoredrives, a file that is included) name disks that only the
// installer knows.
func (d NamedDisk) Single() bool { return slices.Contains(deviceOptions, d.Option) }

// Installs reports a command that puts ESXi onto the disk.
func (d NamedDisk) Installs() bool {
	return slices.Contains(installCommands, d.Command) && d.Option != "systemdisk"
}

func (d NamedDisk) String() string {
	switch {
	case d.Option == "":
		return d.Command + " " + d.Text
	case d.Text == "":
		return d.Command + " --" + d.Option
	}
	return d.Command + " --" + d.Option + "=" + d.Text
}

var (
	installCommands = []string{"install", "installorupgrade", "upgrade"}
	deviceOptions   = []string{"disk", "drive", "systemdisk", "drives", "ondisk", "ondrive"}
	generalOptions  = []string{"firstdisk", "onfirstdisk", "alldrives", "ignoredrives"}
)

// Disks lists every disk that the commands of a script name to write to it, in the order
// of the script: duplicates included, because the installer chooses. It does not look
// at scripts inside of the script. A file that is too long for a script has none;
// [Lint] refuses it.
func Disks(script string) []NamedDisk {
	l := &linter{commands: map[string][]*parsed{}}
	l.read(script)
	return l.disks()
}

// HasDryRun reports whether a script makes the installer check everything and write
// nothing. That is certain only if dryrun comes before all sections.
func HasDryRun(script string) bool {
	l := &linter{commands: map[string][]*parsed{}}
	l.read(script)
	return l.dryRun
}

func (l *linter) disks() (out []NamedDisk) {
	for _, key := range slices.Concat(installCommands, []string{"clearpart", "part", "%include"}) {
		for _, p := range l.commands[key] {
			out = append(out, p.disks()...)
		}
	}
	slices.SortStableFunc(out, func(a, b NamedDisk) int { return cmp.Or(a.Line-b.Line, a.Column-b.Column) })
	return out
}

// disks are those of one command.
func (p *parsed) disks() (out []NamedDisk) {
	if strings.HasSuffix(p.name, "include") {
		d := NamedDisk{Command: "%include", Line: p.line, Column: p.column}
		if len(p.words) > 0 {
			d.Text = p.words[0].text
		}
		return []NamedDisk{d}
	}
	for _, w := range p.given {
		name, isOption := strings.CutPrefix(w.text, "--")
		name, value, _ := strings.Cut(name, "=")
		d := NamedDisk{Command: p.name, Option: name, Text: value, Line: p.line, Column: w.column}
		switch {
		case !isOption:
		case d.Single():
			for device := range strings.SplitSeq(value, ",") {
				d.Text = deviceName(strings.TrimSpace(device))
				out = append(out, d)
			}
		case slices.Contains(generalOptions, name):
			out = append(out, d)
		}
	}
	return out
}

// Likeness is how two names of disks compare.
type Likeness int

// Two names can mean one disk, or two; for some pairs only the machine can decide.
const (
	Unknown Likeness = iota
	Same
	Different
)

// Compare says whether the plan's disk is the device that ESXi calls name. It goes by
// the names alone, as the script in the installer does ([Script.Render]): a naa or eui
// name contains a WWN, a t10 name a serial number; no name contains a model.
func (d Disk) Compare(name string) Likeness {
	name = lowered(deviceName(name))
	switch d.Kind {
	case "name":
		return likeness(lowered(d.Text) == name)
	case "wwn":
		return d.compareWWN(name)
	case "serial":
		key := strings.ReplaceAll(strings.ReplaceAll(strings.ToLower(d.Text), " ", "_"), "-", "2d")
		if rest, ok := strings.CutPrefix(strings.ToLower(name), "t10."); ok && strings.Contains(rest+"__", "__"+key+"__") {
			return Same
		}
	}
	return Unknown
}

func (d Disk) compareWWN(name string) Likeness {
	wwn := d.plain()
	kind, id, _ := strings.Cut(name, ".")
	switch kind {
	case "naa":
		return likeness(id == wwn)
	case "eui":
		return likeness(id == wwn || id == turned(wwn))
	case "t10":
		if id = strings.ToLower(id); strings.HasSuffix(id, "_"+wwn) || strings.HasSuffix(id, "_"+turned(wwn)) {
			return Same
		}
	}
	return Unknown
}

func likeness(same bool) Likeness {
	if same {
		return Same
	}
	return Different
}

// lowered writes names as ESXi does, of which naa and eui names are hexadecimal.
func lowered(name string) string {
	if lower := strings.ToLower(name); strings.HasPrefix(lower, "naa.") || strings.HasPrefix(lower, "eui.") {
		return lower
	}
	return name
}

// turned is a hexadecimal number with its bytes in the other order.
func turned(hex string) string {
	var out strings.Builder
	for i := len(hex); i >= 2; i -= 2 {
		out.WriteString(hex[i-2 : i])
	}
	return out.String()
}

var (
	partitionSuffix = regexp.MustCompile(`^((?:naa|eui|t10|vml)\.[^:]+|(?:mpx\.)?vmhba\d+:C\d+:T\d+:L\d+):\d+$`)

	// deviceWord is a device's name in a line without quotes, perhaps with a partition, and what
	// comes next: behind a name that continues in a variable or a pattern.
	deviceWord = regexp.MustCompile(`((?:naa|eui|vml|\bt10|(?:^|\s)-[a-z]t10)\.[A-Za-z0-9][^\s;|&<>(),{}\[\]$*?%/]*|` +
		`(?:mpx\.)?vmhba\d+:C\d+:T\d+:L\d+(?::\d*)?)([$*?[{%]?)`)
	attached = regexp.MustCompile(`^\s?-[a-z]`)

	scriptComment = regexp.MustCompile(`^\s*#`)
)

// wholeDisk removes a partition's number from a device name.
func wholeDisk(name string) string {
	if m := partitionSuffix.FindStringSubmatch(name); m != nil {
		return m[1]
	}
	return name
}

// unquoted removes quotes and backslashes from a line of a script, as its shell does, and
// says in which column of the line each byte was.
func unquoted(line string) (text string, columns []int) {
	var b strings.Builder
	for i := range len(line) {
		if strings.IndexByte("'\"\\`", line[i]) < 0 {
			b.WriteByte(line[i])
			columns = append(columns, i+1)
		}
	}
	return b.String(), columns
}

// scriptWord is a device, or a word for the installer, in a line of a script.
type scriptWord struct {
	text   string
	column int
	any    bool // takes disks whatever they are
}

// installerWords are those by which a kickstart chooses disks.
var installerWords = regexp.MustCompile(`%include\b|\bclearpart\b|--(?:(?:on)?firstdisk(?:=[^\s;|&<>(),]+)?|alldrives\b|ignoredrives\b)`)

// scriptWords are the words of a line with which a script writes a kickstart of its own.
func scriptWords(line string) (out []scriptWord) {
	if scriptComment.MatchString(line) {
		return nil
	}
	text, columns := unquoted(line)
	for _, m := range installerWords.FindAllStringIndex(text, -1) {
		w := text[m[0]:m[1]]
		out = append(out, scriptWord{w, columns[m[0]], strings.HasPrefix(w, "--") && !strings.Contains(w, "=")})
	}
	return out
}

// scriptDevices are the devices that a line of a script names literally, whatever it does
// with them. The content of variables and patterns is not known.
func scriptDevices(line string) (out []scriptWord) {
	if scriptComment.MatchString(line) {
		return nil
	}
	text, columns := unquoted(line)
	for _, m := range deviceWord.FindAllStringSubmatchIndex(text, -1) {
		from, to := m[2], m[3]
		from += len(attached.FindString(text[from:to]))
		goesOn := m[4] < m[5] && text[to-1] != ':' // as a name; a partition may
		if name := wholeDisk(strings.TrimRight(text[from:to], ".:-")); !goesOn {
			out = append(out, scriptWord{text: name, column: columns[from]})
		}
	}
	return out
}
