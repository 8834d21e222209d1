package esxisim

import (
	"fmt"
	"slices"
	"strings"

	"github.com/vmware/govmomi/simulator"
	"github.com/vmware/govmomi/vim25/methods"
	"github.com/vmware/govmomi/vim25/mo"
	"github.com/vmware/govmomi/vim25/soap"
	"github.com/vmware/govmomi/vim25/types"
)

// LUN is a SCSI device of an ESXi.
type LUN struct {
	Name, Vendor, Model string
	Bytes               int64
	Type                string                        // "": a disk
	Transport           types.BaseHostTargetTransport // by which its target is reached; two paths lead there
	NVMe                types.HostNvmeTransportType   // "", or by which its controller is reached
}

// RemoteLUN is a disk over Fibre Channel that other hosts may use, too.
func RemoteLUN() LUN {
	return LUN{Name: "naa.600a098038313372465d4f2f4a6b7131", Vendor: "NETAPP  ", Model: "LUN C-Mode      ", Bytes: 2 << 40,
		Transport: &types.HostFibreChannelTargetTransport{PortWorldWideName: 0x2001, NodeWorldWideName: 0x2000}}
}

// Datastore is a VMFS volume on one disk, by the name that ESXi gives to that.
type Datastore struct{ Name, Disk string }

// volumesOf makes what an ESXi reports about its file systems: its datastores and those from which
// it boots.
func volumesOf(stores []Datastore) *types.HostFileSystemVolumeInfo {
	info := &types.HostFileSystemVolumeInfo{MountInfo: []types.HostFileSystemMountInfo{{
		Volume: &types.HostVfatVolume{HostFileSystemVolume: types.HostFileSystemVolume{Type: "VFAT", Name: "BOOTBANK1"}}}}}
	for _, s := range stores {
		info.MountInfo = append(info.MountInfo, types.HostFileSystemMountInfo{Volume: &types.HostVmfsVolume{
			HostFileSystemVolume: types.HostFileSystemVolume{Type: "VMFS", Name: s.Name}, MajorVersion: 6, Version: "6.82",
			Extent: []types.HostScsiDiskPartition{{DiskName: s.Disk, Partition: 8}}}})
	}
	return info
}

// host is the host object, with what its API hides from the user.
type host struct {
	mo.HostSystem
	hides bool // the storage
}

// storageOf makes what an ESXi reports about its storage devices.
func storageOf(luns []LUN) *types.HostStorageDeviceInfo {
	scsi, nvme := types.HostScsiTopologyInterface{Key: "scsi"}, types.HostNvmeTopologyInterface{Key: "nvme"}
	info := &types.HostStorageDeviceInfo{}
	for i, l := range luns {
		key := "key-vim.host.ScsiDisk-" + l.Name
		info.ScsiLun = append(info.ScsiLun, l.device(key))
		for path := range 2 {
			scsi.Target = append(scsi.Target, types.HostScsiTopologyTarget{Key: fmt.Sprint(i, path), Target: int32(2*i + path), Transport: l.Transport,
				Lun: []types.HostScsiTopologyLun{{Key: fmt.Sprint(i, path, "lun"), ScsiLun: key}}})
		}
		if l.NVMe != "" {
			nvme.ConnectedController = append(nvme.ConnectedController, types.HostNvmeController{Key: key, TransportType: string(l.NVMe),
				AttachedNamespace: []types.HostNvmeNamespace{{Key: key, Name: l.Name}}})
		}
	}
	info.ScsiTopology = &types.HostScsiTopology{Adapter: []types.HostScsiTopologyInterface{scsi}}
	info.NvmeTopology = &types.HostNvmeTopology{Adapter: []types.HostNvmeTopologyInterface{nvme}}
	return info
}

// device is the entry of a LUN in the list of devices.
func (l LUN) device(key string) types.BaseScsiLun {
	base := types.ScsiLun{Key: key, Uuid: key, CanonicalName: l.Name, Vendor: l.Vendor, Model: l.Model, LunType: l.Type}
	if l.Type != "" {
		return &base
	}
	base.LunType = string(types.ScsiLunTypeDisk)
	return &types.HostScsiDisk{ScsiLun: base, Capacity: types.HostDiskDimensionsLba{BlockSize: 512, Block: l.Bytes / 512}}
}

// collector answers like the API of a host that does not show all properties to the user. Each
// session has its own.
type collector struct{ simulator.PropertyCollector }

// RetrieveProperties is called by the simulator through its name.
func (c *collector) RetrieveProperties(ctx *simulator.Context, r *types.RetrieveProperties) soap.HasFault {
	body := c.PropertyCollector.RetrieveProperties(ctx, r)
	h, ok := ctx.Map.Get(hostRef).(*host)
	if answer, is := body.(*methods.RetrievePropertiesBody); ok && h.hides && is && answer.Res != nil {
		for i := range answer.Res.Returnval {
			hideStorage(&answer.Res.Returnval[i])
		}
	}
	return body
}

// hideStorage makes the storage of a host what the user may not read.
func hideStorage(o *types.ObjectContent) {
	o.PropSet = slices.DeleteFunc(o.PropSet, func(p types.DynamicProperty) bool {
		hidden := strings.HasPrefix(p.Name, "config.storageDevice") || strings.HasPrefix(p.Name, "config.fileSystemVolume")
		if hidden {
			o.MissingSet = append(o.MissingSet, types.MissingProperty{Path: p.Name,
				Fault: types.LocalizedMethodFault{Fault: &types.NoPermission{Object: &o.Obj, PrivilegeId: "Host.Config.Storage"}}})
		}
		return hidden
	})
}
