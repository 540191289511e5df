// Package server answers container runtimes for one node: it attaches sandboxes to OVN, detaches them, and checks and
// cleans up what was attached.
//
// All it remembers is in the kernel and in Open vSwitch: the host end of a veth carries a record of its attachment, the
// Interface row another. A daemon that dies at any point therefore leaves nothing that a repeated call, GC or Sweep
// would not find.
package server
