package steptest

import (
	"context"
	"encoding/json"
	"fmt"
	"testing"

	"esxiplan/engine/bmc"
	"esxiplan/engine/step"
)

// Stage is one step of a flow.
type Stage struct {
	Type      *step.Type
	Arguments string // JSON, every argument
	After     func() // what happens then; may be nil
}

// Flow runs steps one after the other on one host, as the engine does: with the
// retries of each step's policy, on one connection, which it closes.
func (b *Bench) Flow(t *testing.T, vendors []bmc.Vendor, stages ...Stage) (results []json.RawMessage, err error) {
	t.Helper()
	h := b.host(t, vendors, false)
	b.flows++
	b.flow = fmt.Sprint("flow", b.flows)
	for _, s := range stages {
		var result json.RawMessage
		if result, err = b.attempts(t.Context(), h, s); err != nil {
			err = fmt.Errorf("%s: %w", s.Type.Name, err)
			break
		}
		results = append(results, result)
		if s.After != nil {
			s.After()
		}
	}
	h.Close(context.WithoutCancel(t.Context()))
	return results, err
}

func (b *Bench) attempts(ctx context.Context, h *step.Host, s Stage) (result json.RawMessage, err error) {
	a := b.attempt(b.flow, s.Type.Name)
	for try := 0; ; try++ {
		h.Begin(a)
		result, err = s.Type.Run(ctx, h, json.RawMessage(s.Arguments))
		if err == nil || step.Classify(err) == step.Final || try == s.Type.Policy.Retries {
			return result, err
		}
		if err := a.Sleep(ctx, s.Type.Policy.Delay); err != nil {
			return nil, err
		}
	}
}
