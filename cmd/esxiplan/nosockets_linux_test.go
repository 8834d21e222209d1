//go:build amd64 || arm64

package main

import (
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strings"
	"syscall"
	"testing"
	"unsafe"
)

// withoutSockets is set for a process that the kernel is to end as soon as it asks for a socket.
const withoutSockets = "ESXIPLAN_TEST_WITHOUT_SOCKETS"

// A process that was started so begins anew, as the command, behind the filter. Only then all
// its threads have it.
func init() {
	if os.Getenv(withoutSockets) == "" {
		return
	}
	os.Unsetenv(withoutSockets)
	os.Setenv("ESXIPLAN_AS_COMMAND", "1")
	runtime.LockOSThread()
	if err := forbidSockets(); err != nil {
		os.Exit(cannotFilter)
	}
	syscall.Exec("/proc/self/exe", os.Args, os.Environ())
	os.Exit(cannotFilter)
}

// cannotFilter is the exit code where the kernel has no such filters.
const cannotFilter = 99

// forbidSockets lets the kernel end the process that the calling thread becomes with its next
// call of socket(2) for a network. It takes no privilege. Two families are left out that stay on the
// computer, and that no plan leads to: by netlink a library that makes identifiers asks the
// kernel for the network cards when the process starts, and by a UNIX socket the C library of
// this binary, which is built with cgo, asks for the name of the user.
func forbidSockets() error {
	type instruction struct {
		code   uint16
		jt, jf uint8
		k      uint32
	}
	filter := []instruction{
		{0x20, 0, 0, 0},                  // load the number of the call
		{0x15, 0, 4, syscall.SYS_SOCKET}, // socket?
		{0x20, 0, 0, 16},                 // load its first argument, the family
		{0x15, 2, 0, syscall.AF_NETLINK},
		{0x15, 1, 0, syscall.AF_UNIX},
		{0x06, 0, 0, 0x00030000}, // else SIGSYS, of which a Go process dies with a trace
		{0x06, 0, 0, 0x7fff0000}, // allow it
	}
	program := struct {
		length uint16
		filter *instruction
	}{uint16(len(filter)), &filter[0]}
	const setNoNewPrivileges, setSeccomp, modeFilter = 38, 22, 2
	if _, _, number := syscall.RawSyscall6(syscall.SYS_PRCTL, setNoNewPrivileges, 1, 0, 0, 0, 0); number != 0 {
		return number
	}
	if _, _, number := syscall.RawSyscall(syscall.SYS_PRCTL, setSeccomp, modeFilter, uintptr(unsafe.Pointer(&program))); number != 0 {
		return number
	}
	return nil
}

// connected is a plan with all that would connect, listen or look up: names of BMCs, of readers
// and of a web server, and a step that fetches from a service of this machine.
const connected = `
plan "connected" {}
image "esxi" { source = "/nowhere/VMware-VMvisor-Installer-8.0U3-24022510.x86_64.iso" }
media {
  MEDIA
}
group "g" {
  vendor = "dell"
  bmc {
    username = "root"
    password = env("BMC_PASSWORD")
    tls      = { first_use = true }
  }
  esxi {
    netmask       = "255.255.255.0"
    gateway       = "192.0.2.1"
    disk          = { model = "DELLBOSS VD" }
    root_password = env("BMC_ROOT_PASSWORD")
  }
  host "bmc.example.com" {
    esxi { address = "192.0.2.10" }
  }
}
notify "author" {
  url = "http://192.0.2.80/"
  on  = ["start", "failure", "end"]
}
step "precheck" "login" {}
step "build_iso" "installer" { image = image.esxi }
step "insert" "cd" { image = INSERT }
STEPS
`

const untilInstalled = `step "one_time_boot" "cd_once" { target = "cd" }
step "power" "restart" { action = "restart" }
step "wait" "installed" {}`

// TestUntrustedOpensNoSocket: the kernel kills what asks for one.
func TestUntrustedOpensNoSocket(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	plan := func(name, media, insert, steps string) string {
		name = filepath.Join(dir, name)
		text := strings.NewReplacer("MEDIA", media, "INSERT", insert, "STEPS", steps).Replace(connected)
		if err := os.WriteFile(name, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		return name
	}
	serves := plan("serves.hcl", "listen     = \"0.0.0.0:8090\"\n  listen_tls = \"0.0.0.0:8443\"\n  allow      = [\"reader.example.com\"]", "step.installer.url", untilInstalled)
	directory := plan("directory.hcl", "directory = \"iso\"\n  url       = \"https://web.example.com/iso\"", "step.installer.url", untilInstalled)
	loopback := plan("loopback.hcl", "listen = \"127.0.0.1:0\"", `"http://127.0.0.1:80/latest/meta-data.iso"`, "")
	run := func(args ...string) (code int, output string) {
		c := exec.Command(os.Args[0], args...)
		c.Env = append(os.Environ(), withoutSockets+"=1", "HOME="+dir, "CI=1", "OTEL_EXPORTER_OTLP_ENDPOINT=http://192.0.2.81:4318")
		out, _ := c.CombinedOutput()
		return c.ProcessState.ExitCode(), string(out)
	}
	if code, out := run("rehearse", serves); code == cannotFilter {
		if os.Getenv("CI") != "" {
			t.Fatal("CI must have a kernel with filters for system calls, which show that no socket is opened")
		}
		t.Skip("this kernel has no filters for system calls")
	} else if !strings.Contains(out, "SIGSYS") {
		t.Fatalf("with sockets it should be ended: exit %d\n%s", code, out)
	}
	for _, c := range []struct {
		code int
		args []string
	}{
		{0, []string{"validate", serves}},
		{0, []string{"validate", directory}},
		{0, []string{"list", "hosts", serves}},
		{0, []string{"kickstart", "render", serves, "--host", "bmc.example.com"}},
		{0, []string{"fmt", "--check", serves}},
		{0, []string{"rehearse", serves, "--speed", "600"}},
		{0, []string{"rehearse", directory, "--speed", "600"}},
		{2, []string{"rehearse", loopback, "--speed", "600"}}, // nothing of this machine is fetched
		{1, []string{"run", serves, "--yes"}},
		{1, []string{"run", serves, "--dry-run"}},
		{1, []string{"discover", serves}},
		{1, []string{"status", serves, "--once"}},
		{1, []string{"do", "eject", serves}},
		{1, []string{"sim", serves}},
		{1, []string{"notify", serves}},
	} {
		t.Run(strings.Join(c.args[:1], " ")+" "+filepath.Base(c.args[len(c.args)-1]), func(t *testing.T) {
			t.Parallel()
			code, out := run(append(c.args, "--untrusted")...)
			if strings.Contains(out, "SIGSYS") || code != c.code && !(c.args[0] == "fmt" && code == 3) {
				t.Errorf("exit %d, not %d:\n%s", code, c.code, out)
			}
			if c.code == 1 && !strings.Contains(out, "never run") {
				t.Errorf("it does not say why:\n%s", out)
			}
		})
	}
}
