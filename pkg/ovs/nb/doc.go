// Package nb is the rows of OVN's northbound database as Go structs, generated from its schema.
package nb
