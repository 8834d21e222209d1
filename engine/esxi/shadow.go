package esxi

import (
	"context"
	"errors"
	"sync"
)

// NewFingerprint is a placeholder for the certificate that an installation will make.
const NewFingerprint = "(new certificate)"

// ErrShadow is what a dry run answers if only an installed system could.
var ErrShadow = errors.New("known only after the installation")

// ShadowClient is the door of a dry run: it shows the real system until the
// shadow machine booted an installer.
type ShadowClient struct {
	Client
	mu        sync.Mutex
	installed *Probe
}

// Shadow covers c.
func Shadow(c Client) *ShadowClient { return &ShadowClient{Client: c} }

// Install makes the shadow show a new system with the version and build of an
// image; both may be "".
func (s *ShadowClient) Install(version, build string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.installed = &Probe{State: Up, Fingerprint: NewFingerprint, ESXi: true, Version: version, Build: build, Product: "VMware ESXi " + version}
}

// Probe implements [Client].
func (s *ShadowClient) Probe(ctx context.Context) (Probe, error) {
	s.mu.Lock()
	p := s.installed
	s.mu.Unlock()
	if p != nil {
		return *p, nil
	}
	return s.Client.Probe(ctx)
}

// Inspect implements [Client].
func (s *ShadowClient) Inspect(ctx context.Context, who Who, fingerprint string) (System, error) {
	if fingerprint == NewFingerprint {
		return System{}, ErrShadow
	}
	return s.Client.Inspect(ctx, who, fingerprint)
}
