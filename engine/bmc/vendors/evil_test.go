package vendors_test

import (
	"context"
	"errors"
	"net"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"
	"unicode"

	"esxiplan/engine/bmc"
	"esxiplan/engine/bmc/bmcsim"
	"esxiplan/engine/bmc/bmcsim/evil"
)

// TestEvilBMCs reads hostile BMCs, in every form except those that only take time. What is
// read is clean, what fails says why, and no connection leads to the attacker.
func TestEvilBMCs(t *testing.T) {
	attacker, err := evil.NewAttacker("127.0.0.9:0")
	if err != nil {
		t.Fatal(err)
	}
	defer attacker.Close()
	t.Run("forms", func(t *testing.T) {
		for _, form := range evil.Forms() {
			if form.Slow {
				continue
			}
			t.Run(form.Name, func(t *testing.T) {
				t.Parallel()
				readEvil(t, form, attacker)
			})
		}
	})
	if came := attacker.Came(); len(came) > 0 {
		t.Errorf("the attacker heard %q", came)
	}
}

func readEvil(t *testing.T, form evil.Form, attacker *evil.Attacker) {
	sim := bmcsim.New(bmcsim.Config{Profile: find(t, "dell/idrac9"), Clock: realClock{}, Username: "u", Password: "p", Serial: "SN1", UUID: "4c4c4544-0058-5110-8034-b7c04f543933", MACs: []string{"00:00:5e:00:53:01"}, Disks: []bmcsim.Disk{{Model: "MTFDKBA480TFR", Serial: "S1", Bytes: 480e9}}})
	b := evil.New(form, sim, attacker.Address())
	if err := b.Serve("127.0.0.1:0"); err != nil {
		t.Fatal(err)
	}
	defer b.Close()
	var said []string
	c := reader(t, bmc.Options{Address: "https://" + b.Address(), Warn: func(text string) { said = append(said, text) }, Timeout: 30 * time.Second, Dial: anywhere(attacker, b.Address())})
	text := summary(t.Context(), c)
	if _, err := c.OtherSessions(t.Context()); err != nil {
		said = append(said, err.Error())
	}
	if err := c.Close(t.Context()); err != nil {
		said = append(said, err.Error())
	}
	text += strings.Join(said, "\n")
	fails := slices.Contains(form.Fails, "discover")
	matches := regexp.MustCompile(form.Says).MatchString(text)
	if says := strings.Contains(text, "error: "); says != fails || fails && !matches {
		t.Errorf("fails %v, want %v with %q:\n%.2000s", says, fails, form.Says, text)
	}
	for line := range strings.Lines(text) {
		if len([]rune(line)) > 6000 || strings.ContainsFunc(strings.TrimSuffix(line, "\n"), func(r rune) bool { return unicode.IsControl(r) || unicode.Is(unicode.Cf, r) }) {
			t.Errorf("%d characters: %.300q", len([]rune(line)), line)
		}
	}
}

// anywhere dials the attacker under each address that is not the BMC's, so that a request
// that leaves is seen, wherever it goes.
func anywhere(attacker *evil.Attacker, own string) bmc.DialFunc {
	return func(ctx context.Context, network, address string) (net.Conn, error) {
		if address != own {
			address = attacker.Address()
		}
		return (&net.Dialer{}).DialContext(ctx, network, address)
	}
}

// TestWritesStayOnTheBMC: the targets of writes and the tasks that they begin are links, too.
func TestWritesStayOnTheBMC(t *testing.T) {
	attacker, err := evil.NewAttacker("127.0.0.9:0")
	if err != nil {
		t.Fatal(err)
	}
	defer attacker.Close()
	fates := map[string]bmc.Fate{"the insert elsewhere": "", "the task by a user's name": bmc.Unknown, "the task elsewhere in the body": bmc.Unknown, "the task elsewhere": bmc.Done, "307 of every write elsewhere": bmc.Unknown}
	for _, form := range evil.Forms() {
		want, ok := fates[form.Name]
		if !ok {
			continue
		}
		delete(fates, form.Name)
		t.Run(form.Name, func(t *testing.T) {
			sim := bmcsim.New(bmcsim.Config{Profile: find(t, "dell/idrac9"), Clock: realClock{}, Username: "u", Password: "p", Serial: "SN1"})
			b := evil.New(form, sim, attacker.Address())
			if err := b.Serve("127.0.0.1:0"); err != nil {
				t.Fatal(err)
			}
			defer b.Close()
			c := reader(t, bmc.Options{Address: "https://" + b.Address(), Dial: anywhere(attacker, b.Address())})
			defer c.Close(t.Context())
			slots, err := c.Slots(t.Context())
			if err != nil {
				t.Fatal(err)
			}
			var recorded int
			var got bmc.Fate
			err = c.Insert(t.Context(), slots[0], "http://192.0.2.1/x.iso", func(context.Context, bmc.Command) (func(bmc.Fate), error) {
				recorded++
				return func(f bmc.Fate) { got = f }, nil
			})
			var refused *bmc.ErrLink
			if got != want || (err == nil) != (want == bmc.Done) || want == "" && (recorded > 0 || !errors.As(err, &refused)) {
				t.Errorf("fate %q, want %q, %d records: %v", got, want, recorded, err)
			}
		})
	}
	if came := attacker.Came(); len(came) > 0 || len(fates) > 0 {
		t.Errorf("the attacker heard %q; forms that were not tried: %v", came, fates)
	}
}
