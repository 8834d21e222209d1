package main

import (
	"context"
	"crypto/sha256"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"esxiplan/engine/event"
	"esxiplan/engine/notify"
	"esxiplan/schema"
)

func (a *app) notifyCommand() *cobra.Command {
	f := &planFlags{}
	c := &cobra.Command{
		Use:   "notify PLAN…",
		Short: "Send a test message to each notify block of a plan",
		Long: `Send a test message to each notify block of a plan, once, and say what the server answered. No
machine is looked at. With exit code 1 at least one message was not delivered.`,
		Example: "  esxiplan notify site.hcl",
		Args:    cobra.MinimumNArgs(1),
		RunE: func(_ *cobra.Command, args []string) error {
			p, err := a.load(args, f, nil)
			if err != nil {
				return err
			}
			return a.testNotify(p)
		},
	}
	f.add(c)
	return c
}

// testNotify sends a test message to all targets of a plan, and says of each how that went.
func (a *app) testNotify(p *schema.Plan) error {
	if len(p.Notify) == 0 {
		return fmt.Errorf("plan %q has no notify block, so nothing can be sent. The section Notify of the README has examples", p.Name)
	}
	targets, err := a.targets(p)
	if err != nil {
		return err
	}
	undelivered := false
	for _, t := range targets {
		began, said := time.Now(), "delivered"
		if err := notify.SendTest(context.Background(), t, notify.Options{Plan: p.Name, Mask: a.outward}); err != nil {
			undelivered, said = true, "not delivered: "+err.Error()
		}
		fmt.Fprintf(a.streams.Out, "%s (%s): %s, %d ms\n", t.Name, t.Format, said, time.Since(began).Milliseconds())
	}
	if undelivered {
		return exitCode(event.ExitUsage)
	}
	return nil
}

// targets are those of the plan's notify blocks to which something can be sent: not those of
// a simulation that lacks their secrets.
func (a *app) targets(p *schema.Plan) (out []notify.Target, err error) {
	for _, n := range p.Notify {
		if madeUpIn(n) {
			fmt.Fprintf(a.streams.Err, "notify %q: nothing is sent, because a secret of it is made up\n", n.Name)
			continue
		}
		t, err := target(p, n)
		if err != nil {
			return nil, fmt.Errorf("notify %q: %w", n.Name, err)
		}
		out = append(out, t)
	}
	return out, nil
}

// madeUpIn reports a secret of the block that was not given.
func madeUpIn(n *schema.Notify) bool {
	texts := []string{n.URL.Reveal(), deref(n.Secret).Reveal()}
	for _, value := range n.Headers {
		texts = append(texts, value.Reveal())
	}
	return strings.Contains(strings.Join(texts, "\n"), madeUpBegin+"-")
}

// target is what a notify block means.
func target(p *schema.Plan, n *schema.Notify) (notify.Target, error) {
	t := notify.Target{Name: n.Name, URL: n.URL.Reveal(), Format: n.Format, On: n.On, Secret: deref(n.Secret).Reveal(),
		Headers: map[string]string{}, Timeout: time.Duration(n.Timeout)}
	for name, value := range n.Headers {
		t.Headers[name] = value.Reveal()
	}
	if n.Templated() {
		t.Render = func(message []byte) (string, error) { return p.Message(n, message) }
	}
	if n.TLS == nil {
		return t, nil
	}
	var err error
	t.TLS, err = hookTLS(p, n.TLS)
	return t, err
}

// hookTLS says how the certificate of a webhook's server is checked.
func hookTLS(p *schema.Plan, how *schema.TLS) (*tls.Config, error) {
	c := &tls.Config{MinVersion: tls.VersionTLS12}
	switch {
	case how.CAFile != nil:
		pem, err := p.Authorities(*how.CAFile)
		if err != nil {
			return nil, fmt.Errorf("tls.ca_file: %w", err)
		}
		c.RootCAs = x509.NewCertPool()
		if !c.RootCAs.AppendCertsFromPEM(pem) {
			return nil, fmt.Errorf("tls.ca_file: %s holds no certificate in PEM form", *how.CAFile)
		}
	case how.Fingerprint != nil:
		want := strings.ToLower(strings.TrimPrefix(*how.Fingerprint, "sha256:"))
		c.InsecureSkipVerify = true // #nosec G402 -- VerifyConnection compares fingerprints instead
		c.VerifyConnection = func(state tls.ConnectionState) error { return pinned(state.PeerCertificates, want) }
	case how.Verify != nil:
		c.InsecureSkipVerify = !*how.Verify // #nosec G402 -- the plan says so
	}
	return c, nil
}

// pinned demands one certificate, by its fingerprint.
func pinned(shown []*x509.Certificate, want string) error {
	if len(shown) == 0 {
		return errors.New("the server shows no certificate")
	}
	if have := fmt.Sprintf("%x", sha256.Sum256(shown[0].Raw)); have != want {
		return fmt.Errorf("the server shows the certificate sha256:%s, the plan pins sha256:%s", have, want)
	}
	return nil
}

// notifier sends messages about a run. nil: none are to be sent. Rehearsals and dry runs
// send none, and neither does esxiplan do, whose
// user waits for the result.
func (r *request) notifier() (*notify.Sink, error) {
	if r.rehearsal || r.flags.dry || r.flags.byHand != "" || len(r.plan.Notify) == 0 {
		return nil, nil
	}
	targets, err := r.targets(r.plan)
	if err != nil || len(targets) == 0 {
		return nil, err
	}
	return notify.New(targets, notify.Options{Plan: r.plan.Name, Simulated: r.site.sim != nil, Mask: r.outward}), nil
}
