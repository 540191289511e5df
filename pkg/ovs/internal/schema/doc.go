// Package schema knows the tables of a database: what each column holds and whose it is, and how it goes from the field
// of a generated model to OVSDB's JSON and back.
//
// A row is the struct that a model points to, as a reflect.Value; its members columns stay empty, because sets with
// thousands of elements are no slices to us.
package schema
