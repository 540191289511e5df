// Package pod turns a Pod into its switch port, and tells the node of the Pod which addresses to give it.
//
// Addresses are allocated from memory while the objects are gathered. The committed row is the durable record of an
// allocation; the Pod's annotations follow it in one patch and the IP object behind that. The rows do not depend on the
// Pod's node, so a Pod is usually ready to be attached before it is scheduled.
package pod
