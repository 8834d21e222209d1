package notify_test

import (
	"bytes"
	"context"
	"crypto/hmac"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"esxiplan/engine/event"
	"esxiplan/engine/notify"
	"esxiplan/engine/secret"
)

// receiver stands for the server of a webhook: it answers each request as behave says.
type receiver struct {
	behave func(attempt int, r *http.Request) (*http.Response, error)

	mu       sync.Mutex
	requests []*http.Request
	bodies   [][]byte
	at       []time.Time
}

func (s *receiver) RoundTrip(r *http.Request) (*http.Response, error) {
	body, _ := io.ReadAll(r.Body)
	s.mu.Lock()
	s.requests, s.bodies, s.at = append(s.requests, r), append(s.bodies, body), append(s.at, time.Now())
	n := len(s.requests)
	s.mu.Unlock()
	if s.behave == nil {
		return answer(200), nil
	}
	return s.behave(n, r)
}

func (s *receiver) seen() int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return len(s.requests)
}

func answer(status int, headers ...string) *http.Response {
	h := http.Header{}
	for i := 0; i+1 < len(headers); i += 2 {
		h.Set(headers[i], headers[i+1])
	}
	return &http.Response{StatusCode: status, Header: h, Body: io.NopCloser(strings.NewReader("the server's words"))}
}

// hang waits until the request is given up.
func hang(_ int, r *http.Request) (*http.Response, error) {
	<-r.Context().Done()
	return nil, r.Context().Err()
}

func die(int, *http.Request) (*http.Response, error) {
	return nil, errors.New("connection reset by peer")
}

func plain(text string) string { return text }

func target(s *receiver, on ...string) notify.Target {
	return notify.Target{Name: "oncall", URL: "https://hooks.example/services/the-secret-path", Format: notify.Webhook, On: on, Timeout: 10 * time.Second, Transport: s}
}

func begin(s *receiver, on ...string) *notify.Sink {
	return notify.New([]notify.Target{target(s, on...)}, notify.Options{Plan: "lab", Mask: plain})
}

// within closes a sink as a run does.
func within(s *notify.Sink, d time.Duration) []string {
	ctx, cancel := context.WithTimeout(context.Background(), d)
	defer cancel()
	return s.Close(ctx)
}

func started(hosts int) event.Event {
	info := &event.PlanInfo{Name: "lab"}
	for i := range hosts {
		info.Hosts = append(info.Hosts, fmt.Sprint("h", i))
	}
	return event.Event{Kind: event.RunStarted, Run: "r1", Time: time.Now(), Plan: info}
}

func failed(host string) event.Event {
	return event.Event{Kind: event.StepDone, Run: "r1", Host: host, Step: "installed", Type: "wait", Status: event.Failed, Time: time.Now(),
		Problem: &event.Problem{Summary: "the image was never read", Next: "Look at the boot order."}}
}

func ended(counts map[event.Status]int) event.Event {
	return event.Event{Kind: event.RunDone, Run: "r1", Time: time.Now(), Summary: &event.Summary{Hosts: counts, Exit: event.ExitFailed}}
}

func messages(t *testing.T, s *receiver) (all []notify.Message) {
	t.Helper()
	for _, b := range s.bodies {
		var m notify.Message
		if err := json.Unmarshal(b, &m); err != nil {
			t.Fatalf("%s: %v", b, err)
		}
		all = append(all, m)
	}
	return all
}

// TestRun: a run is one message at its start, one about what failed meanwhile, and one at its end.
func TestRun(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := &receiver{}
		sink := begin(s, "start", "failure", "end")
		sink.Event(started(3))
		time.Sleep(time.Hour)
		sink.Event(failed("h1"))
		sink.Event(event.Event{Kind: event.HostDone, Host: "h1", Status: event.Failed}) // the same failure
		sink.Event(event.Event{Kind: event.StepDone, Host: "h2", Status: event.Ignored})
		time.Sleep(time.Minute)
		sink.Event(event.Event{Kind: event.StepDone, Host: "h0", Verdict: &event.Verdict{Proven: true}})
		sink.Event(ended(map[event.Status]int{event.Changed: 2, event.Failed: 1}))
		if lost := within(sink, 5*time.Second); lost != nil {
			t.Error(lost)
		}
		all := messages(t, s)
		if len(all) != 3 || all[0].Kind != "start" || all[1].Kind != "failure" || all[2].Kind != "end" {
			t.Fatalf("%+v", all)
		}
		if want := `esxiplan: run r1 of plan "lab" started: 3 hosts`; all[0].Text != want {
			t.Errorf("start: %s", all[0].Text)
		}
		want := "esxiplan: run r1 of plan \"lab\": 1 host failed\n• h1, step installed (wait): the image was never read\n   next: Look at the boot order."
		if all[1].Text != want || len(all[1].Failures) != 1 || all[1].Failures[0].Next == "" {
			t.Errorf("failure: %s", all[1].Text)
		}
		if r := all[2].Result; r == nil || r.Exit != 2 || r.Changed != 2 || r.Proven != 1 || r.Elapsed != 3660 {
			t.Errorf("end: %+v", r)
		}
		if first, _, _ := strings.Cut(all[2].Text, "\n"); first != `esxiplan: run r1 of plan "lab" ended after 61 minutes: 2 changed, 1 failed, 1 proven installed (exit code 2)` {
			t.Errorf("end: %s", first)
		}
	})
}

// TestContinued: what failed before the run was continued is sent at its end only, where the
// result counts it, too; a host that was tried again and succeeded is not.
func TestContinued(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := &receiver{}
		sink := begin(s, "failure", "end")
		sink.Earlier(started(3))
		for _, host := range []string{"h2", "h1", "h0"} {
			sink.Earlier(failed(host))
			sink.Earlier(event.Event{Kind: event.HostDone, Host: host, Status: event.Failed})
		}
		again := started(3)
		again.Plan.Continued = true
		sink.Event(again)
		sink.Event(event.Event{Kind: event.HostStarted, Host: "h1"})
		sink.Event(event.Event{Kind: event.StepStarted, Host: "h1", Step: "installed"})
		sink.Event(event.Event{Kind: event.StepDone, Host: "h1", Step: "installed", Status: event.OK})
		sink.Event(event.Event{Kind: event.HostDone, Host: "h1", Status: event.Changed})
		time.Sleep(time.Hour)
		sink.Event(ended(map[event.Status]int{event.Changed: 1, event.Failed: 2}))
		within(sink, 5*time.Second)
		all := messages(t, s)
		if len(all) != 1 || all[0].Result == nil || len(all[0].Failures) != all[0].Result.Failed {
			t.Fatalf("%+v", all)
		}
		if f := all[0].Failures; f[0].Host != "h0" || f[1].Host != "h2" || f[1].Step != "installed" || f[1].Type != "wait" || f[1].Summary == "" || f[1].Next == "" || f[1].Status != "failed" {
			t.Errorf("%+v", f)
		}
	})
}

// TestPoweredOff: machines that the run left powered off are in its result.
func TestPoweredOff(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := &receiver{}
		sink := begin(s, "end")
		sink.Event(started(2))
		sink.Event(failed("h1"))
		sink.Event(event.Event{Kind: event.HostDone, Host: "h1", Status: event.Failed, Left: &event.Left{Off: true}})
		sink.Event(ended(map[event.Status]int{event.OK: 1, event.Failed: 1}))
		within(sink, 5*time.Second)
		all := messages(t, s)
		if len(all) != 1 || all[0].Result.PoweredOff != 1 || !strings.Contains(all[0].Text, ": 1 ok, 1 failed, 1 powered off (exit code 2)") {
			t.Errorf("%+v, %+v", all, all[0].Result)
		}
	})
}

// TestTargetsShareNothing: each target has messages of its own, which are cleaned and escaped for
// it while the others are sent. The race detector finds what they would share.
func TestTargetsShareNothing(t *testing.T) {
	s := &receiver{}
	slack := target(s, "end")
	slack.Format = notify.Slack
	sink := notify.New([]notify.Target{target(s, "end"), slack, target(s, "end")}, notify.Options{Plan: "lab", Mask: plain})
	sink.Event(started(1))
	e := ended(nil)
	e.Summary.Internal = "a bug <\x1b>"
	sink.Event(e)
	if lost := within(sink, 5*time.Second); lost != nil || s.seen() != 3 {
		t.Errorf("%d messages, lost %q", s.seen(), lost)
	}
}

// TestSecretAtACut: what a server answers is cut off, and no part of a secret is left before the cut.
func TestSecretAtACut(t *testing.T) {
	const short = "hunter22-and-more"
	long := strings.Repeat("0123456789-token-", 60)
	masker := secret.New("(sensitive)")
	masker.Add(short, long)
	for name, said := range map[string]string{
		"of what is shown": strings.Repeat("x", 195) + short,
		"of what is read":  strings.Repeat(long+" ", 5),
	} {
		t.Run(name, func(t *testing.T) {
			s := &receiver{behave: func(int, *http.Request) (*http.Response, error) {
				refused := answer(403)
				refused.Body = io.NopCloser(strings.NewReader(said))
				return refused, nil
			}}
			err := notify.SendTest(context.Background(), target(s), notify.Options{Plan: "lab", Mask: masker.Mask})
			if err == nil || strings.Contains(err.Error(), "hunte") || strings.Contains(err.Error(), "01234") {
				t.Errorf("%v", err)
			}
		})
	}
}

// TestNothingWaits: whatever the endpoint does, events are taken at once, and the end of the
// run is delayed by no more than it gives.
func TestNothingWaits(t *testing.T) {
	for name, behave := range map[string]func(int, *http.Request) (*http.Response, error){
		"it hangs":        hang,
		"it answers 500":  func(int, *http.Request) (*http.Response, error) { return answer(500), nil },
		"it closes":       die,
		"it asks to wait": func(int, *http.Request) (*http.Response, error) { return answer(429, "Retry-After", "3600"), nil },
		"it is slow": func(_ int, r *http.Request) (*http.Response, error) {
			select {
			case <-time.After(9 * time.Second):
				return answer(200), nil
			case <-r.Context().Done():
				return nil, r.Context().Err()
			}
		},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				s := &receiver{behave: behave}
				sink := begin(s, "start", "failure", "end")
				began := time.Now()
				sink.Event(started(2000))
				for i := range 2000 {
					sink.Event(failed(fmt.Sprint("h", i)))
				}
				sink.Event(ended(nil))
				if took := time.Since(began); took != 0 { // the clock of the bubble moves only where all wait
					t.Errorf("the events of the run waited for %s", took)
				}
				lost := within(sink, 5*time.Second)
				if took := time.Since(began); took > 5*time.Second {
					t.Errorf("the end waited for %s", took)
				}
				if len(lost) != 1 || !strings.Contains(lost[0], "not delivered") || strings.Contains(lost[0], "secret-path") {
					t.Errorf("%q", lost)
				}
				if s.seen() == 0 {
					t.Error("nothing was tried")
				}
			})
		})
	}
}

// TestOneDoesNotDelayAnother: a target that hangs does not delay the others.
func TestOneDoesNotDelayAnother(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		bad, good := &receiver{behave: hang}, &receiver{}
		sink := notify.New([]notify.Target{target(bad, "start"), target(good, "start")}, notify.Options{Plan: "lab", Mask: plain})
		began := time.Now()
		sink.Event(started(1))
		synctest.Wait()
		if good.seen() != 1 || time.Since(began) != 0 {
			t.Error("it was delayed")
		}
		within(sink, time.Second)
	})
}

// TestRetries: what may pass is tried again, later and later; what stays is not.
func TestRetries(t *testing.T) {
	for name, c := range map[string]struct {
		answers []int
		tries   int
		lost    bool
		atLeast time.Duration // between the first two
	}{
		"an error of the server":    {[]int{500, 503, 200}, 3, false, 500 * time.Millisecond},
		"a limit":                   {[]int{429, 200}, 2, false, 30 * time.Second},
		"a broken connection":       {[]int{0, 200}, 2, false, 500 * time.Millisecond},
		"a URL that does not exist": {[]int{404}, 1, true, 0},
		"no permission":             {[]int{403}, 1, true, 0},
		"a redirection":             {[]int{307}, 1, true, 0},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				s := &receiver{behave: func(n int, _ *http.Request) (*http.Response, error) {
					status := c.answers[min(n, len(c.answers))-1]
					if status == 0 {
						return nil, errors.New("connection refused")
					}
					return answer(status, "Retry-After", map[bool]string{true: "30"}[status == 429], "Location", "https://elsewhere.example/"), nil
				}}
				sink := begin(s, "start")
				sink.Event(started(1))
				time.Sleep(10 * time.Minute)
				lost := within(sink, 5*time.Second)
				if s.seen() != c.tries || (lost != nil) != c.lost {
					t.Fatalf("%d tries, lost %q", s.seen(), lost)
				}
				if c.tries > 1 && s.at[1].Sub(s.at[0]) < c.atLeast {
					t.Errorf("the second try came after %s", s.at[1].Sub(s.at[0]))
				}
				for _, r := range s.requests {
					if r.URL.Host != "hooks.example" || r.Header.Get(notify.DeliveryHeader) != s.requests[0].Header.Get(notify.DeliveryHeader) {
						t.Errorf("%s, %v", r.URL.Host, r.Header)
					}
				}
			})
		})
	}
}

// TestGivesUp: a message that is never taken is not tried for ever, and does not keep later
// ones back for ever.
func TestGivesUp(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		down := true
		s := &receiver{behave: func(int, *http.Request) (*http.Response, error) {
			if down {
				return answer(502), nil
			}
			return answer(200), nil
		}}
		sink := begin(s, "start", "end")
		sink.Event(started(1))
		time.Sleep(time.Hour)
		if n := s.seen(); n < 3 || n > 20 {
			t.Errorf("it was tried %d times", n)
		}
		synctest.Wait()
		down = false
		sink.Event(ended(nil))
		lost := within(sink, 5*time.Second)
		if len(lost) != 1 || lost[0] != `notify "oncall": 1 message not delivered (start): the server answered 502 Bad Gateway: the server's words` {
			t.Errorf("%q", lost)
		}
	})
}

// TestLastTries: once the run is over there is no time for long pauses, and the message about
// the end is tried again soon.
func TestLastTries(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := &receiver{behave: func(n int, _ *http.Request) (*http.Response, error) {
			if n < 4 {
				return answer(429, "Retry-After", "60"), nil
			}
			return answer(200), nil
		}}
		sink := begin(s, "end")
		sink.Event(started(1))
		sink.Event(ended(nil))
		if lost := within(sink, 5*time.Second); lost != nil {
			t.Errorf("%q after %d tries", lost, s.seen())
		}
	})
}

// TestStorm: a thousand hosts that fail are few messages, and none of them is forgotten.
func TestStorm(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := &receiver{}
		sink := begin(s, "failure", "end")
		sink.Event(started(1000))
		for i := range 1000 { // within ten minutes
			sink.Event(failed(fmt.Sprint("h", i)))
			time.Sleep(600 * time.Millisecond)
		}
		sink.Event(ended(map[event.Status]int{event.Failed: 1000}))
		within(sink, 5*time.Second)
		all, listed := messages(t, s), 0
		for _, m := range all[:len(all)-1] {
			listed += len(m.Failures) + m.More
		}
		if len(all) > 13 || listed != 1000 {
			t.Errorf("%d messages about %d failures", len(all), listed)
		}
		if end := all[len(all)-1]; end.Kind != "end" || len(end.Failures)+end.More != 1000 || len(end.Failures) != 50 {
			t.Errorf("%s: %d and %d more", end.Kind, len(end.Failures), end.More)
		}
		if !strings.HasSuffix(all[len(all)-1].Text, "… and 990 hosts more") {
			t.Error(all[len(all)-1].Text)
		}
	})
}

// TestSignature: a receiver verifies a message as the documentation says, and a message that
// was changed, or another key, does not verify.
func TestSignature(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := &receiver{}
		to := target(s, "start")
		to.Secret, to.Headers = "the key", map[string]string{"Authorization": "Bearer token"}
		sink := notify.New([]notify.Target{to}, notify.Options{Plan: "lab", Mask: plain})
		sink.Event(started(1))
		within(sink, time.Second)
		header, body := s.requests[0].Header.Get("X-Esxiplan-Signature"), s.bodies[0]
		if !verified("the key", header, body) {
			t.Errorf("%q does not verify", header)
		}
		if verified("the key", header, bytes.Replace(body, []byte("lab"), []byte("bal"), 1)) || verified("another", header, body) {
			t.Error("it verifies what was not sent")
		}
		if s.requests[0].Header.Get("Authorization") != "Bearer token" || s.requests[0].Header.Get("Content-Type") != "application/json; charset=utf-8" {
			t.Errorf("%v", s.requests[0].Header)
		}
	})
}

// verified is a receiver's own check.
func verified(key, header string, body []byte) bool {
	parts := map[string]string{}
	for part := range strings.SplitSeq(header, ",") {
		name, value, _ := strings.Cut(part, "=")
		parts[name] = value
	}
	seconds, err := strconv.ParseInt(parts["t"], 10, 64)
	if err != nil || time.Since(time.Unix(seconds, 0)).Abs() > 5*time.Minute {
		return false
	}
	mac := hmac.New(sha256.New, []byte(key))
	fmt.Fprintf(mac, "%s.%s", parts["t"], body)
	sent, err := hex.DecodeString(parts["v1"])
	return err == nil && hmac.Equal(sent, mac.Sum(nil))
}

// TestFormats: each service gets what its webhooks take, and nothing that a machine says is
// markup, a mention or a secret there.
func TestFormats(t *testing.T) {
	said := "<!channel> @here *x* [click](http://evil.example) & hunter22\x1b[31m"
	for format, c := range map[string]struct {
		text   func(map[string]any) string
		want   []string
		absent []string
	}{
		notify.Slack: {func(b map[string]any) string { return b["text"].(string) }, []string{"&lt;!channel&gt;", "&amp;"}, []string{"<!channel>"}},
		notify.Mattermost: {func(b map[string]any) string { return b["text"].(string) }, []string{"@\u200bhere", "\\*x\\*", "\\[click\\]"},
			[]string{"@here"}},
		notify.Teams: {func(b map[string]any) string {
			if b["type"] != "message" {
				return ""
			}
			attachment := b["attachments"].([]any)[0].(map[string]any)
			card := attachment["content"].(map[string]any)
			if attachment["contentType"] != "application/vnd.microsoft.card.adaptive" || card["type"] != "AdaptiveCard" {
				return ""
			}
			var lines []string
			for _, block := range card["body"].([]any) {
				b := block.(map[string]any)
				run := b["inlines"].([]any)[0].(map[string]any)
				if b["type"] != "RichTextBlock" || run["type"] != "TextRun" { // a TextBlock would read it as Markdown
					return ""
				}
				lines = append(lines, run["text"].(string))
			}
			return strings.Join(lines, "\n")
		}, []string{"h1, step installed (wait)", "[click]"}, nil},
		notify.Webhook: {func(b map[string]any) string { return b["text"].(string) }, []string{"h1", "<!channel>"}, nil},
	} {
		t.Run(format, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				s := &receiver{}
				to := target(s, "failure")
				to.Format = format
				sink := notify.New([]notify.Target{to}, notify.Options{Plan: "lab", Mask: func(text string) string { return strings.ReplaceAll(text, "hunter22", "(sensitive)") }})
				sink.Event(started(1))
				e := failed("h1")
				e.Problem.Summary = said
				sink.Event(e)
				within(sink, time.Second)
				if len(s.bodies) != 1 {
					t.Fatalf("%d messages", len(s.bodies))
				}
				var body map[string]any
				if err := json.Unmarshal(s.bodies[0], &body); err != nil {
					t.Fatal(err)
				}
				text := c.text(body)
				for _, want := range append(c.want, "(sensitive)") {
					if !strings.Contains(text, want) {
						t.Errorf("%q is not in %q", want, text)
					}
				}
				for _, no := range append(c.absent, "hunter22", "\x1b") {
					if strings.Contains(string(s.bodies[0])+text, no) {
						t.Errorf("%q is in %s", no, s.bodies[0])
					}
				}
			})
		})
	}
}

// TestTemplate: a template makes the text; where it fails, the built-in text is sent, and said.
func TestTemplate(t *testing.T) {
	for name, broken := range map[string]bool{"it works": false, "it fails": true} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				s := &receiver{}
				to := target(s, "start")
				to.Render = func(message []byte) (string, error) {
					if broken {
						return "", errors.New("template at lab.hcl:3:4: it divides by zero")
					}
					return "rendered from " + strconv.Itoa(len(message)/1000), nil
				}
				sink := notify.New([]notify.Target{to}, notify.Options{Plan: "lab", Mask: plain})
				sink.Event(started(1))
				lost := within(sink, time.Second)
				m := messages(t, s)[0]
				if broken != strings.Contains(m.Text, "started: 1 host") || broken != (len(lost) == 1 && strings.Contains(lost[0], "lab.hcl:3:4")) {
					t.Errorf("%q, %q", m.Text, lost)
				}
			})
		})
	}
}

// TestNoRunNoMessage: of a run that did not start nothing is sent.
func TestNoRunNoMessage(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := &receiver{}
		sink := begin(s, "start", "failure", "end")
		if lost := within(sink, time.Second); lost != nil || s.seen() != 0 {
			t.Errorf("%q, %d requests", lost, s.seen())
		}
	})
}

// TestSendTest sends one message, once, and says what the server said.
func TestSendTest(t *testing.T) {
	s := &receiver{}
	o := notify.Options{Plan: "lab", Mask: plain}
	if err := notify.SendTest(context.Background(), target(s), o); err != nil || s.seen() != 1 {
		t.Errorf("%v after %d requests", err, s.seen())
	}
	if m := messages(t, s)[0]; m.Kind != "test" || !slices.Equal([]string{"test"}, strings.Split(m.ID, "/")[:1]) {
		t.Errorf("%+v", m)
	}
	s.behave = func(int, *http.Request) (*http.Response, error) { return answer(500), nil }
	if err := notify.SendTest(context.Background(), target(s), o); err == nil || s.seen() != 2 {
		t.Errorf("%v after %d requests", err, s.seen())
	}
}
