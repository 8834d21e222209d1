package media

import "context"

// Fetch implements [Reader].
func (l *Library) Fetch(ctx context.Context, url string) error {
	if m := publishedPath.FindStringSubmatch(url); m != nil {
		if e, _, ok := l.manifest.byToken(m[1], m[2]); ok && e.at(url) {
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
	e, ok := l.manifest.read(host)
	switch {
	case ok && e.at(url):
		if err := l.shelf.missing(e); err != nil {
			return &ErrGone{url, err.Error()}
		}
	case !l.publishes(m[1], host, e.BMC, url): // somebody else's, of the same form
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
