// Package record writes into a row's external_ids what has to be remembered of it, and reads it back: whose it is, its
// name, the sets it is in and what it put into sets, and the rows beside it whose tables have no external_ids. Package
// ovs lists the keys.
package record
