package kickstart

import (
	"regexp"
	"strings"
)

// Sample is a hash that belongs to no password: it is in a script that is
// judged or shown before a password is known.
var Sample = "$6$sample$" + strings.Repeat("x", 86)

// hidden replaces what must not be shown.
const hidden = "'(sensitive)'"

// Hashes of passwords and serial numbers are known by their form, wherever they are.
var secretForms = regexp.MustCompile(`\$(1|2[aby]|5|6|y)\$[A-Za-z0-9./$=,-]{12,}|\b([0-9A-Z]{5}-){4}[0-9A-Z]{5}\b`)

// Hide returns the script without the values of its rootpw and serialnum commands, and
// without what has the form of a password's hash or a serial number. Passwords that a
// script section holds cannot be known.
func Hide(script string) string {
	lines := strings.SplitAfter(script, "\n")
	for i, line := range lines {
		lines[i] = hideLine(line)
	}
	return secretForms.ReplaceAllString(strings.Join(lines, ""), "(sensitive)")
}

// hideLine keeps the command and its known options.
func hideLine(line string) string {
	name := secretCommand(line)
	if name == "" {
		return line
	}
	indent := line[:len(line)-len(strings.TrimLeft(line, " \t"))]
	kept := name
	if strings.HasSuffix(name, "serialnum") {
		kept += " --esx=" + hidden
	} else if strings.Contains(line, "--iscrypted") {
		kept += " --iscrypted " + hidden
	} else {
		kept += " " + hidden
	}
	return indent + kept + line[len(strings.TrimRight(line, "\r\n")):]
}

var secretCommands = []string{"rootpw", "vmserialnum", "serialnum"}

// secretCommand reports a line that sets something secret, however it is quoted or
// misspelled behind the command's name.
func secretCommand(line string) string {
	bare := strings.TrimLeft(line, " \t'\"")
	for _, name := range secretCommands {
		if strings.HasPrefix(bare, name) {
			return name
		}
	}
	return ""
}

// HasRootPassword reports whether the user's own script sets the password of root.
func HasRootPassword(script string) bool {
	for line := range strings.Lines(script) {
		if opens(line) != "" && !strings.Contains(opens(line), "include") {
			return false // what follows is no command
		}
		if x := lex(strings.TrimRight(line, "\r\n")); len(x.words) > 0 && x.words[0].text == "rootpw" {
			return true
		}
	}
	return false
}
