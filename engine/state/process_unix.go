//go:build unix

package state

import (
	"errors"
	"os"
	"runtime"
	"strconv"
	"strings"
	"syscall"
)

// process distinguishes a process from a later one with the same number, and from one with the
// same number in another container. Only Linux shows these.
type process struct {
	Boot      string `json:"boot,omitempty"`          // of the host
	Namespace string `json:"pid_namespace,omitempty"` // in which the number counts
	Started   string `json:"started,omitempty"`       // in ticks after boot
}

// thisProcess describes the one that runs.
func thisProcess() process {
	boot, _ := os.ReadFile("/proc/sys/kernel/random/boot_id")
	namespace, _ := os.Readlink("/proc/self/ns/pid")
	started, _ := processStat(os.Getpid())
	return process{Boot: strings.TrimSpace(string(boot)), Namespace: namespace, Started: started}
}

// ended reports that a process on the host of the process here has certainly ended.
func (p process) ended(pid int, here process) bool {
	if p.Boot != here.Boot || p.Namespace != here.Namespace || runtime.GOOS == "linux" && (p.Boot == "" || p.Namespace == "") {
		return false
	}
	if errors.Is(syscall.Kill(pid, 0), syscall.ESRCH) {
		return true
	}
	started, state := processStat(pid) // unknown where /proc shows only one's own processes
	return state == "Z" || state == "X" || started != "" && p.Started != "" && started != p.Started
}

// processStat reads when a process was started, and its state; "" if that cannot be read.
func processStat(pid int) (started, state string) {
	b, err := os.ReadFile("/proc/" + strconv.Itoa(pid) + "/stat")
	if err != nil {
		return "", ""
	}
	text := string(b)
	fields := strings.Fields(text[strings.LastIndexByte(text, ')')+1:]) // the name before may hold anything
	if len(fields) < 20 {
		return "", ""
	}
	return fields[19], fields[0]
}
