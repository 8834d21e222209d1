package state

import (
	"crypto/rand"
	"errors"
	"io/fs"
	"path/filepath"
	"strings"

	"esxiplan/schema"
)

// Pins keeps the certificates seen on first use, one file per BMC.
type Pins struct {
	Dir      string // the state folder
	ReadOnly bool   // a dry run keeps nothing
}

// keyOf is the key of an address that a door hands back.
func keyOf(address string) (string, error) {
	a, err := schema.ParseAddress(address)
	return a.Key(), err
}

// Pin returns the certificate seen first. Where it cannot be read, it returns what no certificate
// equals: no BMC is trusted rather than any.
func (p Pins) Pin(address string) (string, bool) {
	pin, err := p.read(address)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return "", false
	case err != nil:
		return "unreadable: " + err.Error(), true
	}
	return pin, true
}

func (p Pins) read(address string) (string, error) {
	key, err := keyOf(address)
	if err != nil {
		return "", err
	}
	root, err := openSub(p.Dir, "pins")
	if err != nil {
		return "", err
	}
	defer root.Close()
	b, info, err := readFile(root, key)
	if err != nil {
		return "", err
	}
	return strings.TrimSpace(string(b)), checkPrivate(filepath.Join(p.Dir, "pins", key), info)
}

// SetPin keeps the certificate seen first.
func (p Pins) SetPin(address, fingerprint string) error {
	if p.ReadOnly {
		return nil
	}
	key, err := keyOf(address)
	if err != nil {
		return err
	}
	root, err := makeSub(p.Dir, "pins")
	if err != nil {
		return err
	}
	defer root.Close()
	temporary := rand.Text() + ".new"
	if err := createFile(root, temporary, []byte(fingerprint+"\n")); err != nil {
		return err
	}
	return root.Rename(temporary, key)
}
