// Package rules reads the policies of Kubernetes' network APIs, each by one file, into the same Policy of typed values.
// What an object says that makes no sense, it tells as Problems and leaves closed.
package rules
