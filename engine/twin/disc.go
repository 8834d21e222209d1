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

// disc is a mounted image, read over HTTP as a BMC does: by ranges, with a
// little reading ahead.
type disc struct {
	ctx    context.Context
	client *http.Client
	url    string
	size   int64
	at     int64
	block  []byte
}

// insertDisc is what a BMC does when it mounts an image: HEAD, then the first
// blocks by a range. The server must give the length and keep to ranges.
func insertDisc(ctx context.Context, client *http.Client, url string) (*disc, error) {
	if !strings.HasSuffix(url, ".iso") || strings.ContainsAny(url, "?&=") {
		return nil, fmt.Errorf("the URL must end in .iso and hold no ? & =")
	}
	req, err := http.NewRequestWithContext(ctx, http.MethodHead, url, nil)
	if err != nil {
		return nil, err
	}
	req.Header.Set("User-Agent", "BMC virtual media")
	resp, err := client.Do(req)
	if err != nil {
		return nil, err
	}
	resp.Body.Close()
	if resp.StatusCode != http.StatusOK || resp.ContentLength <= 0 {
		return nil, fmt.Errorf("HEAD %s: %s, length %d", url, resp.Status, resp.ContentLength)
	}
	d := &disc{ctx: ctx, client: client, url: url, size: resp.ContentLength, at: -1}
	_, err = d.sector(16)
	return d, err
}

func (d *disc) load(off int64) error {
	end := min(off+readAhead, d.size) - 1
	req, err := http.NewRequestWithContext(d.ctx, http.MethodGet, d.url, nil)
	if err != nil {
		return err
	}
	req.Header.Set("User-Agent", "BMC virtual media")
	req.Header.Set("Range", fmt.Sprintf("bytes=%d-%d", off, end))
	resp, err := d.client.Do(req)
	if err != nil {
		return err
	}
	defer resp.Body.Close()
	if resp.StatusCode != http.StatusPartialContent {
		return fmt.Errorf("GET %s by range: %s", d.url, resp.Status)
	}
	d.block, err = io.ReadAll(io.LimitReader(resp.Body, readAhead))
	d.at = off
	return err
}

func (d *disc) read(off int64, n int64) ([]byte, error) {
	if off < 0 || n < 0 || n > 8<<20 || off+n > d.size {
		return nil, fmt.Errorf("read of %d bytes at %d of a disc of %d", n, off, d.size)
	}
	out := make([]byte, 0, n)
	for int64(len(out)) < n {
		want := off + int64(len(out))
		if d.at < 0 || want < d.at || want >= d.at+int64(len(d.block)) {
			if err := d.load(want); err != nil {
				return nil, err
			}
			if len(d.block) == 0 {
				return nil, io.ErrUnexpectedEOF
			}
		}
		from := d.block[want-d.at:]
		out = append(out, from[:min(int64(len(from)), n-int64(len(out)))]...)
	}
	return out, nil
}

func (d *disc) sector(lba int64) ([]byte, error) { return d.read(lba*sector, sector) }

// bootable reads the El Torito catalog and demands an entry for UEFI whose image
// lies on the disc.
func (d *disc) bootable() error {
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

// bootOptions reads what the loader reads: kernel options and modules.
func (d *disc) bootOptions() (options []string, modules []string, build string, err error) {
	data, err := d.file("/EFI/BOOT/BOOT.CFG")
	if err != nil {
		return nil, nil, "", err
	}
	values := map[string]string{}
	for line := range strings.SplitSeq(string(data), "\n") {
		if key, value, ok := strings.Cut(line, "="); ok && !strings.HasPrefix(line, "#") {
			values[strings.ToLower(strings.TrimSpace(key))] = strings.TrimSpace(value)
		}
	}
	for module := range strings.SplitSeq(values["modules"], "---") {
		modules = append(modules, strings.TrimSpace(module))
	}
	return strings.Fields(values["kernelopt"]), append(modules, values["kernel"]), values["build"], nil
}

// discClient does not check certificates: BMCs do not, unless told to.
func discClient(dial dialFunc) *http.Client {
	return &http.Client{Timeout: 20 * time.Second, Transport: &http.Transport{DialContext: dial, TLSClientConfig: &tls.Config{InsecureSkipVerify: true}, MaxIdleConnsPerHost: 1, IdleConnTimeout: 5 * time.Second},
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }}
}
