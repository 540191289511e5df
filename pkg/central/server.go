package central

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net"
	"regexp"
	"strings"
)

// status is what a member's server says about its cluster.
type status struct {
	self, state string
	servers     []server
}

// server is a member as raft knows it.
type server struct{ id, address string }

var (
	statusLine = regexp.MustCompile(`(?m)^(Server ID|Status): (.*)$`)
	serverLine = regexp.MustCompile(`(?m)^ +([0-9a-f]{4,}) \([0-9a-f]+ at (tcp:\S+)\)`)
)

// parseStatus reads the answer to cluster/status, which ovsdb-server(1) describes.
func parseStatus(text string) status {
	var s status
	for _, m := range statusLine.FindAllStringSubmatch(text, -1) {
		if m[1] == "Status" {
			s.state = m[2]
		} else {
			s.self, _, _ = strings.Cut(m[2], " ")
		}
	}
	for _, m := range serverLine.FindAllStringSubmatch(text, -1) {
		s.servers = append(s.servers, server{id: m[1], address: m[2]})
	}
	return s
}

// member says whether the server takes part: it has joined and knows of a majority.
func (s status) member() bool { return s.state == "cluster member" }

// stale are the servers that the cluster no longer needs: those at addresses without a seat, and earlier selves of this
// member, whose disk was lost. It is empty unless every seat is taken by a server, this one among them: only then is it
// safe to kick.
func (s status) stale(seats []string, own string) []server {
	at := map[string]int{}
	for _, m := range s.servers {
		at[m.address]++
	}
	seated := map[string]bool{}
	for _, seat := range seats {
		if at[seat] == 0 {
			return nil
		}
		seated[seat] = true
	}
	var out []server
	for _, m := range s.servers {
		if !seated[m.address] || m.address == own && m.id != s.self {
			out = append(out, m)
		}
	}
	if !seated[own] {
		return nil
	}
	return out
}

// command asks a daemon through its control socket, as ovs-appctl does.
func command(ctx context.Context, socket, method string, args ...string) (string, error) {
	conn, err := (&net.Dialer{}).DialContext(ctx, "unix", socket)
	if err != nil {
		return "", err
	}
	defer conn.Close()
	stop := context.AfterFunc(ctx, func() { _ = conn.Close() })
	defer stop()
	if args == nil {
		args = []string{}
	}
	if err := json.NewEncoder(conn).Encode(map[string]any{"id": 0, "method": method, "params": args}); err != nil {
		return "", fmt.Errorf("asking for %s: %w", method, err)
	}
	var reply struct{ Result, Error *string }
	if err := json.NewDecoder(conn).Decode(&reply); err != nil {
		return "", fmt.Errorf("asking for %s: %w", method, err)
	}
	if reply.Error != nil {
		return "", fmt.Errorf("asking for %s: %w", method, errors.New(strings.TrimSpace(*reply.Error)))
	}
	if reply.Result == nil {
		return "", nil
	}
	return *reply.Result, nil
}
