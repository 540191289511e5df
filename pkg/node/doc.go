// Package node turns a Node into the OVN rows that connect it: its port on the join subnet, a router policy that lets
// the pods on the node leave by it, and one that brings what is addressed to the node to it.
package node
