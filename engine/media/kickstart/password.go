package kickstart

import "errors"

// CheckPassword applies what the installer and ESXi's default policy demand:
// 7 to 40 printable ASCII characters of three classes, where a leading capital
// and a trailing digit do not count as classes of their own. ESXi does not apply
// it to a hash; but then its own tools refuse the password later.
func CheckPassword(password string) error {
	if len(password) < 7 || len(password) > 40 {
		return errors.New("the root password must have 7 to 40 characters; ESXi accepts no other")
	}
	classes := map[int]bool{}
	for i, c := range []byte(password) {
		switch {
		case c < ' ' || c > '~':
			return errors.New("the root password may hold printable ASCII characters only")
		case c >= 'A' && c <= 'Z':
			classes[0] = classes[0] || i > 0
		case c >= 'a' && c <= 'z':
			classes[1] = true
		case c >= '0' && c <= '9':
			classes[2] = classes[2] || i < len(password)-1
		default:
			classes[3] = true
		}
	}
	n := 0
	for _, counts := range classes {
		if counts {
			n++
		}
	}
	if n < 3 {
		return errors.New("the root password is too simple for ESXi: " +
			"it needs three of capitals, small letters, digits and other characters, where a leading capital and a trailing digit do not count")
	}
	return nil
}
