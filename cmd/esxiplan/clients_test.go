package main

import (
	"bytes"
	"context"
	"crypto/tls"
	"fmt"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"esxiplan/engine/media/isosim"
)

// kickstart is written by hand: no code from here has a part in this test but the
// simulators.
const handWritten = `vmaccepteula
rootpw --iscrypted '$6$saltsaltsaltsalt$` + "QlNUMiNeQw8uLr6AZEmHbcWdxg0LhxlIbCkYrCkWLgBZFlSuQ8yFKLVtBzxHqGBHJrb5Q6wS5m5W7F4N8Fu8E1" + `'
install --disk='naa.50010000000000ab' --overwritevmfs
network --bootproto=static --ip='192.0.2.11' --netmask='255.255.255.0' --gateway='192.0.2.1' --hostname='plain'
reboot
`

// TestPlainClients lets plain gofish and plain curl do the whole flow on esxiplan
// sim, for each kind of BMC, up to an ESXi that answers.
func TestPlainClients(t *testing.T) {
	t.Parallel()
	clients := map[string][]string{"gofish": {"go", "run", filepath.Join("..", "..", "testdata", "clients", "gofish.go")}}
	if _, err := exec.LookPath("curl"); err == nil {
		clients["curl"] = []string{filepath.Join("..", "..", "testdata", "clients", "curl.sh")}
	} else if os.Getenv("CI") != "" {
		t.Error("there is no curl, which CI must have")
	} else {
		t.Log("there is no curl: only gofish is tried")
	}
	web := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		http.ServeContent(w, r, "x.iso", time.Time{}, bytes.NewReader(plainImage(t)))
	}))
	t.Cleanup(web.Close)
	for _, profile := range []string{"dell/idrac9", "dell/idrac10", "hpe/ilo5", "lenovo/xcc", "redfish/standard"} {
		for name, command := range clients {
			t.Run(name+" "+profile, func(t *testing.T) {
				bmc, esxi := serveOne(t, profile)
				c := exec.Command(command[0], append(command[1:], bmc, "root", "calvin-plain", web.URL+"/x.iso")...)
				out, err := c.CombinedOutput()
				if err != nil || !strings.Contains(string(out), "restarted") {
					t.Fatalf("%v\n%s", err, out)
				}
				answers(t, esxi)
			})
		}
	}
}

func plainImage(t *testing.T) []byte {
	t.Helper()
	boot := "kernel=/b.b00\nkernelopt=runweasel ks=cdrom:/KS.CFG\nmodules=/k.b00\n"
	var b bytes.Buffer
	if err := isosim.Write(&b, isosim.Options{Version: "8.0.3", Build: "24022510", Files: map[string]string{"KS.CFG": handWritten, "BOOT.CFG": boot, "EFI/BOOT/BOOT.CFG": boot}}); err != nil {
		t.Fatal(err)
	}
	return b.Bytes()
}

// serveOne starts esxiplan sim for one host and returns where BMC and ESXi are.
func serveOne(t *testing.T, profile string) (bmc, esxi string) {
	t.Helper()
	vendor, _, _ := strings.Cut(profile, "/")
	plan := fmt.Sprintf(`plan "plain" {}
group "g" {
  vendor = %q
  bmc {
    username = "root"
    password = "calvin-plain"
  }
  esxi {
    disk = { wwn = "50010000000000ab" }
  }
  host "one" {
    bmc { address = "198.51.100.1" }
    esxi { address = "192.0.2.11" }
  }
}
step "precheck" "look" {}
`, vendor)
	sim := simulatePlan(t, plan, "--speed", "2000", "--profile", "one="+profile)
	f, err := readSimFile(filepath.Join(sim.dir, "sim.json"))
	if err != nil {
		t.Fatal(err)
	}
	return "https://" + f.Addresses["198.51.100.1:443"], "https://" + f.Addresses["192.0.2.11:443"]
}

// answers waits for the API of the installed system, as any monitoring would.
func answers(t *testing.T, url string) {
	t.Helper()
	client := &http.Client{Timeout: 5 * time.Second, Transport: &http.Transport{TLSClientConfig: &tls.Config{InsecureSkipVerify: true}, DisableKeepAlives: true}}
	ctx, cancel := context.WithTimeout(t.Context(), 30*time.Second)
	defer cancel()
	for ctx.Err() == nil {
		req, err := http.NewRequestWithContext(ctx, http.MethodPost, url+"/sdk", strings.NewReader(`<Envelope xmlns="http://schemas.xmlsoap.org/soap/envelope/"><Body><RetrieveServiceContent xmlns="urn:vim25"><_this type="ServiceInstance">ServiceInstance</_this></RetrieveServiceContent></Body></Envelope>`))
		if err != nil {
			t.Fatal(err)
		}
		if resp, err := client.Do(req); err == nil {
			resp.Body.Close()
			if resp.StatusCode == http.StatusOK {
				return
			}
		}
		pause()
	}
	t.Error("no ESXi came up")
}
