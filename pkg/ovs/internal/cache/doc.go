// Package cache holds a database as one session sees it: its rows, found by UUID and by owner, and their sets as maps.
package cache
