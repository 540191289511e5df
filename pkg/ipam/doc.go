// Package ipam gives addresses to owners and takes them back. It works on
// values, netip in and netip out, and knows nothing of Kubernetes.
//
// A Subnet has a lock of its own and no call holds two locks. Nothing is ever
// listed out: the addresses that were never given are a cursor, so that a /64 of
// IPv6 costs what a /28 of IPv4 costs.
package ipam
