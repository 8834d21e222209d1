package media

import (
	"context"
	"crypto/rand"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"net/url"
	"os"
	"strings"
	"time"

	"esxiplan/engine/media/iso"
	"esxiplan/engine/media/kickstart"
)

// Library is the [Store]: it makes images, remembers them in a manifest, and
// puts them on a shelf.
type Library struct {
	shelf    shelf
	manifest manifest
	sources  *sources
	now      func() time.Time
	client   *fetcher
	// simulated: addresses of the plan are reached elsewhere, and time may run scaled.
	simulated bool
}

// shelf is where images are kept: files in a folder, or the memory of a server.
type shelf interface {
	// urls are where a token's image is found; the second one, by HTTPS, may be "".
	urls(token, host, bmc string) (url, https string, err error)
	// missing says why an entry's image does not exist, or cannot be served; nil: it exists.
	missing(e entry) error
	put(e entry, image *iso.Image, source *Installer, written Written) error
	remove(e entry) error
	// reads are raw; clock is the run's, nil where it is not to be compared.
	reads(e entry, clock func() time.Time) (Reads, bool)
	// sweep removes what no entry of the manifest names, and says what.
	sweep(known map[string]bool, trial bool) ([]string, error)
}

// Options are what all kinds of stores take.
type Options struct {
	Plan string           // whose images these are
	Now  func() time.Time // the clock of the run; nil: the real one
	Dial DialFunc         // how the plan's addresses are reached; nil: as usual. Other than nil is a simulation: see [Reads]
	Dir  string           // where relative paths of sources start
	// Open opens a source that is not a placeholder, by its absolute path; nil: any regular file.
	Open  func(path string) (*os.File, error)
	Cache string // folder that remembers checksums of sources; "" forgets them
	// Placeholders are placeholders for images, by path: a rehearsal has no vendor's
	// image. Their checksums are not verified.
	Placeholders map[string]string
}

func newLibrary(s shelf, m manifest, o Options) *Library {
	if o.Now == nil {
		o.Now = time.Now
	}
	return &Library{shelf: s, manifest: m, now: o.Now, client: newFetcher(o.Dial), simulated: o.Dial != nil,
		sources: &sources{dir: o.Dir, confined: o.Open, placeholders: o.Placeholders, cache: o.Cache, open: map[string]*sourceEntry{}}}
}

func checkBaseURL(text string) error {
	u, err := url.Parse(text)
	if err != nil || u.Scheme != "http" && u.Scheme != "https" || u.Host == "" || u.RawQuery != "" || u.User != nil {
		return fmt.Errorf("media url %q must be http:// or https:// with a host and a path, without query and user: BMCs take nothing else", text)
	}
	return nil
}

// Close closes the source images.
func (l *Library) Close() { l.sources.close() }

// Source implements [Reader].
func (l *Library) Source(_ context.Context, s Source) (version, build string, err error) {
	e, err := l.sources.get(s)
	if err != nil {
		return "", "", err
	}
	return either(s.Version, e.installer.Version), either(s.Build, e.installer.Build), nil
}

func either(a, b string) string {
	if a != "" {
		return a
	}
	return b
}

// newToken returns 128 random bits in hexadecimal.
func newToken() string {
	b := make([]byte, 16)
	rand.Read(b)
	return hex.EncodeToString(b)
}

// inputs digests all that goes into an image; the password only together with
// the salt, through its slow hash.
func (r Request) inputs(sourceDigest, url string) string {
	b, _ := json.Marshal([]any{3, r.Plan, r.Host, r.BMC, sourceDigest, r.Source.Version, r.Source.Build, r.Script, r.Own, r.Options, r.Disks, url})
	sum := sha256.Sum256(b)
	return hex.EncodeToString(sum[:])
}

// Preview renders and judges the kickstart for a version of ESXi, its secrets hidden.
func (r Request) Preview(version string) (script string, warnings []string, err error) {
	text, warnings, err := r.script(version, kickstart.Sample)
	return kickstart.Hide(string(text)), warnings, err
}

// Judge finds what keeps the kickstart of a version of ESXi from being used.
func (r Request) Judge(version string) error {
	_, _, err := r.script(version, kickstart.Sample)
	return err
}

// script renders the kickstart and judges it: one with mistakes is refused.
func (r Request) script(version, hash string) (text []byte, warnings []string, err error) {
	r.Script.RootHash = hash
	if text = []byte(r.Own); r.Own == "" {
		if text, err = r.Script.Render(); err != nil {
			return nil, nil, err
		}
	}
	found := kickstart.Lint(text, kickstart.Conditions{Version: version, SecureBoot: r.SecureBoot, RootPassword: r.Own != ""})
	if mistakes := kickstart.Errors(found); len(mistakes) > 0 {
		return nil, nil, &ErrKickstart{mistakes}
	}
	for _, f := range found {
		if r.Own != "" || f.Rule == "firstboot-secure-boot" || f.Rule == "serialnum-9" {
			warnings = append(warnings, fmt.Sprintf("kickstart line %d: %s [%s]. %s %s", f.Line, f.Text, f.Rule, f.Reason, f.Remedy))
		}
	}
	if r.Own != "" && !kickstart.HasRootPassword(r.Own) {
		text = []byte(kickstart.WithRootPassword(r.Own, hash))
	}
	return text, warnings, nil
}

// Preview implements [Reader].
func (l *Library) Preview(_ context.Context, r Request) (string, []string, error) {
	source, err := l.sources.get(r.Source)
	if err != nil {
		return "", nil, err
	}
	return r.Preview(either(r.Source.Version, source.installer.Version))
}

// built is an image that was made and read back, and its entry in the manifest.
type built struct {
	entry
	source   *Installer
	image    *iso.Image
	warnings []string
}

// build makes the image with a given salt.
func (l *Library) build(r Request, salt string) (built, error) {
	source, err := l.sources.get(r.Source)
	if err != nil {
		return built{}, err
	}
	i := source.installer
	version := either(r.Source.Version, i.Version)
	script, warnings, err := r.script(version, kickstart.Crypt(r.Password, salt))
	if err != nil {
		return built{}, err
	}
	image, err := i.Personalise(script, r.Options)
	if err == nil {
		err = i.attribute(CheckImage(image, script))
	}
	if err != nil {
		return built{}, fmt.Errorf("installer image %s: %w", r.Source.Path, err)
	}
	url, https, err := l.shelf.urls("", r.Host, r.BMC)
	if err != nil {
		return built{}, err
	}
	from := SourceContents{File: r.Source.Path, Version: version, Build: either(r.Source.Build, i.Build), SHA256: source.digest}
	return built{entry{
		Schema: manifestSchema, Plan: r.Plan, Host: r.Host, BMC: r.BMC, Inputs: r.inputs(source.digest, url+" "+https), Salt: salt,
		Disks: r.Disks, FirstBoot: r.firstBoot(), DryRun: !r.Installs(), Size: image.Size(), SHA256: image.ETag(), KickstartSHA256: digestOf(script),
		Contents: r.contents(script, from, salt), Own: ownParts(image), Landmarks: i.landmarks(),
		Version: from.Version, Build: from.Build, Base: baseOf(i, source.digest),
	}, i, image, append(warnings, bootWarnings(i)...)}, nil
}

// bootWarnings are those about an image that concern every machine that is to boot it.
func bootWarnings(i *Installer) (out []string) {
	for _, w := range i.Warnings() {
		if w.ID == "boot" || w.ID == "uefi" {
			out = append(out, "the installer image: "+w.Text)
		}
	}
	return out
}

func (b built) published(changed bool) Published {
	p := b.entry.published()
	p.Changed, p.Warnings = changed, b.warnings
	return p
}

// Addresses implements [Reader].
func (l *Library) Addresses(host, bmc string) (url, https string, err error) {
	return l.shelf.urls(unbuiltToken, host, bmc)
}

// Latest implements [Reader].
func (l *Library) Latest(host string) (Published, bool) {
	e, ok := l.manifest.read(host)
	return e.published(), ok
}

// Publish implements [Store].
func (l *Library) Publish(ctx context.Context, r Request, record Record) (Published, error) {
	old, b, ok, err := l.same(r)
	var gone *errNoSource
	if errors.As(err, &gone) && old.Token != "" { // an equal one may exist nevertheless
		if p, err := l.Published(ctx, r); err == nil {
			return p, nil
		}
	}
	if err != nil {
		return Published{}, err
	}
	if ok && l.shelf.missing(b.entry) == nil {
		return b.published(false), l.note(old, b)
	}
	if !ok {
		if b, err = l.build(r, kickstart.NewSalt()); err != nil {
			return Published{}, err
		}
		b.Token, b.Built = newToken(), l.now().UTC().Truncate(time.Second)
		if b.URL, b.HTTPSURL, err = l.shelf.urls(b.Token, b.Host, r.BMC); err != nil {
			return Published{}, err
		}
	}
	if err := record(ctx, Replacement{Action: "publish", Target: "image", Old: old.URL, New: b.URL, Digest: b.SHA256}); err != nil {
		return Published{}, err
	}
	if err := l.replace(old, b, r.Written); err != nil {
		return Published{}, err
	}
	return b.published(true), nil
}

// replace writes the new image, then the manifest, then removes the old image: whenever
// it is interrupted, the manifest names an image that exists.
func (l *Library) replace(old entry, b built, written Written) error {
	if err := l.shelf.put(b.entry, b.image, b.source, written); err != nil {
		return fmt.Errorf("publish the image of %s: %w", b.Host, err)
	}
	if err := l.manifest.write(b.entry); err != nil {
		return fmt.Errorf("write the manifest of %s: %w", b.Host, err)
	}
	if old.Token != "" && old.Token != b.Token {
		return l.shelf.remove(old)
	}
	return nil
}

// note adds to the manifest what an earlier version of esxiplan did not write. It changes
// nothing that a BMC reads.
func (l *Library) note(old entry, b built) error {
	if old.Contents.known() {
		return nil
	}
	if err := l.manifest.write(b.entry); err != nil {
		return fmt.Errorf("write the manifest of %s: %w", b.Host, err)
	}
	return nil
}

// Remove implements [Store].
func (l *Library) Remove(_ context.Context, host string) error {
	e, ok := l.manifest.read(host)
	if !ok {
		return nil
	}
	return l.shelf.remove(e)
}

// Reads implements [Reader].
func (l *Library) Reads(host string) (Reads, bool) {
	e, ok := l.manifest.read(host)
	if !ok {
		return Reads{}, false
	}
	clock := l.now
	if l.simulated {
		clock = nil
	}
	r, known := l.shelf.reads(e, clock)
	return r.judge(readersOf(e.BMC, l.simulated)), known
}

// Prune removes the images of a plan's hosts that keep refuses, with their entries
// in the manifest, and what interrupted builds left behind. It says what; a trial
// removes nothing.
func (l *Library) Prune(plan string, keep func(host string) bool, trial bool) (gone []string, err error) {
	entries, err := l.manifest.all()
	if err != nil {
		return nil, fmt.Errorf("nothing was removed: %w", err)
	}
	known := map[string]bool{}
	for _, e := range entries {
		if e.Plan != plan || keep(e.Host) {
			known[e.Token] = true
			continue
		}
		gone = append(gone, "the image of "+e.Host)
		if trial {
			known[e.Token] = true
			continue
		}
		if err := errors.Join(l.shelf.remove(e), l.manifest.forget(e)); err != nil {
			return gone, err
		}
	}
	left, err := l.shelf.sweep(known, trial)
	return append(gone, left...), err
}

// fileName makes a name fit for a path and a URL: BMCs reject ? & = and more. Two
// names never become one.
func fileName(name string) string {
	fit := strings.Map(func(r rune) rune {
		if r >= 'a' && r <= 'z' || r >= 'A' && r <= 'Z' || r >= '0' && r <= '9' || r == '.' || r == '-' || r == '_' {
			return r
		}
		return '_'
	}, name)
	if fit != name {
		sum := sha256.Sum256([]byte(name))
		fit += "-" + hex.EncodeToString(sum[:4])
	}
	return fit
}
