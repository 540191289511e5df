// Package sandbox makes and inspects a pod's interface: a veth whose one end is born inside the pod's network namespace
// and whose other end waits on the host to be put into Open vSwitch.
//
// No thread ever stays in a pod's namespace: a netlink handle keeps a socket there, and sockets remember where they
// were made.
package sandbox
