package twin

import (
	"context"
	"crypto/tls"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"net/http"
	"strings"
	"time"
)

const (
	sector    = 2048
	readAhead = 64 << 10
)

// disc is a mounted image, read with a little reading ahead.
type disc struct {
	size  int64
	fetch func(off int64) ([]byte, error) // some bytes from there on
	at    int64
	block []byte
}

// webDisc reads an image over HTTP by ranges, like a BMC that keeps nothing. The
// server must give the length and keep to ranges.
func webDisc(ctx context.Context, client *http.Client, url string) (*disc, error) {
	if !strings.HasSuffix(url, ".iso") || strings.ContainsAny(url, "?&=") {
		return nil, fmt.Errorf("the URL must end in .iso and hold no ? & =")
	}
	resp, err := request(ctx, client, http.MethodHead, url, "")
	if err != nil {
		return nil, err
	}
	resp.Body.Close()
	if resp.StatusCode != http.StatusOK || resp.ContentLength <= 0 {
		return nil, fmt.Errorf("HEAD %s: %s, length %d", url, resp.Status, resp.ContentLength)
	}
	d := &disc{size: resp.ContentLength}
	d.fetch = func(off int64) ([]byte, error) {
		resp, err := request(ctx, client, http.MethodGet, url, fmt.Sprintf("bytes=%d-%d", off, min(off+readAhead, d.size)-1))
		if err != nil {
			return nil, err
		}
		defer resp.Body.Close()
		if resp.StatusCode != http.StatusPartialContent {
			return nil, fmt.Errorf("GET %s by range: %s", url, resp.Status)
		}
		return io.ReadAll(io.LimitReader(resp.Body, readAhead))
	}
	return d, nil
}

// request is one of a BMC.
func request(ctx context.Context, client *http.Client, method, url, byRange string) (*http.Response, error) {
	req, err := http.NewRequestWithContext(ctx, method, url, nil)
	if err != nil {
		return nil, err
	}
	req.Header.Set("User-Agent", "BMC virtual media")
	if byRange != "" {
		req.Header.Set("Range", byRange)
	}
	return client.Do(req)
}

func (d *disc) read(off int64, n int64) ([]byte, error) {
	if off < 0 || n < 0 || n > 8<<20 || off+n > d.size {
		return nil, fmt.Errorf("read of %d bytes at %d of a disc of %d", n, off, d.size)
	}
	out := make([]byte, 0, n)
	for int64(len(out)) < n {
		want := off + int64(len(out))
		if want < d.at || want >= d.at+int64(len(d.block)) {
			block, err := d.fetch(want)
			if err != nil {
				return nil, err
			}
			if len(block) == 0 {
				return nil, io.ErrUnexpectedEOF
			}
			d.at, d.block = want, block
		}
		from := d.block[want-d.at:]
		out = append(out, from[:min(int64(len(from)), n-int64(len(out)))]...)
	}
	return out, nil
}

func (d *disc) sector(lba int64) ([]byte, error) { return d.read(lba*sector, sector) }

// bootable is what firmware reads: the place of a partition table, the boot record, the
// El Torito catalog, and of its entry for UEFI the beginning of the boot image.
func (d *disc) bootable() error {
	if _, err := d.sector(0); err != nil {
		return err
	}
	s, err := d.sector(17)
	if err != nil {
		return err
	}
	if !strings.HasPrefix(string(s[7:]), "EL TORITO SPECIFICATION") {
		return errors.New("the disc has no boot record")
	}
	catalog, err := d.sector(int64(binary.LittleEndian.Uint32(s[71:])))
	if err != nil {
		return err
	}
	for at := 32; at+64 <= len(catalog); at += 32 {
		if (catalog[at] == 0x90 || catalog[at] == 0x91) && catalog[at+1] == 0xEF && catalog[at+32] == 0x88 {
			_, err := d.sector(int64(binary.LittleEndian.Uint32(catalog[at+40:])))
			return err
		}
	}
	return errors.New("the disc has no boot entry for UEFI")
}

// file reads a file of the primary tree, as ESXi's loader does: no Rock Ridge, no
// Joliet, names without regard to case, version and trailing dot cut, little-endian
// numbers, one extent.
func (d *disc) file(path string) ([]byte, error) {
	record, err := d.lookup(path)
	if err != nil {
		return nil, err
	}
	return d.extent(record)
}

func (d *disc) lookup(path string) ([]byte, error) {
	s, err := d.sector(16)
	if err != nil {
		return nil, err
	}
	if string(s[1:6]) != "CD001" || s[0] != 1 {
		return nil, errors.New("the disc is no ISO 9660 volume")
	}
	record := s[156:190]
	for part := range strings.SplitSeq(strings.Trim(path, "/"), "/") {
		if record, err = d.find(record, part); err != nil {
			return nil, fmt.Errorf("%s: %w", path, err)
		}
	}
	return record, nil
}

// present reads the beginning and the end of a file: modules have hundreds of MB.
func (d *disc) present(path string) error {
	record, err := d.lookup(path)
	if err != nil {
		return err
	}
	at, size := int64(binary.LittleEndian.Uint32(record[2:]))*sector, int64(binary.LittleEndian.Uint32(record[10:]))
	if _, err = d.read(at, min(size, sector)); err == nil && size > sector {
		_, err = d.read(at+size-sector, sector)
	}
	return err
}

func (d *disc) extent(record []byte) ([]byte, error) {
	return d.read(int64(binary.LittleEndian.Uint32(record[2:]))*sector, int64(binary.LittleEndian.Uint32(record[10:])))
}

func (d *disc) find(directory []byte, name string) ([]byte, error) {
	data, err := d.extent(directory)
	if err != nil {
		return nil, err
	}
	for at := 0; at < len(data); {
		n := int(data[at])
		if n == 0 {
			at = (at/sector + 1) * sector
			continue
		}
		if at+n > len(data) || n < 34 {
			return nil, errors.New("broken directory")
		}
		r := data[at : at+n]
		id, _, _ := strings.Cut(string(r[33:33+min(int(r[32]), n-33)]), ";")
		if strings.EqualFold(strings.TrimSuffix(id, "."), name) {
			return r, nil
		}
		at += n
	}
	return nil, errors.New("no such file")
}

// loaded is what the boot loader passes on.
type loaded struct {
	options []string // of the kernel
	build   string
}

// load is the boot loader: it reads boot.cfg, the modules and the kernel.
func (d *disc) load() (loaded, error) {
	data, err := d.file("/EFI/BOOT/BOOT.CFG")
	if err != nil {
		return loaded{}, err
	}
	values := map[string]string{}
	for line := range strings.SplitSeq(string(data), "\n") {
		if key, value, ok := strings.Cut(line, "="); ok && !strings.HasPrefix(line, "#") {
			values[strings.ToLower(strings.TrimSpace(key))] = strings.TrimSpace(value)
		}
	}
	modules := append(strings.Split(values["modules"], "---"), values["kernel"])
	for _, name := range modules {
		if err := d.present(strings.TrimSpace(name)); err != nil {
			return loaded{}, err
		}
	}
	return loaded{strings.Fields(values["kernelopt"]), values["build"]}, nil
}

// discClient does not check certificates: BMCs do not by default.
func discClient(dial dialFunc) *http.Client {
	return &http.Client{Timeout: 20 * time.Second, Transport: &http.Transport{DialContext: dial,
		TLSClientConfig: &tls.Config{InsecureSkipVerify: true}, MaxIdleConnsPerHost: 1, IdleConnTimeout: 5 * time.Second},
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }}
}
