package media

import (
	"context"
	"errors"
	"strings"
	"sync"
)

// NewURL is a placeholder for the URL of an image that a dry run would have to build: its
// token does not exist yet. The scheme is the real one, because BMCs refuse some;
// [NewHTTPSURL] is that of an image that is published by https.
const (
	NewURL      = "http:(new image)"
	NewHTTPSURL = "https:(new image)"
)

// unbuiltToken is a placeholder for the token of such an image.
const unbuiltToken = "(new image)"

// IsNew reports whether a URL is the placeholder for an image that is not built yet.
func IsNew(url string) bool { return url == NewURL || url == NewHTTPSURL }

// unbuilt is a placeholder for the URL that an image would get.
func unbuilt(url string) string {
	switch {
	case url == "":
		return ""
	case strings.HasPrefix(url, "https:"):
		return NewHTTPSURL
	}
	return NewURL
}

// NewDigest is a placeholder for the digest of such an image, which depends on a salt that is made
// when it is built.
const NewDigest = "(new medium)"

// Shadow is the store of a dry run: it answers from r until a publication of
// its own covers the answer, and writes nothing.
func Shadow(r Reader) Store {
	return &shadow{Reader: r, published: map[string]Published{}, removed: map[string]bool{}}
}

type shadow struct {
	Reader
	mu        sync.Mutex
	published map[string]Published // by host
	removed   map[string]bool
}

func (s *shadow) Publish(ctx context.Context, r Request, record Record) (Published, error) {
	p, err := s.Reader.Published(ctx, r)
	var none *ErrNotBuilt
	switch {
	case errors.As(err, &none):
		p, err = s.preview(ctx, r)
	case err == nil && !s.isRemoved(r.Host):
		return p, nil
	}
	if err != nil {
		return Published{}, err
	}
	old, _ := s.Reader.Latest(r.Host)
	p.Changed = true
	w := Replacement{Action: "publish", Target: "image", Old: old.URL, New: p.URL, Digest: p.Digest, Makes: &p.Contents}
	if old.Contents.known() {
		w.Replaces = &old.Contents
	}
	if err := record(ctx, w); err != nil {
		return Published{}, err
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.published[r.Host] = p
	delete(s.removed, r.Host)
	return p, nil
}

// preview is the image that a build would make.
func (s *shadow) preview(ctx context.Context, r Request) (Published, error) {
	version, build, err := s.Reader.Source(ctx, r.Source)
	if err != nil {
		return Published{}, err
	}
	script, warnings, err := s.Reader.Preview(ctx, r)
	if err != nil {
		return Published{}, err
	}
	url, https, err := s.Reader.Addresses(r.Host, r.BMC)
	if err != nil {
		return Published{}, err
	}
	source := SourceContents{File: r.Source.Path, Version: version, Build: build, SHA256: checksum(r.Source.SHA256)}
	return Published{URL: unbuilt(url), HTTPSURL: unbuilt(https), Digest: NewDigest, Contents: Contents{Kickstart: script, Options: r.Options, Source: source},
		Version: version, Build: build, Disks: r.Disks, FirstBoot: r.firstBoot(), DryRun: !r.Installs(), Warnings: warnings}, nil
}

// Published is what this dry run published, if it did.
func (s *shadow) Published(ctx context.Context, r Request) (Published, error) {
	p, ours := s.own(r.Host)
	switch {
	case s.isRemoved(r.Host):
		return Published{}, &ErrNotBuilt{Host: r.Host, Reason: "this run removes the published image of " + r.Host + " before"}
	case ours:
		p.Changed = false
		return p, nil
	}
	return s.Reader.Published(ctx, r)
}

func (s *shadow) Latest(host string) (Published, bool) {
	if p, ok := s.own(host); ok {
		return p, true
	}
	return s.Reader.Latest(host)
}

func (s *shadow) own(host string) (Published, bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	p, ok := s.published[host]
	return p, ok
}

func (s *shadow) isRemoved(host string) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.removed[host]
}

// Holds counts what this dry run published and removed.
func (s *shadow) Holds(host string) bool {
	if _, ours := s.own(host); ours || s.isRemoved(host) {
		return !s.isRemoved(host)
	}
	return s.Reader.Holds(host)
}

// Fetch takes an image that only this dry run published for granted.
func (s *shadow) Fetch(ctx context.Context, url string) error {
	if IsNew(url) {
		return nil
	}
	return s.Reader.Fetch(ctx, url)
}

// Check considers what this dry run would have replaced or removed.
func (s *shadow) Check(ctx context.Context, host, url string) error {
	p, ours := s.own(host)
	latest, _ := s.Reader.Latest(host)
	known := IsNew(url) || latest.At(url)
	switch {
	case known && s.isRemoved(host):
		return &ErrGone{url, "this run removes it before"}
	case known && ours && !p.At(url):
		return &ErrGone{url, "this run replaces it before"}
	case IsNew(url), known && ours: // published by this run
		return nil
	}
	return s.Reader.Check(ctx, host, url)
}

// Reads reports no reads of an image that only this dry run published.
func (s *shadow) Reads(host string) (Reads, bool) {
	if _, ours := s.own(host); ours {
		return Reads{}, true
	}
	return s.Reader.Reads(host)
}

func (s *shadow) Remove(_ context.Context, host string) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.removed[host] = true
	return nil
}
