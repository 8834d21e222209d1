package kickstart

import (
	"regexp"
	"testing"
)

// The vectors are what crypt(3) answers.
func TestCrypt(t *testing.T) {
	for _, c := range []struct{ password, salt, want string }{
		{"Hello world!", "saltstring", "$6$saltstring$svn8UoSVapNtMuq1ukKS4tPQd8iKwSMHWjl/O817G3uBnIFNjnQJuesI68u4OTLiBFdcbYEdFCoEOfaS35inz1"},
		{"", "saltsaltsaltsalt", "$6$saltsaltsaltsalt$ZoazQmGR9bC6QrJYR3tzNWcqLcufy5crjHpWJDgzT7.T1AcGT7.bjOq387RVyRrJnBux4dyLiO1lh8TYvVlJf/"},
		{"a password that is longer than any digest of this scheme, which has sixty-four bytes", "abcdefghijklmnop", "$6$abcdefghijklmnop$UDLcpnCxObJoAX8J56G.flIXW313/qKDCY83CcXNgqVjsmD/e9C41jKo/p101.GWtzEis2/TDt6Pj77mFNyyQ/"},
	} {
		got := Crypt(c.password, c.salt)
		if got != c.want {
			t.Errorf("%q: got %s", c.password, got)
		}
		if !regexp.MustCompile(`^\$6\$[A-Za-z0-9./]{1,16}\$[A-Za-z0-9./]{86}$`).MatchString(got) {
			t.Errorf("%q: ESXi does not accept %s", c.password, got)
		}
	}
}

func TestCheckPassword(t *testing.T) {
	for password, ok := range map[string]bool{
		"VMware1!": true, "short1!": true, "Abc12!": false, "alllowercase": false, "Password1": false, "Passw0rd": false, "Pass-w0rd": true,
		"umlaut-Ä-12345": false, "x-0123456789012345678901234567890123456789": false,
	} {
		if err := CheckPassword(password); (err == nil) != ok {
			t.Errorf("%q: %v", password, err)
		}
	}
}
