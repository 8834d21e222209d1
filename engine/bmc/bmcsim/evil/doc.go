// Package evil makes BMCs that mean harm.
//
// A [BMC] stands before an honest one, hands on what clients ask of it, and spoils the
// answers in one [Form]: it links to an [Attacker], never ends its answers, lets them grow,
// writes what draws on terminals, or says secrets back. [Forms] lists them all, with what a
// client has to say of each. It serves real sockets, so what is judged is a client as it is.
//
// The package makes no judgement: programs and tests start clients, and look at what came to the
// attacker, at what was said, and at what it took.
package evil
