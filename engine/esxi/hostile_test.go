package esxi_test

import (
	"bytes"
	"context"
	"crypto/tls"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"strconv"
	"strings"
	"sync/atomic"
	"testing"
	"unicode"

	"esxiplan/engine/esxi"
	"esxiplan/engine/esxi/esxisim"
)

// between is a proxy between the client and a simulated ESXi; change may answer instead of
// the ESXi (it then returns true), or change the answer. A request begins with the version
// of the API.
func between(t *testing.T, change func(asked string, w http.ResponseWriter, body []byte) ([]byte, bool)) esxi.Client {
	t.Helper()
	return betweenSim(t, config(), change)
}

// betweenSim does the same for an ESXi of a test's own.
func betweenSim(t *testing.T, system esxisim.Config, change func(asked string, w http.ResponseWriter, body []byte) ([]byte, bool)) esxi.Client {
	t.Helper()
	sim := start(t, system)
	honest := &http.Client{Transport: &http.Transport{TLSClientConfig: &tls.Config{InsecureSkipVerify: true}}}
	t.Cleanup(honest.CloseIdleConnections)
	server := httptest.NewTLSServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		asked, err := io.ReadAll(r.Body)
		if err != nil {
			return
		}
		req, err := http.NewRequestWithContext(r.Context(), r.Method, "https://"+sim.Address()+r.URL.Path, bytes.NewReader(asked))
		if err != nil {
			t.Error(err)
			return
		}
		req.Header = r.Header
		resp, err := honest.Do(req)
		if err != nil {
			return
		}
		defer resp.Body.Close()
		body, _ := io.ReadAll(resp.Body)
		answer, over := change(r.Header.Get("SOAPAction")+"\n"+string(asked), w, body)
		if over {
			return
		}
		for _, cookie := range resp.Header.Values("Set-Cookie") {
			w.Header().Add("Set-Cookie", cookie)
		}
		w.Header().Set("Content-Type", resp.Header.Get("Content-Type"))
		w.Header().Set("Content-Length", strconv.Itoa(len(answer)))
		w.WriteHeader(resp.StatusCode)
		w.Write(answer)
	}))
	t.Cleanup(server.Close)
	dial := func(ctx context.Context, network, address string) (net.Conn, error) {
		if address == "192.0.2.11:443" {
			address = server.Listener.Addr().String()
		}
		return (&net.Dialer{}).DialContext(ctx, network, address)
	}
	return esxi.Open(esxi.Options{Address: "192.0.2.11", Dial: dial, Current: &esxi.Login{Username: "root", Password: "right"}})
}

// TestLoginIsNotSentOn: an ESXi that redirects a login gets no password sent elsewhere.
func TestLoginIsNotSentOn(t *testing.T) {
	var reached atomic.Int32
	attacker := httptest.NewServer(http.HandlerFunc(func(http.ResponseWriter, *http.Request) { reached.Add(1) }))
	defer attacker.Close()
	for _, status := range []int{http.StatusFound, http.StatusTemporaryRedirect, http.StatusPermanentRedirect} {
		c := between(t, func(method string, w http.ResponseWriter, body []byte) ([]byte, bool) {
			if !strings.Contains(method, "Login") {
				return body, false
			}
			w.Header().Set("Location", attacker.URL+"/sdk")
			w.WriteHeader(status)
			return nil, true
		})
		p, err := c.Probe(t.Context())
		if err != nil || p.State != esxi.Up {
			t.Fatal(p, err)
		}
		if _, err := c.Inspect(t.Context(), esxi.Current, p.Fingerprint); err == nil || !strings.Contains(err.Error(), strconv.Itoa(status)) {
			t.Errorf("%d: %v", status, err)
		}
		c.Close()
	}
	if n := reached.Load(); n != 0 {
		t.Errorf("the login was sent elsewhere %d times", n)
	}
}

// TestTextsAreClean: what an ESXi says can neither control a terminal nor fill it.
func TestTextsAreClean(t *testing.T) {
	evil := "\u009b2J\u202e\u200b&#10;fake line" + strings.Repeat("x", 5000)
	c := between(t, func(_ string, _ http.ResponseWriter, body []byte) ([]byte, bool) {
		for _, tag := range []string{"fullName", "version", "build", "serialNumber", "uuid", "identifierValue"} {
			body = bytes.ReplaceAll(body, []byte("</"+tag+">"), []byte(evil+"</"+tag+">"))
		}
		return body, false
	})
	defer c.Close()
	p, err := c.Probe(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	texts := []string{p.Product, p.Version, p.Build, p.Reason}
	s, err := c.Inspect(t.Context(), esxi.Current, p.Fingerprint)
	if err != nil {
		t.Fatal(err)
	}
	for _, text := range append(texts, append(s.Serials, s.UUID, s.Version, s.Build, s.Busy())...) {
		if len([]rune(text)) > 1001 || strings.ContainsFunc(text, func(r rune) bool { return unicode.IsControl(r) || unicode.Is(unicode.Cf, r) }) {
			t.Errorf("%.80q, %d bytes", text, len(text))
		}
	}
	if !strings.Contains(p.Version, "fake line") || len(s.Serials) == 0 {
		t.Errorf("nothing was changed, so that nothing is shown: %+v %+v", p, s)
	}
}

// TestEmptyAnswers: an answer without a result is an error, whatever was asked.
func TestEmptyAnswers(t *testing.T) {
	const empty = `<?xml version="1.0"?><Envelope xmlns="http://schemas.xmlsoap.org/soap/envelope/"><Body/></Envelope>`
	for _, method := range []string{"RetrieveServiceContent", "Login", "RetrieveProperties", "CurrentTime", "installDate"} {
		c := between(t, func(asked string, _ http.ResponseWriter, body []byte) ([]byte, bool) {
			if strings.Contains(asked, method) {
				body = []byte(empty)
			}
			return body, false
		})
		p, err := c.Probe(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		switch s, err := c.Inspect(t.Context(), esxi.Current, p.Fingerprint); {
		case method == "CurrentTime" || method == "installDate": // unknown
			if err != nil || method == "CurrentTime" != s.Now.IsZero() {
				t.Errorf("%s: %v, %+v", method, err, s)
			}
		case err == nil || !strings.Contains(err.Error(), "no result"):
			t.Errorf("%s: %v", method, err)
		}
		c.Close()
	}
}

// TestDeepAnswers: an answer that is nested without end is an error, at any place.
func TestDeepAnswers(t *testing.T) {
	const begin = `<?xml version="1.0"?><Envelope xmlns="http://schemas.xmlsoap.org/soap/envelope/" xmlns:xsi="http://www.w3.org/2001/XMLSchema-instance"><Body>`
	for name, body := range map[string]string{
		"unknown":  begin + strings.Repeat("<a>", 1_300_000),
		"about":    begin + `<RetrieveServiceContentResponse xmlns="urn:vim25"><returnval><about>` + strings.Repeat("<a>", 300_000),
		"fault":    begin + `<Fault><detail>` + strings.Repeat("<faultCause>", 300_000),
		"typed":    begin + `<Fault><detail><x xsi:type="InvalidLogin">` + strings.Repeat(`<faultCause><fault xsi:type="InvalidLogin">`, 90_000),
		"anything": begin + `<RetrieveServiceContentResponse xmlns="urn:vim25"><returnval>` + strings.Repeat(`<about>`, 200_000),
	} {
		t.Run(name, func(t *testing.T) {
			c := between(t, func(string, http.ResponseWriter, []byte) ([]byte, bool) { return []byte(body), false })
			defer c.Close()
			p, err := c.Probe(t.Context())
			if err != nil || p.State == esxi.Up || len(p.Reason) == 0 || len(p.Reason) > 4000 {
				t.Errorf("%v %+v", err, p)
			}
		})
	}
}
