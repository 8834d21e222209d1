package buildiso_test

import (
	"context"
	"encoding/json"
	"os"
	"path/filepath"
	"testing"

	"esxiplan/engine/bmc/vendors"
	"esxiplan/engine/media"
	"esxiplan/engine/media/isosim"
	"esxiplan/schema"
	"esxiplan/steps/buildiso"
	"esxiplan/steps/steptest"
)

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
