// Package bmcsim simulates BMCs: strict, stateful, with the oddities of each
// vendor, over real HTTPS. It is written against the Redfish standard and the
// recorded behaviour of real machines, not against our own client.
//
// [New] makes one BMC from a [Config]; [Sim.Serve] puts it on a socket. A
// [Profile] says how firmware of one kind behaves; the name of a profile, such as
// "dell/idrac9", is what a rehearsal chooses. [Fault] adds trouble.
//
// The package does not know ESXi: when the simulated machine boots, it calls
// Config.Booted, and the simulation of the rest of the machine takes over from there.
package bmcsim
