package state

import (
	"crypto/rand"
	"errors"
	"io/fs"
	"path/filepath"
	"strings"

	"esxiplan/engine/private"
	"esxiplan/schema"
)

// Pins keeps the certificates seen on first use, one file per BMC.
type Pins struct {
	Dir      string // the state folder
	ReadOnly bool   // a dry run keeps nothing
}

// keyOf is the key of an address that a door passes.
func keyOf(address string) (string, error) {
	a, err := schema.ParseAddress(address)
	return a.Key(), err
}

// Pin returns the certificate seen first. If it cannot be read, it returns what no certificate
// equals: rather no BMC is trusted than any.
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

// File is where the certificate of a BMC is kept.
func (p Pins) File(address string) string {
	key, err := keyOf(address)
	if err != nil { // no address: nothing is kept for it
		return filepath.Join(p.Dir, "pins")
	}
	return filepath.Join(p.Dir, "pins", key)
}

func (p Pins) read(address string) (string, error) {
	key, err := keyOf(address)
	if err != nil {
		return "", err
	}
	root, err := private.OpenSub(p.Dir, "pins")
	if err != nil {
		return "", err
	}
	defer root.Close()
	b, info, err := private.Read(root, key)
	if err != nil {
		return "", err
	}
	return strings.TrimSpace(string(b)), private.Check(p.File(address), info)
}

// SetPin keeps the certificate seen first, unless nothing may be written.
func (p Pins) SetPin(address, fingerprint string) (kept bool, err error) {
	if p.ReadOnly {
		return false, nil
	}
	key, err := keyOf(address)
	if err != nil {
		return false, err
	}
	root, err := private.MakeSub(p.Dir, "pins")
	if err != nil {
		return false, err
	}
	defer root.Close()
	temporary := rand.Text() + ".new"
	if err := private.Create(root, temporary, []byte(fingerprint+"\n")); err != nil {
		return false, err
	}
	err = root.Rename(temporary, key)
	return err == nil, err
}
