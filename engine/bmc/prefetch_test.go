package bmc

import (
	"context"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"
	"time"
)

// box is a BMC of a few documents, which a test changes.
type box struct {
	*httptest.Server
	mu     sync.Mutex
	files  map[string]string
	fails  map[string]int // HTTP status with which a document fails
	slow   map[string]time.Duration
	asked  []string
	basics int // requests that bore a password
}

func newBox(t *testing.T, expands bool) *box {
	b := &box{fails: map[string]int{}, slow: map[string]time.Duration{}, files: map[string]string{
		"/redfish/v1/":                 fmt.Sprintf(`{"Systems":{"@odata.id":"/redfish/v1/Systems"},"ProtocolFeaturesSupported":{"ExpandQuery":{"NoLinks":%t}}}`, expands),
		"/redfish/v1/Systems":          `{"Members":[{"@odata.id":"/redfish/v1/Systems/1"}]}`,
		"/redfish/v1/Systems/1":        `{"@odata.id":"/redfish/v1/Systems/1","Id":"1","PowerState":"On","Boot":{"BootSourceOverrideEnabled":"Disabled","BootSourceOverrideTarget":"None"},"Storage":{"@odata.id":"/redfish/v1/Systems/1/Storage"},"SecureBoot":{"@odata.id":"/redfish/v1/Systems/1/SecureBoot"},"EthernetInterfaces":{"@odata.id":"/redfish/v1/Systems/1/NICs"},"Links":{"ManagedBy":[{"@odata.id":"/redfish/v1/Managers/1"}]}}`,
		"/redfish/v1/Managers/1":       `{"VirtualMedia":{"@odata.id":"/redfish/v1/Managers/1/Media"}}`,
		"/redfish/v1/Managers/1/Media": `{"Members":[]}`,
	}}
	b.Server = httptest.NewServer(b)
	t.Cleanup(b.Close)
	return b
}

func (b *box) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	b.mu.Lock()
	uri, delay := r.URL.Path, b.slow[r.URL.Path]
	if r.URL.RawQuery != "" {
		uri += "?"
	}
	body, there := b.files[uri]
	status := b.fails[uri]
	_, _, basic := r.BasicAuth()
	if b.asked = append(b.asked, uri); basic {
		b.basics++
	}
	b.mu.Unlock()
	time.Sleep(delay)
	switch {
	case !basic && uri != "/redfish/v1/":
		w.Header().Set("WWW-Authenticate", "Basic")
		w.WriteHeader(http.StatusUnauthorized)
	case status != 0:
		w.WriteHeader(status)
		io.WriteString(w, body)
	case !there:
		w.WriteHeader(http.StatusNotFound)
	default:
		io.WriteString(w, body)
	}
}

// set changes documents; a status other than 0 goes with the text.
func (b *box) set(uri, text string, status int) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.files[uri], b.fails[uri] = text, status
}

func (b *box) client(t *testing.T, rules func(*Redfish) Rules) Client {
	t.Helper()
	c, err := Open(Options{Address: b.URL, Username: "root", Password: "calvin", Sleep: func(ctx context.Context, _ time.Duration) error { return ctx.Err() },
		Vendors: []Vendor{{Name: "some", Match: func(Identity, RootDocument) bool { return true }, New: func(r *Redfish) Client {
			if rules != nil {
				r.SetRules(rules(r))
			}
			return r
		},
			Messages: map[string]Advice{"SomeLicense": {Text: "a license is missing", Next: "buy one"}}}}})
	if err != nil {
		t.Fatal(err)
	}
	return c
}

// TestAheadOfTheVendor: the vendor's messages also explain a document that was refused before
// the vendor was known.
func TestAheadOfTheVendor(t *testing.T) {
	b := newBox(t, false)
	b.set("/redfish/v1/Systems/1/Storage", `{"error":{"@Message.ExtendedInfo":[{"MessageId":"Some.1.0.SomeLicense"}]}}`, http.StatusForbidden)
	b.slow["/redfish/v1/Managers/1"] = 30 * time.Millisecond
	b.slow["/redfish/v1/Systems/1/NICs"] = 60 * time.Millisecond // is absent, which is found out when the vendor is known
	c := b.client(t, nil)
	if err := c.Prefetch(t.Context(), func(ctx context.Context, r Reader) { r.Inventory(ctx) }); err != nil {
		t.Fatal(err)
	}
	stock, err := c.Inventory(t.Context())
	if err != nil || stock.Unread == nil || !strings.Contains(stock.Unread.Error(), "buy one") {
		t.Errorf("%v, %v", stock.Unread, err)
	}
}

// inventory asks questions that need several independent documents.
func inventory(ctx context.Context, r Reader) { r.Inventory(ctx); r.Power(ctx) }

// TestPasswordRefusedAhead: a password that is refused in the middle is not sent once more for
// each document that is to be read ahead.
func TestPasswordRefusedAhead(t *testing.T) {
	b := newBox(t, false)
	c := b.client(t, nil)
	if _, err := c.Identity(t.Context()); err != nil {
		t.Fatal(err)
	}
	members := []string{}
	for i := range 12 {
		uri := fmt.Sprintf("/redfish/v1/Systems/1/Storage/%d", i)
		b.set(uri, "", http.StatusUnauthorized)
		members = append(members, fmt.Sprintf(`{"@odata.id":%q}`, uri))
	}
	b.set("/redfish/v1/Systems/1/Storage", `{"Members":[`+strings.Join(members, ",")+`]}`, 0)
	b.mu.Lock()
	b.asked = nil
	b.mu.Unlock()
	c.Prefetch(t.Context(), inventory)
	refused := 0
	for _, uri := range b.asked {
		if strings.HasPrefix(uri, "/redfish/v1/Systems/1/Storage/") {
			refused++
		}
	}
	if refused > atOnce {
		t.Errorf("the password was sent %d times", refused)
	}
}

// TestBusyAhead: a BMC that refuses requests because there are too many is asked again, for
// fewer at once; its refusal is no answer.
func TestBusyAhead(t *testing.T) {
	for _, status := range []int{http.StatusTooManyRequests, http.StatusConflict} {
		b := newBox(t, false)
		b.set("/redfish/v1/Systems/1/Storage", "", status)
		c := b.client(t, nil)
		if err := c.Prefetch(t.Context(), inventory); err != nil {
			t.Fatal(err)
		}
		b.set("/redfish/v1/Systems/1/Storage", `{"Members":[]}`, 0)
		if stock, err := c.Inventory(t.Context()); err != nil || stock.Unread != nil {
			t.Errorf("%d: %v, %v", status, err, stock.Unread)
		}
	}
}

// TestGoneAfterWrite: what a collection showed of a drive before our write is not used
// again when the drive alone cannot be read since.
func TestGoneAfterWrite(t *testing.T) {
	const slot = "/redfish/v1/Managers/1/Media/CD"
	b := newBox(t, true)
	loaded := fmt.Sprintf(`{"@odata.id":%q,"Id":"CD","MediaTypes":["CD"],"Inserted":true,"Image":"http://x/i.iso","Actions":{"#VirtualMedia.EjectMedia":{"target":"%s/Actions/Eject"}}}`, slot, slot)
	b.set("/redfish/v1/Managers/1/Media?", `{"Members":[`+loaded+`]}`, 0)
	b.set("/redfish/v1/Systems?", b.files["/redfish/v1/Systems"], 0)
	b.set(slot+"/Actions/Eject", `{}`, 0)
	c := b.client(t, nil)
	slots, err := c.Slots(t.Context())
	if err != nil || len(slots) != 1 {
		t.Fatal(slots, err)
	}
	record := func(context.Context, Command) (func(Fate), error) { return func(Fate) {}, nil }
	if err := c.Eject(t.Context(), slots[0], record); err != nil {
		t.Fatal(err)
	}
	c.Prefetch(t.Context(), func(ctx context.Context, r Reader) { r.Slots(ctx) })
	for range 3 {
		if slots, err := c.Slots(t.Context()); err != nil || len(slots) != 0 {
			t.Errorf("%+v, %v", slots, err)
		}
	}
}

// TestDoubtStays: that our write changed a document is remembered, however many others
// are read after it.
func TestDoubtStays(t *testing.T) {
	for range 20 { // documents are let go in no order
		r := &Redfish{o: Options{Now: time.Now}, documents: map[Link]*reading{}}
		r.doubt("/redfish/v1/Systems/1")
		for i := range 4 {
			r.remember(Link(fmt.Sprint(i)), make([]byte, maxBody))
		}
		if d := r.documents["/redfish/v1/Systems/1"]; d == nil || !d.stale {
			t.Fatal("the doubt is forgotten")
		}
	}
}

// TestBeforeReady: what was read ahead from a BMC that did not know its machine yet has no
// effect: boot mode and boot source are read when it is ready.
func TestBeforeReady(t *testing.T) {
	b := newBox(t, false)
	b.set("/redfish/v1/Systems/1", strings.Replace(b.files["/redfish/v1/Systems/1"], `"Id"`, `"Bios":{"@odata.id":"/redfish/v1/Bios"},"Id"`, 1), 0)
	c := b.client(t, func(r *Redfish) Rules {
		return Rules{BIOSMode: "Mode", Ways: []Way{{Name: "own", Read: func(ctx context.Context) (Boot, error) {
			var own struct{ Boots bool }
			if err := r.Get(ctx, "/redfish/v1/Own", &own); err != nil || !own.Boots {
				return Boot{Target: BootNone, Once: true}, err
			}
			return Boot{Target: BootCD, Once: true}, nil
		}}}}
	})
	if err := c.Prefetch(t.Context(), func(ctx context.Context, r Reader) { r.Boot(ctx) }); err != nil {
		t.Fatal(err)
	}
	b.set("/redfish/v1/Bios", `{"Attributes":{"Mode":"Uefi"}}`, 0)
	b.set("/redfish/v1/Own", `{"Boots":true}`, 0)
	c.Refresh(0)
	if boot, err := c.Boot(t.Context()); err != nil || boot.Mode != "UEFI" || boot.Target != BootCD {
		t.Errorf("%+v, %v", boot, err)
	}
}
