package media

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"fmt"
	"math/big"
	"net"
	"os"
	"path/filepath"
	"time"
)

// Certificate loads a certificate and its key, or, if none is named, makes a
// self-signed one for this machine's addresses and keeps it in folder; "" keeps
// none. BMCs do not verify certificates of virtual media by default.
func Certificate(certFile, keyFile, folder string) (tls.Certificate, error) {
	if certFile != "" || keyFile != "" {
		c, err := loadPair(certFile, keyFile)
		if err != nil {
			return c, fmt.Errorf("certificate of the media server: %w", err)
		}
		return c, nil
	}
	path := filepath.Join(folder, "media-certificate.pem")
	if c, err := loadPair(path, path); folder != "" && err == nil && time.Until(c.Leaf.NotAfter) > 24*time.Hour && covers(c.Leaf) {
		return c, nil
	}
	data, err := selfSigned(time.Now())
	if err != nil {
		return tls.Certificate{}, err
	}
	if folder == "" {
		return tls.X509KeyPair(data, data)
	}
	if err := os.MkdirAll(folder, 0o700); err != nil {
		return tls.Certificate{}, err
	}
	err = writeAtomic(path, 0o600, func(f *os.File) error { _, err := f.Write(data); return err })
	if err != nil {
		return tls.Certificate{}, fmt.Errorf("certificate of the media server: %w", err)
	}
	return tls.X509KeyPair(data, data)
}

// loadPair reads a certificate and its key, which may be one file.
func loadPair(certFile, keyFile string) (tls.Certificate, error) {
	certificate, err := readRegular(certFile)
	if err != nil {
		return tls.Certificate{}, err
	}
	key, err := readRegular(keyFile)
	if err != nil {
		return tls.Certificate{}, err
	}
	return tls.X509KeyPair(certificate, key)
}

// covers reports whether a certificate names all addresses that this machine has.
func covers(c *x509.Certificate) bool {
	for _, ip := range ownAddresses() {
		if c.VerifyHostname(ip.String()) != nil {
			return false
		}
	}
	return true
}

func ownAddresses() (out []net.IP) {
	addresses, _ := net.InterfaceAddrs()
	for _, a := range addresses {
		if n, ok := a.(*net.IPNet); ok {
			out = append(out, n.IP)
		}
	}
	return out
}

func selfSigned(now time.Time) ([]byte, error) {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return nil, err
	}
	serial, err := rand.Int(rand.Reader, new(big.Int).Lsh(big.NewInt(1), 120))
	if err != nil {
		return nil, err
	}
	name, _ := os.Hostname()
	template := &x509.Certificate{
		SerialNumber: serial, Subject: pkix.Name{CommonName: "esxiplan media " + name}, IPAddresses: ownAddresses(),
		NotBefore: now.Add(-time.Hour), NotAfter: now.AddDate(2, 0, 0), KeyUsage: x509.KeyUsageDigitalSignature,
		ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth}, BasicConstraintsValid: true,
	}
	if name != "" {
		template.DNSNames = []string{name}
	}
	der, err := x509.CreateCertificate(rand.Reader, template, template, &key.PublicKey, key)
	if err != nil {
		return nil, err
	}
	keyDER, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		return nil, err
	}
	out := pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der})
	return append(out, pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: keyDER})...), nil
}
