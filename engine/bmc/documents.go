package bmc

import "encoding/json"

// The documents of Redfish, as far as esxiplan reads them. They have no
// decoders of their own, so a field of a wrong type costs that field only.

type link struct {
	ID string `json:"@odata.id"`
}

// RootDocument is the service root.
type RootDocument struct {
	Vendor  string
	Product string
	Oem     map[string]json.RawMessage
	Systems link
	Links   struct{ Sessions link }

	ProtocolFeaturesSupported struct {
		ExpandQuery struct{ NoLinks bool }
	}
}

type collection struct {
	Members []json.RawMessage
	Next    string `json:"Members@odata.nextLink"`
}

type action struct {
	Target  string   `json:"target"`
	Allowed []string `json:"ResetType@Redfish.AllowableValues"`
	Info    string   `json:"@Redfish.ActionInfo"`
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
		ManagedBy []link
		Managers  []link
	}
	Settings struct {
		Object link `json:"SettingsObject"`
	} `json:"@Redfish.Settings"`
	VirtualMedia       link
	Storage            link
	EthernetInterfaces link
	SecureBoot         link
}

type bootDocument struct {
	Enabled *string  `json:"BootSourceOverrideEnabled"`
	Target  *string  `json:"BootSourceOverrideTarget"`
	Mode    *string  `json:"BootSourceOverrideMode"`
	Allowed []string `json:"BootSourceOverrideTarget@Redfish.AllowableValues"`
}

type managerDocument struct {
	Model           string
	FirmwareVersion string
	VirtualMedia    link
}

type slotDocument struct {
	URI          string `json:"@odata.id"`
	ID           string `json:"Id"`
	MediaTypes   []string
	Inserted     *bool
	Image        *string
	ConnectedVia string
	Actions      struct {
		Insert action `json:"#VirtualMedia.InsertMedia"`
		Eject  action `json:"#VirtualMedia.EjectMedia"`
	}
	Oem json.RawMessage
}

type storageDocument struct {
	ID                 string `json:"Id"`
	Name               string
	Drives             []link
	Volumes            link
	StorageControllers []struct{ Name, Model string }
}

type driveDocument struct {
	ID            string `json:"Id"`
	Name          string
	Model         string
	SerialNumber  string
	CapacityBytes float64
	Identifiers   []identifierDocument
	Status        struct{ State string }
}

type volumeDocument struct {
	Name          string
	DisplayName   string
	VolumeType    string
	RAIDType      string
	CapacityBytes float64
	Identifiers   []identifierDocument
	Links         struct{ Drives []link }
}

type identifierDocument struct{ DurableName, DurableNameFormat string }

type ethernetDocument struct {
	ID                  string `json:"Id"`
	MACAddress          string
	MacAddress          string // spelt so by old firmware
	PermanentMACAddress string
	LinkStatus          string
	Links               struct{ HostInterface link }
	Type                string `json:"EthernetInterfaceType"`
}

type secureBootDocument struct {
	Enabled *bool  `json:"SecureBootEnable"`
	Current string `json:"SecureBootCurrentBoot"`
}
