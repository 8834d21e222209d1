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
	SetPin(address, fingerprint string) error
}

func fingerprintOf(certificate *x509.Certificate) string {
	sum := sha256.Sum256(certificate.Raw)
	return hex.EncodeToString(sum[:])
}

// config builds the TLS configuration; saw is told the certificate's fingerprint.
func (trust Trust) config(address string, saw func(string)) (*tls.Config, error) {
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
	c.InsecureSkipVerify = trust.Off || want != "" || trust.FirstUse != nil
	c.VerifyConnection = func(state tls.ConnectionState) error {
		have := fingerprintOf(state.PeerCertificates[0])
		saw(have)
		if trust.FirstUse != nil {
			return firstUse(trust.FirstUse, address, have)
		}
		if want != "" && want != have {
			return &ErrCertificate{fmt.Sprintf("the BMC shows the certificate sha256:%s, the plan pins sha256:%s: either it was renewed (then change tls.fingerprint) or this is another machine", have, want)}
		}
		return nil
	}
	return c, nil
}

func firstUse(pins Pins, address, have string) error {
	pinned, ok := pins.Pin(address)
	if !ok {
		return pins.SetPin(address, have)
	}
	if pinned != have {
		return &ErrCertificate{fmt.Sprintf("the BMC shows the certificate sha256:%s, on first use it was sha256:%s: either it was renewed (then remove the old one from the state folder) or this is another machine", have, pinned)}
	}
	return nil
}

// ErrCertificate is a certificate that the plan does not accept. It is final.
type ErrCertificate struct{ Reason string }

func (e *ErrCertificate) Error() string { return e.Reason }

// certificateProblem tells whether err is about trust, and how to go on.
func certificateProblem(err error) (string, bool) {
	var pinned *ErrCertificate
	if errors.As(err, &pinned) {
		return pinned.Reason, true
	}
	var verification *tls.CertificateVerificationError
	if errors.As(err, &verification) {
		return fmt.Sprintf("the BMC's certificate is not trusted (%s): pin it with tls = { fingerprint = \"sha256:%s\" } after checking it, or see tls in the documentation", text.Short(verification.Err.Error(), 300), fingerprintOf(verification.UnverifiedCertificates[0])), true
	}
	return "", false
}
