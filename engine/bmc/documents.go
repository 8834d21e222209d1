package bmc

import (
	"bytes"
	"encoding/json"

	"github.com/stmcginnis/gofish/schemas"
)

// The documents of Redfish that gofish fetches, as far as esxiplan reads them. gofish has
// types for them, too, but those refuse a whole document for one field of a wrong type,
// which BMCs do have; they do not export links and the targets of actions, and do not
// distinguish what is absent from what is empty. The types that decode themselves here
// ([Link], member) never fail, so a wrong field costs that field only.

// RootDocument is the service root.
type RootDocument struct {
	Vendor  string
	Product string
	Oem     map[string]json.RawMessage

	version  string // of its schema: "#ServiceRoot.v1_15_0.ServiceRoot"
	expands  bool   // collections can be read with their members
	systems  Link
	managers Link
	licenses Link
	sessions Link
}

type collection struct {
	Members []member
	Next    Link `json:"Members@odata.nextLink"`
}

// member is an entry of a collection: a link, or where the BMC expands collections the
// whole resource.
type member struct {
	raw  json.RawMessage
	uri  Link
	tag  string
	bare bool // a link and nothing else
}

// UnmarshalJSON implements json.Unmarshaler. A value that is no resource has no URI.
func (m *member) UnmarshalJSON(raw []byte) error {
	var head struct {
		URI Link   `json:"@odata.id"`
		Tag string `json:"@odata.etag"`
	}
	lenient(raw, &head)
	*m = member{raw: bytes.Clone(raw), uri: head.URI, tag: head.Tag, bare: bare(raw)}
	return nil
}

// bare reports that an object has one field.
func bare(object []byte) bool {
	depth, fields, quoted := 0, 0, false
	for i := 0; i < len(object) && fields < 2; i++ {
		switch c := object[i]; {
		case c == '\\':
			i++ // only in strings
		case c == '"':
			quoted = !quoted
		case quoted:
		case c == '{' || c == '[':
			depth++
		case c == '}' || c == ']':
			depth--
		case c == ':' && depth == 1:
			fields++
		}
	}
	return fields == 1
}

type action struct {
	Target  Link     `json:"target"`
	Allowed []string `json:"ResetType@Redfish.AllowableValues"`
	Info    Link     `json:"@Redfish.ActionInfo"`
}

type systemDocument struct {
	ID           string `json:"Id"`
	Manufacturer string
	Model        string
	SerialNumber string
	SKU          string
	UUID         string
	PowerState   string
	Boot         *bootDocument
	Actions      struct {
		Reset action `json:"#ComputerSystem.Reset"`
	}
	Links struct {
		ManagedBy []Link
		Managers  []Link
		Chassis   []Link
	}
	Settings struct {
		Object Link `json:"SettingsObject"`
	} `json:"@Redfish.Settings"`
	VirtualMedia       Link
	Storage            Link
	SimpleStorage      Link
	EthernetInterfaces Link
	SecureBoot         Link
	Bios               Link
	BootProgress       struct{ LastState schemas.BootProgressTypes }
	Oem                map[string]json.RawMessage
}

type bootDocument struct {
	Enabled *schemas.BootSourceOverrideEnabled `json:"BootSourceOverrideEnabled"`
	Target  *string                            `json:"BootSourceOverrideTarget"`
	Mode    *string                            `json:"BootSourceOverrideMode"`
	Allowed []string                           `json:"BootSourceOverrideTarget@Redfish.AllowableValues"`
}

type managerDocument struct {
	Model           string
	FirmwareVersion string
	VirtualMedia    Link
	Links           struct{ ManagerForServers []Link }
}

type slotDocument struct {
	URI          Link   `json:"@odata.id"`
	ID           string `json:"Id"`
	Name         string
	MediaTypes   []schemas.VirtualMediaType
	Inserted     *bool
	Image        *string
	ConnectedVia string
	Verify       *bool `json:"VerifyCertificate"`
	Actions      struct {
		Insert action `json:"#VirtualMedia.InsertMedia"`
		Eject  action `json:"#VirtualMedia.EjectMedia"`
	}
	Oem map[string]json.RawMessage
}

type storageDocument struct {
	URI                Link   `json:"@odata.id"`
	ID                 string `json:"Id"`
	Name               string
	Drives             []Link
	Volumes            Link
	StorageControllers []struct{ Name, Model string }
}

// simpleStorageDocument is what came before Storage: drives without a resource of their own.
type simpleStorageDocument struct {
	Name    string
	Devices []struct {
		Name, Model   string
		CapacityBytes float64
		Status        statusDocument
	}
}

type statusDocument struct{ State, Health string }

type driveDocument struct {
	ID            string `json:"Id"`
	Name          string
	Model         string
	SerialNumber  string
	CapacityBytes float64
	MediaType     string
	Protocol      string
	HotspareType  string
	Identifiers   []identifierDocument
	Links         struct{ Volumes []Link }
	Status        statusDocument
	Oem           map[string]json.RawMessage
}

type volumeDocument struct {
	URI           Link   `json:"@odata.id"`
	ID            string `json:"Id"`
	Name          string
	DisplayName   string
	VolumeType    string
	RAIDType      string
	CapacityBytes float64
	Identifiers   []identifierDocument
	Links         struct{ Drives []Link }
	Status        statusDocument
}

type identifierDocument struct{ DurableName, DurableNameFormat string }

type ethernetDocument struct {
	ID                  string `json:"Id"`
	MACAddress          string
	MacAddress          string // spelled so by old firmware
	PermanentMACAddress string
	LinkStatus          string
	SpeedMbps           float64
	Links               struct{ HostInterface Link }
	Type                string `json:"EthernetInterfaceType"`
	VLAN                struct{ VLANEnable bool }
}

type secureBootDocument struct {
	Enabled *bool  `json:"SecureBootEnable"`
	Current string `json:"SecureBootCurrentBoot"`
}

type chassisDocument struct{ NetworkAdapters Link }

type adapterDocument struct {
	URI             Link   `json:"@odata.id"`
	ID              string `json:"Id"`
	Name            string
	Manufacturer    string
	Model           string
	Ports           Link
	NetworkPorts    Link // before Ports
	DeviceFunctions Link `json:"NetworkDeviceFunctions"`
	Location        locationDocument
	Controllers     []struct{ Location locationDocument }
}

type locationDocument struct {
	PartLocation struct{ ServiceLabel string }
	Info         string
}

// portDocument is a Port or, before it, a NetworkPort.
type portDocument struct {
	URI          Link   `json:"@odata.id"`
	ID           string `json:"Id"`
	LinkStatus   string
	PortID       string   `json:"PortId"`
	PhysicalPort string   `json:"PhysicalPortNumber"`
	Speed        float64  `json:"CurrentSpeedGbps"`
	SpeedOld     float64  `json:"CurrentLinkSpeedMbps"`
	Technology   string   `json:"LinkNetworkTechnology"`
	ActiveOld    string   `json:"ActiveLinkTechnology"`
	Protocol     string   `json:"PortProtocol"`
	Addresses    []string `json:"AssociatedNetworkAddresses"`
	Ethernet     struct{ AssociatedMACAddresses []string }
	FibreChannel struct{ AssociatedWorldWideNames []string }
	Oem          map[string]json.RawMessage
}

type functionDocument struct {
	ID           string `json:"Id"`
	Type         string `json:"NetDevFuncType"`
	Ethernet     struct{ MACAddress, PermanentMACAddress string }
	FibreChannel struct{ WWPN string }
	Links        struct {
		Port    Link `json:"PhysicalPortAssignment"`
		PortNew Link `json:"PhysicalNetworkPortAssignment"`
	}
	Assignable []Link `json:"AssignablePhysicalNetworkPorts"`
}

type taskDocument struct {
	URI      Link              `json:"@odata.id"`
	State    schemas.TaskState `json:"TaskState"`
	Status   string            `json:"TaskStatus"`
	EndTime  string            `json:"EndTime"`
	Messages json.RawMessage   `json:"Messages"`
}
