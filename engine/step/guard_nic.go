package step

import (
	"context"
	"fmt"
	"slices"
	"strings"

	"esxiplan/engine/bmc"
	"esxiplan/schema"
)

// CheckNIC demands that the plan's management NIC is a port of the machine. What only
// the adapters list is read when the system does not list it.
func CheckNIC(ctx context.Context, x *schema.ESXi, c bmc.Reader) error {
	if x == nil || x.NIC == nil || strings.HasPrefix(*x.NIC, "vmnic") {
		return nil
	}
	has := func(nics []bmc.NIC) bool {
		return slices.ContainsFunc(nics, func(n bmc.NIC) bool { return strings.EqualFold(n.MAC, *x.NIC) })
	}
	stock, err := c.Inventory(ctx)
	if err != nil || has(stock.NICs) {
		return err
	}
	n, err := c.Network(ctx)
	if err != nil || n.NICs == nil || has(n.NICs) {
		return err
	}
	var have []string
	for _, nic := range n.NICs {
		have = append(have, nic.MAC)
	}
	return &Refusal{"nic", fmt.Sprintf("the machine has no network port with the MAC address %s; it has %s", *x.NIC, strings.Join(have, ", ")),
		"Correct esxi.nic; where the BMC leaves a card out, name the port vmnicN"}
}
