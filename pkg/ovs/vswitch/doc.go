// Package vswitch is the rows of the Open_vSwitch database of a node as Go structs, generated from its schema.
package vswitch
