// Command gofish mounts an image, sets a one-time boot and restarts a machine with
// nothing but the gofish library, as any Redfish client would. It checks that the
// simulated BMCs speak Redfish, not our own dialect.
//
// Usage: gofish URL USER PASSWORD IMAGE
package main

import (
	"fmt"
	"os"
	"sort"
	"strings"
	"time"

	"github.com/stmcginnis/gofish"
	"github.com/stmcginnis/gofish/schemas"
)

func main() {
	if err := flow(os.Args[1], os.Args[2], os.Args[3], os.Args[4]); err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
	fmt.Println("restarted")
}

func flow(url, user, password, image string) error {
	c, err := gofish.Connect(gofish.ClientConfig{Endpoint: url, Username: user, Password: password, Insecure: true})
	if err != nil {
		return fmt.Errorf("connect: %w", err)
	}
	defer c.Logout()
	systems, err := c.Service.Systems()
	if err != nil || len(systems) != 1 {
		return fmt.Errorf("systems: %d, %w", len(systems), err)
	}
	system := systems[0]
	if err := mount(system, image); err != nil {
		return err
	}
	system, err = schemas.GetComputerSystem(c, system.ODataID) // mounting changes its ETag
	if err != nil {
		return err
	}
	err = system.SetBoot(&schemas.Boot{BootSourceOverrideTarget: schemas.CdBootSource, BootSourceOverrideEnabled: schemas.OnceBootSourceOverrideEnabled})
	if err != nil {
		return fmt.Errorf("set boot: %w", err)
	}
	return restart(c, system)
}

// slots are the drives that take a CD, under system and manager.
func slots(system *schemas.ComputerSystem) ([]*schemas.VirtualMedia, error) {
	found, err := system.VirtualMedia()
	if err != nil {
		return nil, err
	}
	managers, err := system.ManagedBy()
	if err != nil {
		return nil, err
	}
	for _, m := range managers {
		more, err := m.VirtualMedia()
		if err != nil {
			return nil, err
		}
		found = append(found, more...)
	}
	sort.SliceStable(found, func(a, b int) bool { return found[a].ID < found[b].ID })
	return found, nil
}

func mount(system *schemas.ComputerSystem, image string) error {
	all, err := slots(system)
	if err != nil {
		return fmt.Errorf("slots: %w", err)
	}
	yes := true
	for _, s := range all {
		if !takesCD(s) {
			continue
		}
		if s.Inserted != nil && *s.Inserted {
			if _, err := s.EjectMedia(); err != nil {
				return fmt.Errorf("eject %s: %w", s.ID, err)
			}
		}
		_, err := s.InsertMedia(&schemas.VirtualMediaInsertMediaParameters{Image: image, Inserted: &yes, WriteProtected: &yes})
		if err == nil {
			return mounted(system, s.ODataID)
		}
		fmt.Fprintf(os.Stderr, "%s does not take the image: %v\n", s.ID, err)
	}
	return fmt.Errorf("no slot takes the image")
}

func takesCD(s *schemas.VirtualMedia) bool {
	for _, t := range s.MediaTypes {
		if t == schemas.CDVirtualMediaType {
			return true
		}
	}
	return false
}

func mounted(system *schemas.ComputerSystem, uri string) error {
	all, err := slots(system)
	if err != nil {
		return err
	}
	for _, s := range all {
		if s.ODataID == uri && s.Inserted != nil && *s.Inserted {
			return nil
		}
	}
	return fmt.Errorf("%s does not read as inserted", uri)
}

func restart(c *gofish.APIClient, system *schemas.ComputerSystem) error {
	if system.PowerState == schemas.OnPowerState {
		if _, err := system.Reset(schemas.ForceOffResetType); err != nil {
			return fmt.Errorf("off: %w", err)
		}
	}
	for range 200 {
		now, err := schemas.GetComputerSystem(c, system.ODataID)
		if err != nil {
			return err
		}
		if now.PowerState != schemas.OffPowerState {
			time.Sleep(20 * time.Millisecond)
			continue
		}
		_, err = now.Reset(schemas.OnResetType)
		if err != nil && strings.Contains(err.Error(), "409") {
			time.Sleep(100 * time.Millisecond) // busy with the last change of power
			continue
		}
		return err
	}
	return fmt.Errorf("the machine does not go off and on")
}
