// Package cni is what the CNI binary and the node's daemon say to each other: one HTTP request over a unix socket that
// carries the runtime's environment and configuration unchanged, and the answer the runtime is to be given.
//
// The binary lives for some milliseconds and is started for every pod, so nothing here imports Kubernetes or OVSDB.
package cni
