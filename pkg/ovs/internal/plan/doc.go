// Package plan compares what an owner wants with what the cache holds, and makes the difference one transaction:
// Resolve, Diff, NewTransaction. It is pure: no connection, no clock, and nothing it is given changes.
package plan
