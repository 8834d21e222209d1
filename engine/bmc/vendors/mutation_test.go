package vendors_test

import (
	"context"
	"encoding/json"
	"fmt"
	"hash/fnv"
	"maps"
	"math/rand/v2"
	"net"
	"net/http"
	"slices"
	"strings"
	"testing"
	"time"

	"esxiplan/engine/bmc"
)

// damaged serves a recorded tree in which some documents are broken: links dropped,
// nulls, values of another type, web pages, truncated text, links that lead in circles.
type damaged struct {
	recording
	seed  uint64
	share float64 // of the documents
	asked int
}

// mostAsked is far more than any of the drivers asks of any of the machines.
const mostAsked = 3000

func (d *damaged) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	d.asked++
	path := strings.Trim(r.URL.Path, "/")
	if r.Method == http.MethodPost && strings.HasSuffix(path, "Sessions") {
		w.Header().Set("X-Auth-Token", "recorded")
		w.Header().Set("Location", "/redfish/v1/SessionService/Sessions/1")
		w.WriteHeader(http.StatusCreated)
		return
	}
	body, err := document(d.dir, path, strings.Contains(r.URL.RawQuery, "expand"))
	if err != nil {
		http.NotFound(w, r)
		return
	}
	h := fnv.New64a()
	h.Write([]byte(path))
	random := rand.New(rand.NewPCG(d.seed, h.Sum64()))
	if random.Float64() < d.share {
		body = breakDocument(random, body)
	}
	w.Write(body)
}

func breakDocument(random *rand.Rand, body []byte) []byte {
	switch random.IntN(8) {
	case 0:
		return body[:random.IntN(len(body)+1)]
	case 1:
		return []byte("<html><body>please log in</body></html>")
	case 2:
		return []byte([]string{"null", "[]", `""`, "{}", "42", ""}[random.IntN(6)])
	}
	var doc any
	if json.Unmarshal(body, &doc) != nil {
		return body
	}
	for range 1 + random.IntN(6) {
		doc = breakValue(random, doc)
	}
	out, _ := json.Marshal(doc)
	return out
}

// breakValue breaks one value somewhere in a document.
func breakValue(random *rand.Rand, v any) any {
	odd := []any{nil, true, -1.5, 1e300, "", "x", "/redfish/v1/Systems", "http://192.0.2.1/", "%zz", []any{}, map[string]any{}, []any{nil, 1.0, "a"}}
	switch v := v.(type) {
	case map[string]any:
		if len(v) == 0 {
			return odd[random.IntN(len(odd))]
		}
		keys := slices.Sorted(maps.Keys(v))
		key := keys[random.IntN(len(keys))]
		switch random.IntN(4) {
		case 0:
			delete(v, key)
		case 1:
			v["Members@odata.nextLink"] = "/redfish/v1/Systems?page=" + fmt.Sprint(random.IntN(3))
		default:
			v[key] = breakValue(random, v[key])
		}
		return v
	case []any:
		if len(v) == 0 || random.IntN(3) == 0 {
			return odd[random.IntN(len(odd))]
		}
		i := random.IntN(len(v))
		v[i] = breakValue(random, v[i])
		return v
	}
	return odd[random.IntN(len(odd))]
}

// pipes is a listener whose connections stay inside of the process.
type pipes struct {
	conns chan net.Conn
	done  chan struct{}
}

func (p pipes) Accept() (net.Conn, error) {
	select {
	case c := <-p.conns:
		return c, nil
	case <-p.done:
		return nil, net.ErrClosed
	}
}
func (p pipes) Close() error   { close(p.done); return nil }
func (p pipes) Addr() net.Addr { return &net.UnixAddr{} }
func (p pipes) dial(ctx context.Context, _, _ string) (net.Conn, error) {
	near, far := net.Pipe()
	select {
	case p.conns <- far:
		return near, nil
	case <-ctx.Done():
		return nil, ctx.Err()
	}
}

// readDamaged reads a damaged machine: no panic, no endless loop, nothing written.
// What is wrong is said, or is unknown.
func readDamaged(t testing.TB, d *damaged) {
	t.Helper()
	p := pipes{make(chan net.Conn), make(chan struct{})}
	s := &http.Server{Handler: d, ReadHeaderTimeout: time.Minute}
	go s.Serve(p)
	defer s.Close()
	ctx, cancel := context.WithTimeout(t.Context(), 20*time.Second)
	defer cancel()
	c := reader(t, bmc.Options{Address: "http://192.0.2.9", System: systems[d.name], Dial: p.dial})
	text := summary(ctx, c)
	c.Close(ctx)
	if ctx.Err() != nil || d.asked > mostAsked {
		t.Errorf("%s seed %d: no end after %d requests", d.name, d.seed, d.asked)
	}
	for line := range strings.Lines(text) {
		if strings.Contains(line, "error: ") && len(strings.TrimSpace(line)) < 30 {
			t.Errorf("%s seed %d: %q says too little", d.name, d.seed, line)
		}
	}
}

func TestDamagedRecordings(t *testing.T) {
	for _, m := range recordings(t) {
		t.Run(m.name, func(t *testing.T) {
			t.Parallel()
			for seed := range uint64(60) {
				readDamaged(t, &damaged{recording: m, seed: seed, share: 0.02 + 0.1*float64(seed%8)})
			}
		})
	}
}

func FuzzDamagedRecordings(f *testing.F) {
	machines := recordings(f)
	f.Add(uint8(0), uint64(1), uint8(20))
	f.Fuzz(func(t *testing.T, machine uint8, seed uint64, share uint8) {
		readDamaged(t, &damaged{recording: machines[int(machine)%len(machines)], seed: seed, share: float64(share) / 255})
	})
}
