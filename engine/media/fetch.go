package media

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	neturl "net/url"
	"strings"
	"time"

	"esxiplan/engine/descriptor"
	"esxiplan/engine/media/iso"
)

// DialFunc opens a connection; it lets plan addresses be reached elsewhere.
type DialFunc func(ctx context.Context, network, address string) (net.Conn, error)

// userAgent marks our own reads, which do not prove that a BMC reads.
const userAgent = "esxiplan"

// fetcher reads images through their URL.
type fetcher struct{ client *http.Client }

var errRedirect = errors.New("the web server redirects, which BMCs do not follow")

// newFetcher does not check the certificate of a web server: nothing secret is sent,
// the answer is compared byte by byte, and BMCs do not check it either.
func newFetcher(dial DialFunc) *fetcher {
	t := &http.Transport{DialContext: dial, DisableCompression: true, MaxIdleConnsPerHost: 2, IdleConnTimeout: 10 * time.Second,
		TLSClientConfig: &tls.Config{InsecureSkipVerify: true}} // #nosec G402 -- see above
	return &fetcher{&http.Client{Transport: t, Timeout: 20 * time.Second, CheckRedirect: func(*http.Request, []*http.Request) error {
		return errRedirect
	}}}
}

// fetch demands what BMCs demand of a web server: a HEAD with the length, and
// ranges. Where the manifest has an entry, what was laid over the source is compared.
func (f *fetcher) fetch(ctx context.Context, url string, want *entry) error {
	resp, err := f.do(ctx, http.MethodHead, url, "")
	if err != nil {
		return err
	}
	if want != nil && resp.ContentLength != want.Size {
		return &ErrFetch{url, fmt.Sprintf("the web server reports a size of %d bytes, but the image has %d: it serves another folder or an older file",
			resp.ContentLength, want.Size), true}
	}
	if want == nil || len(want.Own) == 0 {
		volume := []byte("CD001")
		return f.compare(ctx, url, ownPart{16*iso.Sector + 1, int64(len(volume)), digestOf(volume)})
	}
	for _, part := range want.Own {
		if err := f.compare(ctx, url, part); err != nil {
			return err
		}
	}
	return nil
}

func (f *fetcher) compare(ctx context.Context, url string, want ownPart) error {
	end := want.Offset + want.Length - 1
	resp, err := f.do(ctx, http.MethodGet, url, fmt.Sprintf("bytes=%d-%d", want.Offset, end))
	if err != nil {
		return err
	}
	if digestOf(resp.body) != want.SHA256 {
		return &ErrFetch{url, fmt.Sprintf("bytes %d to %d are not those of the image: the web server serves another file", want.Offset, end), true}
	}
	return nil
}

type fetched struct {
	*http.Response
	body []byte
}

func (f *fetcher) do(ctx context.Context, method, url, ranges string) (fetched, error) {
	req, err := http.NewRequestWithContext(ctx, method, url, nil)
	if err != nil {
		return fetched{}, &ErrFetch{url, err.Error(), true}
	}
	req.Header.Set("User-Agent", userAgent)
	want := http.StatusOK
	if ranges != "" {
		req.Header.Set("Range", ranges)
		want = http.StatusPartialContent
	}
	resp, err := f.client.Do(req)
	if ctx.Err() != nil {
		return fetched{}, ctx.Err()
	}
	if descriptor.Exhausted(err) {
		return fetched{}, err
	}
	if err != nil {
		var inner *neturl.Error // repeats method and address
		if errors.As(err, &inner) {
			err = inner.Err
		}
		if errors.Is(err, errRedirect) {
			return fetched{}, &ErrFetch{url, err.Error(), true}
		}
		return fetched{}, &ErrFetch{url, err.Error() + "; check that the web server is running (esxiplan serve is one)", false}
	}
	defer resp.Body.Close()
	if resp.StatusCode != want {
		return fetched{}, &ErrFetch{url, refusal(resp.StatusCode, ranges != ""), resp.StatusCode < 500}
	}
	body, err := io.ReadAll(io.LimitReader(resp.Body, 8<<20))
	if err != nil {
		return fetched{}, &ErrFetch{url, err.Error(), false}
	}
	return fetched{resp, body}, nil
}

func refusal(status int, ranged bool) string {
	text := strings.TrimSpace(fmt.Sprintf("the web server answers %d %s", status, http.StatusText(status)))
	switch {
	case status == http.StatusForbidden:
		return text + ": it is not permitted to read the folder, or does not allow this client"
	case status == http.StatusNotFound:
		return text + ": the file is not there, or media.url and media.directory do not name the same folder"
	case ranged && status == http.StatusOK:
		return "the web server ignores Range requests, which BMCs need; use nginx, Apache or esxiplan serve"
	}
	return text
}
