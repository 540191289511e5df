// Package cidr finds Subnets by their ranges in indexes of the cache: who asks for a range or an address costs some dozen
// look-ups, however many Subnets there are.
package cidr
