package notify

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"time"

	"esxiplan/engine/text"
)

// How often, and for how long, it is tried to deliver a message.
const (
	firstPause   = time.Second
	longestPause = time.Minute
	deliverFor   = 2 * time.Minute
)

// mostAnswered is how much of an answer is read.
const mostAnswered = 4 << 10

// client sends the requests of one target.
type client struct {
	target Target
	http   *http.Client
	mask   func(string) string
}

func newClient(t Target, mask func(string) string) *client {
	transport := t.Transport
	if transport == nil {
		transport = &http.Transport{Proxy: http.ProxyFromEnvironment, TLSClientConfig: t.TLS, ForceAttemptHTTP2: true,
			MaxResponseHeaderBytes: 64 << 10, IdleConnTimeout: longestPause, TLSHandshakeTimeout: t.Timeout}
	}
	return &client{target: t, mask: mask, http: &http.Client{Transport: transport,
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }}}
}

func (c *client) close() { c.http.CloseIdleConnections() }

// refusal is an answer that does not take the message.
type refusal struct {
	status int
	said   string        // by the server
	after  time.Duration // that the server asks to wait
}

func (r *refusal) Error() string {
	text := fmt.Sprintf("the server answered %d %s", r.status, http.StatusText(r.status))
	switch {
	case r.status >= 300 && r.status < 400:
		return strings.TrimSpace(text) + ": it redirects elsewhere, which is not followed; give the final address in url"
	case r.said != "":
		return strings.TrimSpace(text) + ": " + r.said
	}
	return strings.TrimSpace(text)
}

// final reports an answer that the same request would get again.
func (r *refusal) final() bool {
	return r.status < 500 && r.status != http.StatusTooManyRequests && r.status != http.StatusRequestTimeout
}

// try sends a body once.
func (c *client) try(ctx context.Context, id string, body []byte) error {
	ctx, cancel := context.WithTimeout(ctx, c.target.Timeout)
	defer cancel()
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, c.target.URL, bytes.NewReader(body))
	if err != nil {
		return errors.New("url is not an address")
	}
	for name, value := range c.target.Headers {
		req.Header.Set(name, value)
	}
	req.Header.Set("Content-Type", "application/json; charset=utf-8")
	req.Header.Set("User-Agent", "esxiplan")
	req.Header.Set(DeliveryHeader, id)
	if c.target.Secret != "" {
		req.Header.Set(SignatureHeader, sign(c.target.Secret, body, time.Now()))
	}
	resp, err := c.http.Do(req)
	if err != nil {
		return c.unsent(err)
	}
	defer resp.Body.Close()
	return c.judge(resp)
}

// unsent is why there was no answer, without the URL.
func (c *client) unsent(err error) error {
	var inURL *url.Error
	if errors.As(err, &inURL) {
		err = inURL.Err
	}
	switch {
	case errors.Is(err, context.DeadlineExceeded):
		return fmt.Errorf("no answer within %s", text.Duration(c.target.Timeout))
	case errors.Is(err, context.Canceled):
		return errors.New("no answer before the run ended")
	}
	return errors.New(c.quote(err.Error(), 300))
}

// quote is a text of the server or of the network, at most n characters long. It is masked
// before it is shortened: of a secret that is cut through the mask would not know the rest.
func (c *client) quote(said string, n int) string {
	return text.Short(c.mask(strings.TrimSpace(said)), n)
}

// answered is what a server answered. The ellipsis behind an answer that is not read to its end
// is the mark by which a secret that is cut off there is found.
func answered(body io.Reader) string {
	said, _ := io.ReadAll(io.LimitReader(body, mostAnswered+1))
	if len(said) > mostAnswered {
		return string(said[:mostAnswered]) + "…"
	}
	return string(said)
}

func (c *client) judge(resp *http.Response) error {
	said := answered(resp.Body)
	if resp.StatusCode >= 200 && resp.StatusCode < 300 {
		return nil
	}
	return &refusal{status: resp.StatusCode, said: c.quote(said, 200), after: retryAfter(resp.Header.Get("Retry-After"), time.Now())}
}

// retryAfter reads a number of seconds, or a date.
func retryAfter(value string, now time.Time) time.Duration {
	if seconds, err := strconv.Atoi(strings.TrimSpace(value)); err == nil {
		return min(deliverFor, max(0, time.Duration(min(seconds, int(deliverFor/time.Second)))*time.Second))
	}
	if at, err := http.ParseTime(value); err == nil {
		return min(deliverFor, max(0, at.Sub(now)))
	}
	return 0
}

// pause is how long to wait after an attempt that failed, the first one being 1. It varies, so
// that several processes do not knock at once.
func pause(attempt int, err error) time.Duration {
	var r *refusal
	if errors.As(err, &r) && r.after > 0 {
		return r.after
	}
	d := min(longestPause, firstPause<<min(attempt-1, 10))
	return d/2 + rand.N(d/2) // #nosec G404 -- it spreads load, and hides nothing
}

// final reports an error that no further attempt would mend.
func final(err error) bool {
	var r *refusal
	return errors.As(err, &r) && r.final()
}
