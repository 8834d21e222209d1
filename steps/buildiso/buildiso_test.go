package buildiso_test

import (
	"context"
	"encoding/json"
	"errors"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/zclconf/go-cty/cty"

	"esxiplan/engine/bmc/vendors"
	"esxiplan/engine/media"
	"esxiplan/engine/media/isosim"
	"esxiplan/engine/step"
	"esxiplan/schema"
	"esxiplan/steps/buildiso"
	"esxiplan/steps/steptest"
)

// TestFirstBoot: the generated kickstart has parts for the first boot where firstboot or ssh
// asks for them; what a kickstart of the plan's own has is not known.
func TestFirstBoot(t *testing.T) {
	for arguments, want := range map[string]bool{
		`{}`: false, `{"ssh":true}`: true, `{"firstboot":"x"}`: true, `{"firstboot":""}`: false, `{"kickstart":"x"}`: false,
	} {
		if got := buildiso.Type.Effects(json.RawMessage(arguments)); got.FirstBoot != want || !got.Builds || !got.Disk {
			t.Errorf("%s: %+v", arguments, got)
		}
	}
	if buildiso.Type.Effects(nil).FirstBoot {
		t.Error("arguments that are not known are taken for such that ask for them")
	}
}

func TestBuildISO(t *testing.T) {
	dir := t.TempDir()
	source := filepath.Join(dir, "installer.iso")
	f, err := os.Create(source)
	if err != nil {
		t.Fatal(err)
	}
	if err := isosim.Write(f, isosim.Options{Version: "8.0.3", Build: "24022510"}); err != nil {
		t.Fatal(err)
	}
	f.Close()
	var x schema.ESXi
	if err := json.Unmarshal([]byte(`{"address":"192.0.2.11","netmask":"255.255.255.0","gateway":"192.0.2.1","root_password":"Some-password-1x","disk":{"model":"DELLBOSS VD"}}`), &x); err != nil {
		t.Fatal(err)
	}
	steptest.Run(t, buildiso.Type, vendors.All(), steptest.Case{
		Arguments: `{"image":{"name":"esxi","source":` + quoted(source) + `,"sha256":null,"version":null,"build":null},"system_media_size":"small","keyboard":"Swiss German","kernel_options":["a=1"]}`,
		Prepare: func(b *steptest.Bench) {
			published := t.TempDir()
			sockets, err := media.Listen("127.0.0.1:0", "", "", "", "")
			if err != nil {
				t.Error(err)
				return
			}
			web := media.ServeDirectory(media.DirectoryServerOptions{Sockets: sockets, Dir: published})
			t.Cleanup(func() { web.Close(context.Background()) })
			store, err := media.NewDirectory(published, "http://"+sockets.Addr().String(), false, media.Options{})
			if err != nil {
				t.Error(err)
				return
			}
			t.Cleanup(store.Close)
			b.Media, b.ESXi = store, &x
		},
	})
}

func quoted(text string) string {
	b, _ := json.Marshal(text)
	return string(b)
}

// TestRequest: an argument that would write to another disk than the plan names, or lead
// the installer elsewhere, is refused at its own place; else the medium says which disks
// it overwrites.
func TestRequest(t *testing.T) {
	const esxi = `{"address":"192.0.2.11","netmask":"255.255.255.0","gateway":"192.0.2.1","root_password":"Some-password-1x","disk":{"name":"naa.50","confirm":false},"wipe":[{"wwn":"51"}]}`
	own := func(lines string) string {
		return `{"kickstart":` + quoted("vmaccepteula\n"+lines+"\nnetwork --bootproto=dhcp --device=vmnic0\nreboot\n") + `}`
	}
	for name, c := range map[string]struct{ arguments, at, text string }{
		"nothing further":         {`{}`, "", ""},
		"part on wiped":           {`{"commands":["part data --ondisk=naa.51"]}`, "", ""},
		"part on another":         {`{"commands":["paranoid","part data --ondisk=naa.52"]}`, "commands", "part --ondisk=naa.52: the plan does not name this disk"},
		"part on the disk":        {`{"commands":["part data --ondisk=naa.50"]}`, "commands", "is the disk of the installation"},
		"part on any":             {`{"commands":["part data --onfirstdisk"]}`, "commands", "the plan does not say which disk this is"},
		"a second install":        {`{"commands":["install --disk=naa.50"]}`, "commands", "cannot be added"},
		"pre":                     {`{"pre":"true\ndd of=/dev/disks/naa.52"}`, "pre", "line 2, column 18"},
		"post":                    {`{"post":"partedUtil mklabel naa.52 gpt"}`, "post", "names naa.52"},
		"firstboot":               {`{"firstboot":"vmkfstools -C vmfs6 naa.52:1"}`, "firstboot", "names naa.52"},
		"a planned script":        {`{"firstboot":"vmkfstools -C vmfs6 /vmfs/devices/disks/naa.51:1"}`, "", ""},
		"a cut script":            {`{"post":"included=1"}`, "post", "where the installer would end the script"},
		"kernel option":           {`{"kernel_options":["nofb","ip=192.0.2.9"]}`, "kernel_options", "over the network"},
		"media size":              {`{"kernel_options":["systemmediasize=max"]}`, "kernel_options", "system_media_size"},
		"own":                     {own("clearpart --drives=naa.51 --overwritevmfs\ninstall --disk=naa.50 --overwritevmfs"), "", ""},
		"own, elsewhere":          {own("clearpart --drives=naa.51 --overwritevmfs\ninstall --disk=naa.52 --overwritevmfs"), "kickstart", "installs on naa.52, esxi.disk is name naa.50"},
		"own, not cleared":        {own("install --disk=naa.50 --overwritevmfs"), "kickstart", "does not clear"},
		"own, unchecked, confirm": {own("%include /tmp/disk.cfg\nclearpart --drives=naa.51 --overwritevmfs"), "kickstart", "cannot be compared with the plan"},
		"own, unchecked":          {strings.TrimSuffix(own("%include /tmp/disk.cfg\nclearpart --drives=naa.51 --overwritevmfs"), "}") + `,"unchecked_disks":true}`, "", ""},
		"own, unchecked, all":     {strings.TrimSuffix(own("clearpart --alldrives --overwritevmfs # esxiplan:ignore clearpart-alldrives\ninstall --disk=naa.50 --overwritevmfs"), "}") + `,"unchecked_disks":true}`, "kickstart", "clearpart --alldrives takes disks whatever they hold"},
		"own, unchecked, first":   {strings.TrimSuffix(own("clearpart --drives=naa.51 --overwritevmfs\ninstall --firstdisk --overwritevmfs # esxiplan:ignore firstdisk-bare"), "}") + `,"unchecked_disks":true}`, "kickstart", "install --firstdisk takes disks whatever they hold"},
		"unchecked, generated":    {`{"unchecked_disks":true}`, "unchecked_disks", "a kickstart of your own"},
		"own and dry_run":         {`{"kickstart":"x","dry_run":true}`, "dry_run", "write it there"},
		"own, empty":              {`{"kickstart":""}`, "kickstart", "is empty"},
	} {
		t.Run(name, func(t *testing.T) {
			var a buildiso.Arguments
			h := &schema.Host{Name: "h1", ESXi: &schema.ESXi{}}
			if err := errors.Join(json.Unmarshal([]byte(c.arguments), &a), json.Unmarshal([]byte(esxi), h.ESXi)); err != nil {
				t.Fatal(err)
			}
			r, err := buildiso.Request("lab", h, a)
			if c.at == "" {
				if err != nil || !slices.Equal(r.Disks, []string{"name naa.50", "cleared: wwn 51"}) {
					t.Errorf("%v, disks %q", err, r.Disks)
				}
				return
			}
			var at *schema.ArgumentError
			if !errors.As(err, &at) || !at.Path.Equals(cty.GetAttrPath(c.at)) || !strings.Contains(err.Error(), c.text) {
				t.Errorf("%v, want %q at %s", err, c.text, c.at)
			}
		})
	}
}

// elsewhere is a store on a machine that has the manifest and not the installer image.
type elsewhere struct{ media.Store }

func (elsewhere) Source(context.Context, media.Source) (string, string, error) {
	return "", "", os.ErrNotExist
}

func (elsewhere) Published(context.Context, media.Request) (media.Published, error) {
	return media.Published{URL: "http://192.0.2.9/h1.iso"}, nil
}

// TestRecallWithoutTheImage: a later stage asks the manifest only, for system_media_size, too.
func TestRecallWithoutTheImage(t *testing.T) {
	var x schema.ESXi
	if err := json.Unmarshal([]byte(`{"address":"192.0.2.11","dhcp":true,"root_password":"Some-password-1x","disk":{"name":"naa.50"}}`), &x); err != nil {
		t.Fatal(err)
	}
	h := &step.Host{Name: "h1", Plan: "lab", Declared: &schema.Host{Name: "h1", ESXi: &x}}
	h.SetMedia(elsewhere{})
	got, err := buildiso.Type.Recall(t.Context(), h, json.RawMessage(`{"system_media_size":"small"}`))
	if err != nil || !strings.Contains(string(got), "http://192.0.2.9/h1.iso") {
		t.Errorf("%s %v", got, err)
	}
}
