package esxi

import (
	"context"
	"slices"
	"strings"

	"github.com/vmware/govmomi/vim25/types"

	"esxiplan/engine/text"
)

// Datastore is a VMFS datastore of the running ESXi.
type Datastore struct {
	Name  string
	Disks []string // on which it lies, as ESXi names them (naa.… eui.… t10.…)
}

// maxDatastores is how many datastores are named.
const maxDatastores = 64

// datastores lists the VMFS datastores; nil if that is unknown: the user may not read it, or
// the ESXi does not say. An error is one of this process only. As with the LUNs, it is a
// request of its own: without an answer the use of the machine is still known.
func (v *conversation) datastores(ctx context.Context) (out []Datastore, err error) {
	err = v.properties(ctx, []string{"config.fileSystemVolume"}, func(value any) {
		if info, ok := value.(types.HostFileSystemVolumeInfo); ok {
			out = vmfs(info)
		}
	})
	text.Value(&out)
	return out, ours(ctx, err)
}

// vmfs lists the VMFS volumes among those that are mounted, in the order of their names.
func vmfs(info types.HostFileSystemVolumeInfo) []Datastore {
	out := []Datastore{}
	for _, m := range info.MountInfo {
		volume, ok := m.Volume.(*types.HostVmfsVolume)
		if !ok || len(out) == maxDatastores {
			continue
		}
		d := Datastore{Name: volume.Name}
		for _, extent := range volume.Extent {
			d.Disks = append(d.Disks, extent.DiskName)
		}
		out = append(out, d)
	}
	slices.SortFunc(out, func(a, b Datastore) int { return strings.Compare(a.Name, b.Name) })
	return out
}
