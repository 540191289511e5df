// Package engine keeps the rows of an OVSDB database equal to what their owners want.
//
// DB.Apply compares what an owner wants with what the database holds and sends the difference as one transaction, or
// nothing:
//
//	plan, err := db.Apply(ctx, ovs.Owner{Feature: "pod", Key: "shop/web-0"}, want)
//
// There is nothing else to clean up with: rows are found again by their owner after any restart, and what changes under
// us comes back through DB.Dirty.
package engine
