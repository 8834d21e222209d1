//go:build unix

package descriptor_test

import (
	"errors"
	"fmt"
	"net"
	"os"
	"syscall"
	"testing"

	"esxiplan/engine/descriptor"
)

func TestExhausted(t *testing.T) {
	wrapped := &net.OpError{Op: "dial", Err: os.NewSyscallError("socket", syscall.EMFILE)}
	for err, want := range map[error]bool{
		fmt.Errorf("GET /: %w", wrapped): true, &os.PathError{Op: "open", Err: syscall.ENFILE}: true,
		errors.New("too many open files"): false, syscall.ECONNREFUSED: false,
	} {
		if descriptor.Exhausted(err) != want {
			t.Errorf("%v: not %v", err, want)
		}
	}
	if descriptor.Exhausted(nil) {
		t.Error("nil is an error")
	}
}

// TestLimit: what the package says of Go holds: the soft limit is the hard one.
func TestLimit(t *testing.T) {
	n, known := descriptor.Limit()
	var limit syscall.Rlimit
	if err := syscall.Getrlimit(syscall.RLIMIT_NOFILE, &limit); err != nil {
		t.Fatal(err)
	}
	if !known || n < 3 || uint64(n)+1 < uint64(limit.Max) {
		t.Errorf("limit %d, known %v; the hard one is %d", n, known, limit.Max)
	}
}
