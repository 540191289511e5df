// Package sb is the rows of OVN's southbound database as Go structs, generated from its schema.
package sb
