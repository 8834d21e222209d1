package esxi

import (
	"cmp"
	"context"
	"fmt"
	"slices"
	"strconv"
	"strings"

	"github.com/vmware/govmomi/vim25/methods"
	"github.com/vmware/govmomi/vim25/types"

	"esxiplan/engine/descriptor"
	"esxiplan/engine/text"
)

// At most so many LUNs are named, in so many characters each.
const (
	maxLUNs    = 8
	maxLUNText = 120
)

// lun is one way to a LUN of a storage network.
type lun struct {
	device string // key of the device in the list of SCSI devices, "" if only the name is known
	name   string
	over   string // the network
}

// remoteLUNs describes the LUNs that the ESXi sees over a storage network, each once; nil
// if it sees none, or if that is unknown: the user may not read it, or the ESXi does not
// say. An error is one of this process only.
//
// These are requests of their own: what an ESXi cannot answer, or does not answer in time,
// says nothing about its use. Devices are listed in detail (some kB each, and of up to 1024)
// only where there are such LUNs.
func (v *conversation) remoteLUNs(ctx context.Context) ([]string, error) {
	topology, err := v.topology(ctx)
	found := remote(topology)
	if len(found) == 0 || err != nil {
		return nil, ours(ctx, err)
	}
	devices, err := v.storage(ctx, "scsiLun")
	return describeLUNs(found, devices.ScsiLun), ours(ctx, err)
}

// ours is an error that says nothing about the ESXi.
func ours(ctx context.Context, err error) error {
	if ctx.Err() == nil && descriptor.Exhausted(err) {
		return err
	}
	return ctx.Err()
}

// topology asks how devices are attached. The NVMe topology belongs to version 7.0 of the API:
// if the ESXi does not speak that version, the rest is requested alone.
func (v *conversation) topology(ctx context.Context) (types.HostStorageDeviceInfo, error) {
	major, _, _ := strings.Cut(v.content.About.ApiVersion, ".")
	if n, _ := strconv.Atoi(major); n >= 7 {
		spoken := v.soap.Version
		v.soap.Version = "7.0"
		info, err := v.storage(ctx, "scsiTopology", "nvmeTopology")
		if v.soap.Version = spoken; err == nil {
			return info, nil
		}
	}
	return v.storage(ctx, "scsiTopology")
}

// storage reads parts of what the ESXi reports about its storage devices, without those that
// the user may not read.
func (v *conversation) storage(ctx context.Context, parts ...string) (info types.HostStorageDeviceInfo, err error) {
	for i, part := range parts {
		parts[i] = "config.storageDevice." + part
	}
	err = v.properties(ctx, parts, func(value any) {
		switch value := value.(type) {
		case types.HostScsiTopology:
			info.ScsiTopology = &value
		case types.HostNvmeTopology:
			info.NvmeTopology = &value
		case types.ArrayOfScsiLun:
			info.ScsiLun = value.ScsiLun
		}
	})
	return info, err
}

// properties reads properties of the host, and returns those that the user may read.
func (v *conversation) properties(ctx context.Context, paths []string, take func(value any)) error {
	answer, err := methods.RetrieveProperties(ctx, answering{v.soap}, &types.RetrieveProperties{This: v.content.PropertyCollector,
		SpecSet: []types.PropertyFilterSpec{{
			ObjectSet: []types.ObjectSpec{{Obj: hostRef, Skip: types.NewBool(false)}},
			PropSet:   []types.PropertySpec{{Type: "HostSystem", PathSet: paths}},
		}}})
	if err != nil {
		return err
	}
	for _, object := range answer.Returnval {
		for _, property := range object.PropSet {
			take(property.Val)
		}
	}
	return nil
}

// remote lists the ways to LUNs that lead over a storage network.
func remote(info types.HostStorageDeviceInfo) (found []lun) {
	if info.ScsiTopology != nil {
		for _, adapter := range info.ScsiTopology.Adapter {
			for _, target := range adapter.Target {
				found = append(found, behind(target)...)
			}
		}
	}
	if info.NvmeTopology != nil {
		for _, adapter := range info.NvmeTopology.Adapter {
			for _, controller := range adapter.ConnectedController {
				found = append(found, namespaces(controller)...)
			}
		}
	}
	return found
}

// behind lists the LUNs of a target in a storage network.
func behind(target types.HostScsiTopologyTarget) (found []lun) {
	over := network(target.Transport)
	if over == "" {
		return nil
	}
	for _, l := range target.Lun {
		found = append(found, lun{l.ScsiLun, fmt.Sprintf("LUN %d of target %d", l.Lun, target.Target), over})
	}
	return found
}

// network is the storage network of a transport, "" for one within the machine.
func network(transport types.BaseHostTargetTransport) string {
	switch transport.(type) {
	case *types.HostFibreChannelOverEthernetTargetTransport:
		return "FCoE"
	case *types.HostFibreChannelTargetTransport:
		return "Fibre Channel"
	case *types.HostInternetScsiTargetTransport:
		return "iSCSI"
	case *types.HostTcpTargetTransport:
		return "TCP"
	case *types.HostRdmaTargetTransport:
		return "RDMA"
	}
	return ""
}

// fabrics are the networks of NVMe; its other transports are within the machine.
var fabrics = map[types.HostNvmeTransportType]string{
	types.HostNvmeTransportTypeFibreChannel: "Fibre Channel", types.HostNvmeTransportTypeTcp: "TCP", types.HostNvmeTransportTypeRdma: "RDMA",
}

// namespaces lists those of a controller in a storage network.
func namespaces(controller types.HostNvmeController) (found []lun) {
	over := fabrics[types.HostNvmeTransportType(controller.TransportType)]
	if over == "" {
		return nil
	}
	for _, n := range controller.AttachedNamespace {
		found = append(found, lun{"", n.Name, over})
	}
	return found
}

// describeLUNs lists each disk once. Without a list of the devices, each may be a disk.
func describeLUNs(found []lun, devices []types.BaseScsiLun) (texts []string) {
	known := map[string]types.BaseScsiLun{}
	for _, d := range devices {
		if d != nil {
			s := d.GetScsiLun()
			known[s.Key], known[s.CanonicalName] = d, d
		}
	}
	seen := map[string]bool{}
	for _, l := range found {
		d := known[cmp.Or(l.device, l.name)]
		name := canonical(d)
		id := cmp.Or(name, l.device, l.name)
		if !seen[id] && isDisk(d) {
			texts = append(texts, text.Short(cmp.Or(name, l.name)+details(d, l.over), maxLUNText))
		}
		seen[id] = true
	}
	if more := len(texts) - maxLUNs; more > 0 {
		texts = append(slices.Clip(texts[:maxLUNs]), fmt.Sprintf("%d more", more))
	}
	return texts
}

// isDisk reports disks, and what may be one, but not controllers and tape drives behind targets.
func isDisk(d types.BaseScsiLun) bool {
	return d == nil || d.GetScsiLun().LunType == string(types.ScsiLunTypeDisk)
}

// canonical is the name by which a plan names a device, "" if it is unknown.
func canonical(d types.BaseScsiLun) string {
	if d == nil {
		return ""
	}
	return d.GetScsiLun().CanonicalName
}

// details are what is known of a LUN, such as " (NETAPP LUN C-Mode, 1099 GB, over iSCSI)".
func details(d types.BaseScsiLun, over string) string {
	var known []string
	if d != nil {
		s := d.GetScsiLun()
		known = append(known, strings.Join(strings.Fields(s.Vendor+" "+s.Model), " "))
	}
	if disk, ok := d.(*types.HostScsiDisk); ok {
		known = append(known, fmt.Sprintf("%.0f GB", float64(disk.Capacity.Block)*float64(disk.Capacity.BlockSize)/1e9))
	}
	known = append(known, "over "+over)
	return " (" + strings.Join(slices.DeleteFunc(known, func(s string) bool { return s == "" }), ", ") + ")"
}
