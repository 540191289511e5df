// Package pod turns a Pod into its switch port, and tells the node of the Pod which addresses to give it.
//
// Addresses are allocated from memory while the objects are gathered. The committed row is the durable record of an
// allocation; the Pod's annotations follow it in one patch and the IP object behind that. What annotations say is a request
// until the Pod has addresses, and moves nothing afterwards. The row needs no node, so a Pod usually has its addresses before
// it is scheduled; its node is written into the row as soon as it has one.
package pod
