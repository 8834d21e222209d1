package bmc

import (
	"crypto/sha256"
	"crypto/tls"
	"crypto/x509"
	"encoding/hex"
	"errors"
	"fmt"
	"os"
	"strings"
	"sync"

	"esxiplan/engine/text"
)

// Trust says how a BMC's certificate is checked. The zero value checks against
// the system's authorities.
type Trust struct {
	Off         bool
	Fingerprint string // SHA-256, hexadecimal, the only certificate accepted
	CAFile      string
	FirstUse    Pins // accept the first certificate seen, then only that one
}

// Pins remembers the certificate that each BMC showed first.
type Pins interface {
	Pin(address string) (fingerprint string, ok bool)
	SetPin(address, fingerprint string) (kept bool, err error) // false: a dry run keeps nothing
	File(address string) string                                // where the pin is kept, for the user who has to remove it
}

func fingerprintOf(certificate *x509.Certificate) string {
	sum := sha256.Sum256(certificate.Raw)
	return hex.EncodeToString(sum[:])
}

// config builds the TLS configuration. saw gets the certificate's fingerprint, use judges it
// if the first one seen is trusted.
func (trust Trust) config(saw func(string), use *firstUse) (*tls.Config, error) {
	c := &tls.Config{
		MinVersion:         tls.VersionTLS12,
		CurvePreferences:   []tls.CurveID{tls.X25519, tls.CurveP256, tls.CurveP384}, // a hello of 1.7 KB, as post-quantum makes it, confuses old firmware
		ClientSessionCache: tls.NewLRUClientSessionCache(1),
	}
	if trust.CAFile != "" {
		pem, err := os.ReadFile(trust.CAFile)
		if err != nil {
			return nil, fmt.Errorf("tls.ca_file: %w", err)
		}
		c.RootCAs = x509.NewCertPool()
		if !c.RootCAs.AppendCertsFromPEM(pem) {
			return nil, fmt.Errorf("tls.ca_file: %s holds no certificate in PEM form", trust.CAFile)
		}
	}
	want := strings.ToLower(strings.NewReplacer("sha256:", "", ":", "").Replace(trust.Fingerprint))
	c.InsecureSkipVerify = trust.Off || want != "" || trust.FirstUse != nil // #nosec G402 -- VerifyConnection compares fingerprints instead
	c.VerifyConnection = func(state tls.ConnectionState) error {
		have := fingerprintOf(state.PeerCertificates[0])
		saw(have)
		if trust.FirstUse != nil {
			return use.judge(have)
		}
		if want != "" && want != have {
			return &ErrCertificate{fmt.Sprintf("the BMC shows the certificate sha256:%s, the plan pins sha256:%s: "+
				"either it was renewed (then change tls.fingerprint) or this is another machine", have, want)}
		}
		return nil
	}
	return c, nil
}

// firstUse trusts the certificate that a BMC showed first, and says so: the user can
// still compare.
type firstUse struct {
	pins    Pins
	address string
	warn    func(string)
	said    sync.Map // certificates that were reported; each of several connections shows one
}

func (f *firstUse) judge(have string) error {
	pinned, ok := f.pins.Pin(f.address)
	switch {
	case ok && pinned == have:
		return nil
	case ok:
		return &ErrCertificate{fmt.Sprintf("the BMC shows the certificate sha256:%s, on first use it was sha256:%s: it was renewed, or this is another machine, or someone intercepts the connection. Compare it with what the BMC's own page or its console shows; if it was renewed, remove %s and run this again", have, pinned, f.pins.File(f.address))}
	}
	kept, err := f.pins.SetPin(f.address, have)
	if err != nil {
		return err
	}
	switch _, before := f.said.LoadOrStore(have, true); {
	case before:
	case kept:
		f.warn(fmt.Sprintf("first use of this BMC: its certificate sha256:%s was pinned, and no other one is accepted from now on", have))
	default:
		f.warn(fmt.Sprintf("the BMC shows the certificate sha256:%s, and none is pinned yet (tls.first_use): nothing proves that this is the BMC, and a run will pin it. Compare it with what the BMC's own page or its console shows", have))
	}
	return nil
}

// ErrCertificate is a certificate that the plan does not accept. It is final.
type ErrCertificate struct{ Reason string }

func (e *ErrCertificate) Error() string { return e.Reason }

// certificateProblem reports whether err is about trust, and what to do next.
func certificateProblem(err error) (string, bool) {
	var pinned *ErrCertificate
	if errors.As(err, &pinned) {
		return pinned.Reason, true
	}
	var verification *tls.CertificateVerificationError
	if errors.As(err, &verification) {
		return fmt.Sprintf("the BMC's certificate is not trusted (%s): "+
			"pin it with tls = { fingerprint = \"sha256:%s\" } after checking it, or see tls in the documentation",
			text.Short(verification.Err.Error(), 300), fingerprintOf(verification.UnverifiedCertificates[0])), true
	}
	return "", false
}
