// Package reconciletest runs features for tests: on pages of testdata that hold objects and the rows they make, and on a
// cluster in memory with a real northbound database.
//
// A page is a txtar file that can be read without the code. Its first line is the sentence it proves; its files are
//
//	*.yaml   objects, as users write them; several in a file with --- between
//	options  the operator's settings, one "name value" a line (optional)
//	keys     the keys to reconcile, one a line; those of the feature's own objects when it is not there
//	want     for each key the rows, the problems and what Kubernetes is told; `go test -update` writes it
package reconciletest
