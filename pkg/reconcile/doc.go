// Package reconcile is the kit that runs a feature: it turns Kubernetes events into keys, and for each key gathers the
// objects, translates them into wanted rows, applies the difference to OVN, and hands the outcome back to be reported.
//
// A feature is made by a constructor, out of an Env, and supplies three functions and no handlers. There is one path for
// create, edit, delete, restart and drift: the key is looked at again. A deleted object gathers empty and wants nothing, so
// its rows go; an owner that is only found in the database at start-up takes the same way; a row edited by hand marks its
// owner dirty and is put back.
package reconcile
