package log_test

import (
	"encoding/json"
	"fmt"
	"hash/crc32"
	"math/rand/v2"
	"os"
	"slices"
	"strings"
	"testing"
	"time"

	"esxiplan/engine/event"
	"esxiplan/engine/log"
)

// attempt is the record of the nth attempt of a step, five seconds after the one before it.
func attempt(host, step string, n int, outcome string) log.Record {
	return log.Record{Event: event.Event{Kind: log.AttemptDone, Host: host, Step: step, Type: "wait", Attempt: n, Time: noon.Add(time.Duration(n) * 5 * time.Second)}, Outcome: json.RawMessage(outcome)}
}

// looked is what a wait comes to that is not at its goal.
func looked(n int, reason string) string {
	return fmt.Sprintf(`{"result":{"goal":"esxi","reached":false,"ended":false,"reason":"%s; its BMC says: power state On, OSRunning, slot 1 holds http://10.172.16.2/iso/0123456789abcdef/h1.iso","next":"Look at the machine's console, through its BMC, to see where it stands","proven":false,"version":"","build":"","fingerprint":"","evidence":[],"power":"On","elapsed":%d.%03d},"installing":true,"elapsed":%d}`,
		reason, n*5, n*37%1000, 100000000+n*1234567)
}

// outcomes are those of attempts in the log, by host, each with what it is of.
func outcomes(records []log.Record) map[string][]string {
	out := map[string][]string{}
	for _, r := range records {
		if r.Kind == log.AttemptDone {
			out[r.Host] = append(out[r.Host], fmt.Sprint(r.Step, " ", r.Type, " ", r.Machine, " ", r.Attempt, " ", r.Mode, " ", string(r.Outcome)))
		}
	}
	return out
}

// TestLongWait: a wait of 45 minutes of which each look tells the same leaves less than 120 KB,
// and each of its looks can be read back.
func TestLongWait(t *testing.T) {
	state := t.TempDir()
	l, err := log.Open(state, "run", log.Options{})
	check(t, err)
	const looks = 45 * 60 / 5
	reasons := []string{"no ESXi answers (connect: connection refused)", "no ESXi answers (read: connection reset)"}
	for n := 1; n <= looks; n++ {
		check(t, l.Keep(attempt("one", "installed", n, looked(n, reasons[n/7%2]))))
	}
	check(t, l.Close())
	if size := len(content(t, state)); size > 120_000 {
		t.Errorf("%d bytes", size)
	}
	all := read(t, state)
	if len(all) != looks {
		t.Fatalf("%d records, want %d", len(all), looks)
	}
	for i, r := range all {
		if n := i + 1; r.Attempt != n || string(r.Outcome) != looked(n, reasons[n/7%2]) || r.Kind != log.AttemptDone || r.Machine != "one" || r.Type != "wait" {
			t.Fatalf("attempt %d is %+v", n, r)
		}
	}
}

// TestRepeatsAreWhole: whatever attempts come to, whichever hosts and processes they are of, and
// whatever else is logged between them, the log gives back each outcome as it was.
func TestRepeatsAreWhole(t *testing.T) {
	const secret = "s3cret-12"
	o := log.Options{Secrets: map[string]string{secret: "var.pin"}, Masker: hide("hush-hush")}
	values := []string{"1", "22", "0.5", "-7", "1e9", "true", "false", "null", `"a b"`, `"a c"`, `"1.2.3"`, `"x\"1\\2\u003c"`, `"` + secret + ` 1"`, `"${{ 1"`, `"é1"`, `"1,2 3"`, `[1,2]`, `[]`}
	for seed := range uint64(60) {
		r, state, n, want := rand.New(rand.NewPCG(seed, 1)), t.TempDir(), map[string]int{}, map[string][]string{}
		for range 1 + r.IntN(3) { // processes
			l, err := log.Open(state, "run", o)
			check(t, err)
			for range r.IntN(40) {
				host := fmt.Sprint("h", r.IntN(3))
				n[host]++
				rec := attempt(host, fmt.Sprint("s", n[host]/10), n[host], fmt.Sprintf(`{"elapsed":%d,"result":{"a":%s,"b":%s}}`, r.IntN(1e6), values[r.IntN(len(values))], values[r.IntN(3)]))
				want[host] = append(want[host], outcomes([]log.Record{withMachine(rec)})[host]...)
				check(t, l.Keep(rec))
				switch r.IntN(8) {
				case 0:
					check(t, l.Later(event.Event{Kind: event.Retried, Host: host, Time: rec.Time}))
				case 1:
					check(t, l.SessionAsked("10.0.0.1", fmt.Sprint(seed, host, n[host]), noon))
				case 2:
					check(t, l.Keep(log.Record{Event: event.Event{Kind: log.Interrupted, Time: noon}}))
				}
			}
			check(t, l.Close())
		}
		l, err := log.Dry(state, "run", o)
		check(t, err)
		records, err := l.Records()
		check(t, err)
		got := outcomes(records)
		for host := range want {
			if !slices.Equal(got[host], want[host]) {
				t.Fatalf("seed %d, %s\ngot  %s\nwant %s", seed, host, strings.Join(got[host], "\n     "), strings.Join(want[host], "\n     "))
			}
		}
		if strings.Contains(string(content(t, state)), secret) {
			t.Fatalf("seed %d: the secret is in the log", seed)
		}
	}
}

func withMachine(r log.Record) log.Record {
	r.Machine = r.Host
	return r
}

// TestEachLookIsLogged: what one attempt came to is in the log before the next one is made,
// whether it repeats another one or not.
func TestEachLookIsLogged(t *testing.T) {
	state := t.TempDir()
	l, err := log.Open(state, "run", log.Options{})
	check(t, err)
	for n := 1; n <= 30; n++ {
		check(t, l.Keep(attempt("one", "s", n, looked(n, "x"))))
		if kept := len(read(t, state)); kept != n {
			t.Fatalf("after %d attempts %d are in the log", n, kept)
		}
	}
	check(t, l.Close())
}

// TestRepeatsOfNothing: a record of an attempt that does not fit those before it is damage.
func TestRepeatsOfNothing(t *testing.T) {
	repeats := func(host string, at []int, words ...string) log.Record {
		return log.Record{Event: event.Event{Kind: log.AttemptDone, Host: host, Time: noon}, Repeat: &log.Repeat{At: at, Words: words}}
	}
	for name, r := range map[string]log.Record{
		"of no attempt":   repeats("two", nil),
		"no such word":    repeats("one", []int{4}, "1"),
		"a word before":   repeats("one", []int{-1}, "1"),
		"a word too many": repeats("one", []int{1}, "1", "2"),
		"a word too few":  repeats("one", []int{0, 1}, "1"),
		"no outcome":      repeats("one", []int{1}, `"`),
	} {
		t.Run(name, func(t *testing.T) {
			state := t.TempDir()
			l, err := log.Open(state, "run", log.Options{})
			check(t, err)
			check(t, l.Keep(attempt("one", "s", 1, `{"a":1}`)))
			offset := len(content(t, state))
			check(t, l.Keep(r))
			check(t, l.Close())
			_, err = records(state)
			isDamaged(t, err, offset, 2)
		})
	}
}

// TestLogOfVersion1: one of the version before is read and continued.
func TestLogOfVersion1(t *testing.T) {
	first := fmt.Sprintf(`{"schema":1,"seq":1,"time":"2026-03-04T12:00:00Z","run":"run","host":"one","machine":"one","step":"s","type":"wait","attempt":1,"kind":"attempt_done","log":1,"outcome":%s`, looked(1, "x"))
	state := folder(t, []byte(fmt.Sprintf("%s,\"sum\":\"%08x\"}\n", first, crc32.Checksum([]byte(first), crc32.MakeTable(crc32.Castagnoli)))))
	l, err := log.Open(state, "run", log.Options{})
	check(t, err)
	for n := 2; n <= 4; n++ {
		check(t, l.Keep(attempt("one", "s", n, looked(n, "x"))))
	}
	check(t, l.Close())
	for i, r := range read(t, state) {
		if r.Attempt != i+1 || string(r.Outcome) != looked(i+1, "x") {
			t.Errorf("attempt %d is %+v", i+1, r)
		}
	}
}

// TestNewerLog: the log of a later version is refused, and not called damaged.
func TestNewerLog(t *testing.T) {
	line := fmt.Sprintf(`{"schema":1,"seq":1,"time":"2026-03-04T12:00:00Z","run":"run","kind":"stage_started","log":%d`, log.Version+1)
	line += fmt.Sprintf(`,"sum":"%08x"}`, crc32.Checksum([]byte(line), crc32.MakeTable(crc32.Castagnoli))) + "\n"
	state := folder(t, []byte(line))
	_, each := records(state)
	_, open := log.Open(state, "other", log.Options{})
	for what, err := range map[string]error{"to read it": each, "to begin another run": open} {
		if err == nil || !strings.Contains(err.Error(), logOf(state)) || !strings.Contains(err.Error(), "a newer esxiplan wrote it") || strings.Contains(err.Error(), "damaged") {
			t.Errorf("%s: %v", what, err)
		}
	}
	if after, err := os.ReadFile(logOf(state)); err != nil || string(after) != line {
		t.Errorf("it was changed: %s, %v", after, err)
	}
}
