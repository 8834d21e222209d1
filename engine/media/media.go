package media

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"time"

	"esxiplan/engine/media/kickstart"
)

// Source is an installer image as the plan names it.
type Source struct {
	Name    string // of the image block, for messages
	Path    string
	SHA256  string // demanded, or ""
	Version string // as the plan says, or ""
	Build   string
}

// Request is what a host's medium is made from.
type Request struct {
	Plan, Host string
	BMC        string // name or IP address, on the way to which this machine's own address is found
	Source     Source
	Script     kickstart.Script // RootHash empty: made from Password with the salt of the manifest
	Own        string           // somebody's own kickstart, which stands in the place of Script
	Password   string
	Options    []string // further kernel options
	SecureBoot *bool    // of the machine, nil unknown
	Disks      []string // what the kickstart installs on and clears, as the plan names it; nil: somebody's own decides
}

// firstBoot reports whether the kickstart is ours and has parts that Secure Boot would skip.
func (r Request) firstBoot() bool { return r.Own == "" && r.Script.FirstBoot() }

// Published is a per-host image that BMCs can fetch.
type Published struct {
	URL             string
	HTTPSURL        string // "" where it is not served by HTTPS beside HTTP
	Size            int64
	SHA256          string // identifies the content: digest over the source's SHA-256 and all that lies over it
	KickstartSHA256 string
	Version, Build  string   // of the source
	Disks           []string // as in [Request]
	FirstBoot       bool     // the kickstart that we wrote has parts that Secure Boot would skip
	Built           time.Time
	Changed         bool     // false: an equal one was there already
	Warnings        []string // about image and kickstart
}

// Reads is what was fetched of an image.
type Reads struct {
	Bytes int64     `json:"bytes"`
	Count int64     `json:"requests"`
	Last  time.Time `json:"last,omitzero"`
	By    string    `json:"by,omitempty"` // address of the last reader
}

// Write is a change that a store is about to make.
type Write struct {
	Action, Target, Old, New string
	Detail                   string // in a dry run: the kickstart, without its secrets
}

// Record makes a write durable before it happens; when it fails, nothing is written.
type Record func(context.Context, Write) error

// Reader is the half of the door that changes nothing.
type Reader interface {
	// Source reads what is in an installer image.
	Source(ctx context.Context, s Source) (version, build string, err error)
	// Preview renders and judges the kickstart that a request would give, its
	// secrets hidden.
	Preview(ctx context.Context, r Request) (script string, warnings []string, err error)
	// Published returns what an earlier build left for the same inputs.
	Published(ctx context.Context, r Request) (Published, bool, error)
	// Latest returns what was last published for a host, whatever its inputs.
	Latest(host string) (Published, bool)
	// Fetch reads an image through its URL as a BMC would, and compares what comes
	// with what was published there.
	Fetch(ctx context.Context, url string) error
	// Reads tells what was read of a host's image; known is false where no server
	// of ours serves it.
	Reads(host string) (r Reads, known bool)
}

// Store is the door: it makes per-host images and publishes them.
type Store interface {
	Reader
	// Publish makes the host's image reachable. It writes nothing when an equal
	// one is there.
	Publish(ctx context.Context, r Request, record Record) (Published, error)
	// Remove takes the host's image away.
	Remove(ctx context.Context, host string) error
}

// ErrFetch is an answer of the web server that no retry will change.
type ErrFetch struct {
	URL    string
	Reason string
	Final  bool // false: it could not be reached from here, which says little about the BMC
}

func (e *ErrFetch) Error() string { return fmt.Sprintf("GET %s: %s", e.URL, e.Reason) }

// Retryable makes the engine try again when the server could not be reached.
func (e *ErrFetch) Retryable() bool { return !e.Final }

// ErrNotBuilt is the answer for a host whose image nobody has built from the
// present inputs.
var ErrNotBuilt = errors.New("no image has been built for this host from the plan as it now is: run the step build_iso first")

// ErrKickstart is a kickstart with which the installation would fail or do what
// was not wanted.
type ErrKickstart struct{ Findings []kickstart.Finding }

func (e *ErrKickstart) Error() string {
	var b strings.Builder
	fmt.Fprintf(&b, "the kickstart cannot be used")
	for _, f := range e.Findings {
		fmt.Fprintf(&b, "\nline %d, column %d: %s [%s]. %s %s", f.Line, f.Column, f.Text, f.Rule, f.Reason, f.Remedy)
	}
	return b.String()
}
