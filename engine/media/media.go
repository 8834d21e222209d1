package media

import (
	"context"
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
	Own        string           // a user's own kickstart, used in place of Script
	Password   string
	Options    []string // further kernel options
	SecureBoot *bool    // of the machine, nil unknown
	Disks      []string // what the kickstart installs on and clears, as the plan names it; nil: a user's own kickstart decides
	Written    Written  // while a whole image is written; nil: no one wants to know
}

// firstBoot reports whether the kickstart is ours and has parts that Secure Boot would skip.
func (r Request) firstBoot() bool { return r.Own == "" && r.Script.FirstBoot() }

// Installs reports whether a machine that boots the medium is installed: a kickstart with
// dryrun makes the installer check everything and write nothing.
func (r Request) Installs() bool {
	if r.Own != "" {
		return !kickstart.HasDryRun(r.Own)
	}
	return !r.Script.DryRun
}

// Published is a per-host image that BMCs can fetch.
type Published struct {
	URL      string
	HTTPSURL string // "" if it is not served by both HTTPS and HTTP
	Size     int64
	// Digest is of all that is on the medium: the source's SHA-256 and everything that is laid
	// over it, the kickstart with the password's hash and both boot.cfg included.
	Digest          string
	KickstartSHA256 string
	Contents        Contents // what is on the medium, to be shown and compared
	Version, Build  string   // of the source
	Disks           []string // as in [Request]
	FirstBoot       bool     // the kickstart that we wrote has parts that Secure Boot would skip
	DryRun          bool     // the installer checks everything and installs nothing
	Built           time.Time
	Changed         bool     // false: an equal one was there already
	Warnings        []string // about image and kickstart
}

// At reports whether a URL is one of the image's.
func (p Published) At(url string) bool { return url != "" && (url == p.URL || url == p.HTTPSURL) }

// Replacement is what a store is about to do with a host's image: the new one replaces
// the old one, if there is one.
type Replacement struct {
	Action, Target, Old, New string
	Digest                   string // of the medium that is published, as in [Published]
	// Makes is what is on the new one, and Replaces what is on the one that was published last,
	// nil without one; both only in a dry run, for people.
	Makes, Replaces *Contents
}

// Record makes a replacement durable before it happens; when it fails, nothing is written.
type Record func(context.Context, Replacement) error

// Reader is the half of the door that changes nothing.
type Reader interface {
	// Source reads what is in an installer image.
	Source(ctx context.Context, s Source) (version, build string, err error)
	// Preview renders and judges the kickstart that a request would give, its
	// secrets hidden.
	Preview(ctx context.Context, r Request) (script string, warnings []string, err error)
	// Published returns what an earlier build left for the same inputs, and [ErrNotBuilt]
	// if there is no such image, or it is gone. It needs the source image only if
	// the manifest does not say enough.
	Published(ctx context.Context, r Request) (Published, error)
	// Addresses are the URLs under which the host's next image will be published for its BMC,
	// as [Published] names them, with a placeholder for the token, which is made with the image.
	Addresses(host, bmc string) (url, https string, err error)
	// Latest returns what was last published for a host, whatever its inputs.
	Latest(host string) (Published, bool)
	// Fetch reads an image through its URL as a BMC would, and compares what comes
	// with what was published there.
	Fetch(ctx context.Context, url string) error
	// Check first makes sure that url still names what was published for the host, and that
	// it still exists, else it returns [ErrGone]; then it does what Fetch does. A URL that
	// is not ours it only fetches.
	Check(ctx context.Context, host, url string) error
	// Holds reports whether the image that was last published for a host is still there.
	Holds(host string) bool
	// Reads returns what was read of a host's image; known is false if none of our
	// servers serves it.
	Reads(host string) (r Reads, known bool)
}

// Store is the door: it makes per-host images and publishes them.
type Store interface {
	Reader
	// Publish makes the host's image reachable. It writes nothing when an equal
	// one is there.
	Publish(ctx context.Context, r Request, record Record) (Published, error)
	// Remove removes the host's image. Its entry in the manifest stays, so that the same
	// inputs give the same URL again.
	Remove(ctx context.Context, host string) error
}
