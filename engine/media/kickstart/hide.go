package kickstart

import (
	"regexp"
	"strings"
)

// Sample is a hash that belongs to no password: it stands in a script that is
// judged or shown before a password is known.
var Sample = "$6$sample$" + strings.Repeat("x", 86)

// hidden stands for what must not be shown.
const hidden = "'(sensitive)'"

var (
	passwordLine = regexp.MustCompile(`(?m)^([ \t]*rootpw[ \t]+(?:--iscrypted[ \t]+)?)\S.*$`)
	licenseLine  = regexp.MustCompile(`(?m)^([ \t]*(?:vm)?serialnum[ \t]+--esx=).*$`)
)

// Hide returns the script without its password and serial number.
func Hide(script string) string {
	script = passwordLine.ReplaceAllString(script, "${1}"+hidden)
	return licenseLine.ReplaceAllString(script, "${1}"+hidden)
}

// HasRootPassword reports whether somebody's own script sets the password of root.
func HasRootPassword(script string) bool { return passwordLine.MatchString(script) }
