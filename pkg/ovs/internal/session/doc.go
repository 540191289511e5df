// Package session holds the connection with a server of OVSDB: JSON-RPC with the few calls that are needed, one monitor
// that keeps a Replica up to date, and an end as soon as anything is amiss or the server is not the one that leads.
package session
