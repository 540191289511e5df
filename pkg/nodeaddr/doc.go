// Package nodeaddr decides which of the addresses that Nodes report are taken for theirs. A kubelet writes what it likes
// into the status of its Node, so an address counts only if it is nobody else's: docs/adr/0014-node-addresses.md.
package nodeaddr
