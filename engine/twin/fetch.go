package twin

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"time"

	"esxiplan/engine/bmc/bmcsim"
)

// How long a BMC reads of an image when it is mounted, in real time.
const (
	checkTakes = 20 * time.Second
	fetchTakes = 10 * time.Minute
)

// medium is an image that the BMC fetched whole: the machine reads that copy.
type medium struct {
	url  string
	copy *copied
}

// check mounts an image as most BMCs do: HEAD, then the first blocks by a range.
func (m *Machine) check(url string) error {
	ctx, cancel := context.WithTimeout(m.ctx, checkTakes)
	defer cancel()
	d, err := webDisc(ctx, m.client, url)
	if err == nil {
		_, err = d.sector(16)
	}
	return err
}

// fetch mounts an image like a BMC that keeps a copy: one GET without a range. It keeps
// what came before the connection broke, because such a BMC compares no length.
func (m *Machine) fetch(url string, half bool) error {
	ctx, cancel := context.WithTimeout(m.ctx, fetchTakes)
	defer cancel()
	client := m.fleet.fetchClient(half)
	defer client.CloseIdleConnections()
	resp, err := request(ctx, client, http.MethodGet, url, "")
	if err != nil {
		return err
	}
	defer resp.Body.Close()
	if resp.StatusCode >= 400 {
		return bmcsim.FetchStatus(resp.StatusCode)
	}
	var body io.Reader = resp.Body
	if half {
		if resp.ContentLength < 2 {
			return fmt.Errorf("GET %s: the web server gives no length, of which half could be read", url)
		}
		body = io.LimitReader(body, resp.ContentLength/2)
	}
	c, err := m.fleet.copies.keep(body)
	ended := ctx.Err() != nil
	cancel() // breaks a connection that was not read to its end; closing the body would read on
	var lost *errStore
	if errors.As(err, &lost) || err != nil && (c.size == 0 || ended) {
		return err
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	m.medium = &medium{url, c}
	return nil
}

// fetchClient follows redirects, as the libraries of such BMCs do.
func (f *Fleet) fetchClient(half bool) *http.Client {
	client := discClient(f.dialMedia)
	if half && f.o.Network == nil {
		client = discClient(dialer(f.o.Media, &net.Dialer{Control: narrow}))
	}
	client.Timeout, client.CheckRedirect = 0, nil
	return client
}

// insertedDisc is the disc in the drive, as the machine sees it after a restart: nothing
// of it is known yet. It ends when it is ejected.
func (m *Machine) insertedDisc(url string) (*disc, error) {
	d, err := m.openDisc(url)
	if err != nil {
		return nil, err
	}
	fetch := d.fetch
	d.fetch = func(off int64) ([]byte, error) {
		if !m.BMC.Holds(url) {
			return nil, errors.New("the medium was taken out")
		}
		return fetch(off)
	}
	return d, nil
}

func (m *Machine) openDisc(url string) (*disc, error) {
	if !m.profile.Prefetches {
		return webDisc(m.ctx, m.client, url)
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.medium == nil || m.medium.url != url {
		return nil, fmt.Errorf("the BMC has no copy of %s", url)
	}
	return m.medium.copy.disc(), nil
}
