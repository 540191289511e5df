// Package vswitch is the rows of a node's Open_vSwitch database as Go structs, generated from the part of its schema that
// Woven reads and writes: four of 19 tables, and of them the columns that schema/vswitch-node.ovsschema names.
package vswitch
