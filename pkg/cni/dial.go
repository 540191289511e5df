package cni

import (
	"context"
	"errors"
	"fmt"
	"net"
	"os"
	"path/filepath"
	"time"

	"golang.org/x/sys/unix"
)

// dial connects to the daemon. One that is not there may be restarting: then dial waits for its socket to appear, so
// that pods that start meanwhile do so, and the node does not turn NotReady.
func dial(ctx context.Context, socket string) (net.Conn, error) {
	ctx, cancel := context.WithTimeout(ctx, dialTimeout)
	defer cancel()
	var dialer net.Dialer
	conn, err := dialer.DialContext(ctx, "unix", socket)
	if err == nil || !absent(err) {
		return conn, err
	}
	appearances, watchErr := watch(filepath.Dir(socket))
	if watchErr != nil {
		return nil, err // not even the directory is there
	}
	defer unix.Close(appearances)
	for {
		if conn, err = dialer.DialContext(ctx, "unix", socket); err == nil || !absent(err) {
			return conn, err
		}
		if !await(ctx, appearances) {
			return nil, err
		}
	}
}

// absent tells a daemon that is not there from one that fails.
func absent(err error) bool {
	return errors.Is(err, os.ErrNotExist) || errors.Is(err, unix.ECONNREFUSED)
}

// watch opens an inotify descriptor for names that appear in a directory.
func watch(dir string) (int, error) {
	fd, err := unix.InotifyInit1(unix.IN_CLOEXEC | unix.IN_NONBLOCK)
	if err != nil {
		return -1, fmt.Errorf("opening inotify: %w", err)
	}
	if _, err := unix.InotifyAddWatch(fd, dir, unix.IN_MOVED_TO|unix.IN_CREATE); err != nil {
		unix.Close(fd)
		return -1, fmt.Errorf("watching %s: %w", dir, err)
	}
	return fd, nil
}

// await waits for the next name; it tells whether there was time left.
func await(ctx context.Context, fd int) bool {
	deadline, _ := ctx.Deadline()
	for {
		left := time.Until(deadline)
		if left <= 0 {
			return false
		}
		ready, err := unix.Poll([]unix.PollFd{{Fd: int32(fd), Events: unix.POLLIN}}, int(left.Milliseconds())+1)
		if errors.Is(err, unix.EINTR) {
			continue
		}
		var events [4096]byte
		_, _ = unix.Read(fd, events[:]) // which name it was, the next attempt to connect will tell
		return err == nil && ready > 0
	}
}
