package media

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"

	"esxiplan/engine/descriptor"
	"esxiplan/engine/media/kickstart"
)

// same builds the image again with the salt of the manifest and reports whether
// the manifest still describes it.
func (l *Library) same(r Request) (old entry, b built, ok bool, err error) {
	old, ok, err = l.manifest.find(r.Host)
	if !ok || err != nil {
		return entry{}, built{}, false, err
	}
	b, err = l.build(r, old.Salt)
	if err != nil || b.Inputs != old.Inputs || b.SHA256 != old.SHA256 {
		return old, b, false, err
	}
	return old, b.as(old), true, nil
}

// as is the image under its entry in the manifest. The source has the same content, but
// may be elsewhere now. What earlier versions did not note is added.
func (b built) as(old entry) built {
	now := b.entry
	b.entry = old
	b.Base, b.Contents, b.Own, b.Landmarks = now.Base, now.Contents, now.Own, now.Landmarks
	return b
}

// Published implements [Reader].
func (l *Library) Published(_ context.Context, r Request) (Published, error) {
	old, b, ok, err := l.same(r)
	var gone *errNoSource
	switch {
	case errors.As(err, &gone):
		if b, err = l.recognise(old, r, gone); err != nil {
			return Published{}, err
		}
	case err != nil:
		return Published{}, err
	case old.Token == "":
		return Published{}, &ErrNotBuilt{Host: r.Host}
	case !ok:
		return Published{}, &ErrNotBuilt{Host: r.Host, Differs: orUnseen(l.differences(old, r, b.Contents))}
	}
	switch err := l.shelf.missing(b.entry); {
	case descriptor.Exhausted(err):
		return Published{}, err
	case err != nil:
		return Published{}, &ErrNotBuilt{Host: r.Host, Reason: fmt.Sprintf("the published image %s is gone: %v", b.URL, err)}
	}
	return b.published(false), nil
}

// recognise compares a request with the manifest if the source image cannot be read: on a
// machine other than the one that built it.
func (l *Library) recognise(old entry, r Request, gone *errNoSource) (built, error) {
	if !old.Contents.known() {
		return built{}, fmt.Errorf("%w; without it the image that was published for %s cannot be compared with the plan, "+
			"because an earlier version of esxiplan built it: %s, or run where the installer image is", gone, r.Host, remedy)
	}
	from := SourceContents{File: r.Source.Path, Version: r.Source.Version, Build: r.Source.Build, SHA256: checksum(r.Source.SHA256)}
	if before := old.Contents.Source; from.SHA256 == "" && !before.is(SourceContents{File: from.File}) {
		return built{}, fmt.Errorf("%w; the image that was published for %s was made from %s: correct the path, or give the image's sha256", gone,
			r.Host, before.File)
	}
	script, warnings, err := r.script(either(r.Source.Version, old.Version), kickstart.Crypt(r.Password, old.Salt))
	if err != nil {
		return built{}, err
	}
	differs := l.differences(old, r, r.contents(script, from, old.Salt))
	url, https, err := l.shelf.urls("", r.Host, r.BMC)
	if err != nil {
		return built{}, err
	}
	if len(differs) > 0 || r.inputs(old.Base.SHA256, url+" "+https) != old.Inputs {
		return built{}, &ErrNotBuilt{Host: r.Host, Differs: orUnseen(differs)}
	}
	return built{entry: old, warnings: warnings}, nil
}

// orUnseen names what differs if no difference can be shown.
func orUnseen(differs []string) []string {
	if len(differs) == 0 {
		return []string{"inputs that do not show in the kickstart, such as version or build of the image block; or another version of esxiplan built it"}
	}
	return differs
}

// differences says in words what differs between what was built and what a request gives
// now.
func (l *Library) differences(old entry, r Request, now Contents) []string {
	var out []string
	if url, https, err := l.shelf.urls(old.Token, r.Host, r.BMC); err == nil && (url != old.URL || https != old.HTTPSURL) {
		out = append(out, fmt.Sprintf("address under which it is served: %s before, %s now", withoutFile(old.URL), withoutFile(url)))
	}
	if old.BMC != r.BMC {
		out = append(out, fmt.Sprintf("BMC that may read it: %s before, %s in the plan", old.BMC, r.BMC))
	}
	if !old.Contents.known() {
		return append(out, "what else differs is not known, because an earlier version of esxiplan built it")
	}
	rest := old.Contents.differences(now)
	if old.Disks != nil && r.Disks != nil && !slices.Equal(old.Disks, r.Disks) {
		out = append(out, fmt.Sprintf("disk: %s on the medium, %s in the plan", strings.Join(old.Disks, ", "), strings.Join(r.Disks, ", ")))
		rest = slices.DeleteFunc(rest, kickstart.NamesDisks)
	}
	return append(out, rest...)
}

// withoutFile is a URL without token and file name.
func withoutFile(url string) string {
	if m := publishedPath.FindStringSubmatchIndex(url); m != nil {
		return url[:m[2]]
	}
	return url
}

// Fetch implements [Reader].
func (l *Library) Fetch(ctx context.Context, url string) error {
	if m := publishedPath.FindStringSubmatch(url); m != nil {
		e, _, err := l.manifest.byToken(m[1], m[2])
		switch {
		case descriptor.Exhausted(err):
			return err
		case err == nil && e.at(url):
			return l.client.fetch(ctx, url, &e)
		}
	}
	return l.client.fetch(ctx, url, nil)
}

// Holds implements [Reader].
func (l *Library) Holds(host string) bool {
	e, ok := l.manifest.read(host)
	return ok && l.shelf.missing(e) == nil
}

// Check implements [Reader].
func (l *Library) Check(ctx context.Context, host, url string) error {
	m := publishedPath.FindStringSubmatch(url)
	if m == nil || m[2] != fileName(host) {
		return l.Fetch(ctx, url)
	}
	e, ok, err := l.manifest.find(host)
	switch {
	case err != nil:
		return err
	case ok && e.at(url):
		if err := l.shelf.missing(e); descriptor.Exhausted(err) {
			return err
		} else if err != nil {
			return &ErrGone{url, err.Error()}
		}
	case !l.publishes(m[1], host, e.BMC, url): // another server's, of the same form
	case ok:
		return &ErrGone{url, "another one was published for " + host + " since"}
	default:
		return &ErrGone{url, "the manifest has no entry for " + host}
	}
	return l.Fetch(ctx, url)
}

// publishes reports whether a URL is one that this library would give to a host's BMC.
func (l *Library) publishes(token, host, bmc, url string) bool {
	a, b, err := l.shelf.urls(token, host, bmc)
	return err == nil && (url == a || url == b)
}
