// Package twin simulates whole machines: a BMC (bmcsim), an ESXi (esxisim), and
// between them an installer that does what the real one does when the machine
// boots the virtual CD: it reads what is really mounted, over HTTP by ranges, from
// the El Torito entry to boot.cfg to the kickstart, refuses what ESXi would
// refuse, "installs", restarts the machine, and comes up on the address of the
// kickstart with a new certificate, a new install date and that root password.
//
// Its reader of ISO images and its parser of kickstarts are its own: a simulator
// that used the builder's code would share its mistakes.
//
// A [Fleet] is the twins of a plan's hosts, with the table that maps the plan's
// addresses to the loopback sockets on which the twins answer.
package twin
