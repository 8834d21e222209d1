package main

import (
	"context"
	"errors"
	"fmt"
	"path/filepath"

	"esxiplan/engine/state"
	"esxiplan/engine/step"
)

// lock takes the locks of the machines on which a run works. Those of simulated machines concern
// this state folder only.
func (e *execution) lock(run string) (*state.Locks, error) {
	o := state.LockOptions{Folders: []string{filepath.Join(e.state, "locks")}, Holder: state.NewHolder(run)}
	if e.sim == nil {
		o.Folders = state.LockFolders(e.state)
	}
	var keys []string
	names := map[string]string{}
	for _, h := range e.machine.Working() {
		key := h.BMC.Address.Key()
		keys, names[key] = append(keys, key), fmt.Sprintf("%s (bmc %s)", h.Name, h.BMC.Address)
	}
	o.Name = func(key string) string { return names[key] }
	locks, err := state.Acquire(context.Background(), keys, o)
	if err == nil {
		e.held = func() error { return refusal(locks.Held()) }
	}
	return locks, err
}

// refusal is what a host fails with when the locks are lost.
func refusal(err error) error {
	var lost *state.Lost
	if errors.As(err, &lost) {
		return &step.Refusal{Guard: "lock", Reason: lost.Reason, Next: lost.Next}
	}
	return err
}

// unlock gives the locks back.
func (e *execution) unlock(locks *state.Locks) {
	if err := locks.Release(); err != nil {
		fmt.Fprintf(e.streams.Err, "warning: locks were not given back; they end by themselves: %v\n", err)
	}
}
