package server

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"sync"
	"time"

	"github.com/containernetworking/cni/pkg/types"
	"github.com/go-logr/logr"
	"golang.org/x/sys/unix"

	"github.com/woven-cni/woven/pkg/cni"
	"github.com/woven-cni/woven/pkg/host/vsdb"
)

const (
	// requestLimit is far more than any network configuration has.
	requestLimit = 1 << 20
	// addTimeout ends an ADD whose runtime does not: kubelet gives a sandbox four minutes in all.
	addTimeout = 3 * time.Minute
	// otherTimeout ends every other call.
	otherTimeout = 30 * time.Second
	// startGrace is how long STATUS waits for a daemon that has just started to know its node.
	startGrace = 15 * time.Second
	// stopGrace lets calls finish when the daemon stops; kubelet gives a pod ten seconds.
	stopGrace = 3 * time.Second
	// undoTimeout is for taking back a failed ADD, whose own time may be over.
	undoTimeout = 5 * time.Second
)

// Node is what the server has to know about the node it serves.
type Node interface {
	// AwaitReady returns nil as soon as pods can be attached, or why they cannot when the context ends.
	AwaitReady(ctx context.Context) error
	// Disturbed tells whether pods that are attached may be cut off as well.
	Disturbed() bool
	// PodMTU is the MTU of pods of a subnet.
	PodMTU(subnet string) int
	// ChecksumInSoftware tells whether the datapath needs finished checksums.
	ChecksumInSoftware() bool
}

// Server answers container runtimes.
type Server struct {
	Switch  *vsdb.DB
	Pods    *Pods
	Node    Node
	Metrics *Metrics
	Log     logr.Logger

	locks   *keyLocks
	claims  *claims
	reaper  *reaper
	started time.Time
}

// New makes a server.
func New(db *vsdb.DB, pods *Pods, node Node, log logr.Logger) *Server {
	return &Server{
		Switch: db, Pods: pods, Node: node, Metrics: newMetrics(), Log: log,
		locks: newKeyLocks(), claims: newClaims(), reaper: newReaper(log), started: time.Now(),
	}
}

// Listen opens the unix socket for root alone, in place of what an earlier daemon left there. It appears under its name
// when it listens, which plugins that found nobody wait for.
func Listen(path string) (net.Listener, error) {
	if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
		return nil, fmt.Errorf("making the socket's directory: %w", err)
	}
	born := path + ".new"
	if err := os.Remove(born); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return nil, fmt.Errorf("removing an old socket: %w", err)
	}
	// Born closed to others: a chmod afterwards would leave a moment between.
	old := unix.Umask(0o177)
	listener, err := net.ListenUnix("unix", &net.UnixAddr{Name: born, Net: "unix"})
	unix.Umask(old)
	if err != nil {
		return nil, fmt.Errorf("listening on %s: %w", born, err)
	}
	listener.SetUnlinkOnClose(false) // by then the name may be the next daemon's
	if err := os.Rename(born, path); err != nil {
		return nil, errors.Join(fmt.Errorf("naming the socket: %w", err), listener.Close())
	}
	return listener, nil
}

// Serve answers on a listener until the context ends, and returns when the calls under way are answered or taken back.
func (s *Server) Serve(ctx context.Context, listener net.Listener) error {
	mux := http.NewServeMux()
	var calls sync.WaitGroup
	mux.HandleFunc("POST "+cni.Path, func(w http.ResponseWriter, r *http.Request) {
		calls.Add(1)
		defer calls.Done()
		s.serveHTTP(w, r)
	})
	server := &http.Server{
		Handler: mux, ReadHeaderTimeout: 10 * time.Second,
		ConnContext: func(ctx context.Context, conn net.Conn) context.Context {
			return context.WithValue(ctx, peerKey{}, peerIsRoot(conn))
		},
	}
	go s.reaper.run(ctx)
	stopped := make(chan struct{})
	stop := context.AfterFunc(ctx, func() {
		defer close(stopped)
		grace, cancel := context.WithTimeout(context.WithoutCancel(ctx), stopGrace)
		defer cancel()
		_ = server.Shutdown(grace) // what is not done by then is cut off, and undone
		_ = server.Close()
		calls.Wait()
	})
	err := server.Serve(listener)
	if !errors.Is(err, http.ErrServerClosed) {
		stop()
		return fmt.Errorf("serving CNI calls: %w", err)
	}
	<-stopped
	return nil
}

type peerKey struct{}

// peerIsRoot asks the kernel who is at the other end. The socket's mode says the same; two locks are better than one.
func peerIsRoot(conn net.Conn) bool {
	unixConn, ok := conn.(*net.UnixConn)
	if !ok {
		return false
	}
	raw, err := unixConn.SyscallConn()
	if err != nil {
		return false
	}
	root := false
	err = raw.Control(func(fd uintptr) {
		cred, err := unix.GetsockoptUcred(int(fd), unix.SOL_SOCKET, unix.SO_PEERCRED)
		root = err == nil && cred.Uid == 0
	})
	return err == nil && root
}

func (s *Server) serveHTTP(w http.ResponseWriter, r *http.Request) {
	if root, _ := r.Context().Value(peerKey{}).(bool); !root {
		refuse(w, http.StatusForbidden, types.NewError(types.ErrInternal, "only root may ask", ""))
		return
	}
	var request cni.Request
	body, err := io.ReadAll(io.LimitReader(r.Body, requestLimit))
	if err == nil {
		err = json.Unmarshal(body, &request)
	}
	if err != nil {
		refuse(w, http.StatusBadRequest, types.NewError(types.ErrDecodingFailure, "reading the request", err.Error()))
		return
	}
	began := time.Now()
	result, err := s.Handle(r.Context(), request)
	s.Metrics.request(request.Command(), err, time.Since(began))
	if err != nil {
		refusal := asError(err)
		s.Log.Info("refused", "command", request.Command(), "container", request.Env["CNI_CONTAINERID"],
			"code", refusal.Code, "error", err.Error(), "took", time.Since(began).String())
		refuse(w, http.StatusInternalServerError, refusal)
		return
	}
	if result == nil {
		return
	}
	if err := result.PrintTo(w); err != nil {
		s.Log.V(1).Info("the caller left before its answer", "command", request.Command(), "error", err.Error())
	}
}

func refuse(w http.ResponseWriter, status int, refusal *types.Error) {
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(status)
	_ = json.NewEncoder(w).Encode(refusal) // the caller may be gone: then nobody is there to tell
}

// asError makes a failure an answer. What has no code of its own may well work the next time.
func asError(err error) *types.Error {
	refusal := &types.Error{}
	if errors.As(err, &refusal) {
		return refusal
	}
	return types.NewError(types.ErrTryAgainLater, err.Error(), "")
}

// Handle answers one request. Only ADD has a result.
func (s *Server) Handle(ctx context.Context, request cni.Request) (types.Result, error) {
	c, err := parse(request)
	if err != nil {
		return nil, err
	}
	timeout := otherTimeout
	if c.command == "ADD" {
		timeout = addTimeout
	}
	ctx, cancel := context.WithTimeout(ctx, timeout)
	defer cancel()
	switch c.command {
	case "ADD":
		return s.add(ctx, c)
	case "DEL":
		return nil, s.del(ctx, c)
	case "CHECK":
		return nil, s.check(ctx, c)
	case "GC":
		return nil, s.gc(ctx, c)
	default: // parse lets nothing else through
		return nil, s.status(ctx)
	}
}

// status answers whether ADD would work now. A daemon that has just started first looks at its node: an answer of "not
// ready" makes the Node NotReady, and all its pods with it, which the restart of a daemon is no reason for.
func (s *Server) status(ctx context.Context) error {
	ctx, cancel := context.WithDeadline(ctx, s.started.Add(startGrace))
	defer cancel()
	err := s.Node.AwaitReady(ctx)
	if err == nil {
		return nil
	}
	code := types.ErrPluginNotAvailable
	if s.Node.Disturbed() {
		code = types.ErrLimitedConnectivity
	}
	return types.NewError(code, "the node's network is not ready", err.Error())
}
