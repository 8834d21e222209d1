package media

import (
	"context"
	"sync"
)

// NewURL stands for the URL of an image that a dry run would have to build: its
// token does not exist yet.
const NewURL = "(new image)"

// Shadow is the store of a dry run: it answers from r until a publication of
// its own covers the answer, and writes nothing.
func Shadow(r Reader) Store { return &shadow{Reader: r, published: map[string]Published{}} }

type shadow struct {
	Reader
	mu        sync.Mutex
	published map[string]Published // by host
}

func (s *shadow) Publish(ctx context.Context, r Request, record Record) (Published, error) {
	if p, ok, err := s.Reader.Published(ctx, r); ok || err != nil {
		return p, err
	}
	version, build, err := s.Reader.Source(ctx, r.Source)
	if err != nil {
		return Published{}, err
	}
	old, _ := s.Reader.Latest(r.Host)
	p := Published{URL: NewURL, Version: version, Build: build, Disks: r.Disks, FirstBoot: r.firstBoot(), Changed: true}
	script, warnings, err := s.Reader.Preview(ctx, r)
	if err != nil {
		return Published{}, err
	}
	p.Warnings = warnings
	if err := record(ctx, Write{"publish", "image", old.URL, p.URL, script}); err != nil {
		return Published{}, err
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.published[r.Host] = p
	return p, nil
}

func (s *shadow) Latest(host string) (Published, bool) {
	s.mu.Lock()
	p, ok := s.published[host]
	s.mu.Unlock()
	if ok {
		return p, true
	}
	return s.Reader.Latest(host)
}

// Fetch takes an image that only this dry run published for granted.
func (s *shadow) Fetch(ctx context.Context, url string) error {
	if url == NewURL {
		return nil
	}
	return s.Reader.Fetch(ctx, url)
}

// Reads of an image that only this dry run published are none yet.
func (s *shadow) Reads(host string) (Reads, bool) {
	s.mu.Lock()
	_, ours := s.published[host]
	s.mu.Unlock()
	if ours {
		return Reads{}, true
	}
	return s.Reader.Reads(host)
}

func (s *shadow) Remove(context.Context, string) error { return nil }
