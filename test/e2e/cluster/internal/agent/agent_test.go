package agent

import (
	"bytes"
	"context"
	"net"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

const secret = "swordfish"

func machine(t *testing.T) string {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { l.Close() })
	go func() { _ = Serve(l, secret) }() // until it is closed
	return l.Addr().String()
}

func TestRun(t *testing.T) {
	address := machine(t)
	long := strings.Repeat("0123456789", most/5) // more than one frame holds
	for _, tc := range []struct {
		name, secret, script, in string
		out, complaint           string
		code                     int
		err                      string
	}{
		{"speaks on both streams", secret, "echo out; echo err >&2", "", "out\n", "err\n", 0, ""},
		{"tells its exit code", secret, "exit 7", "", "", "", 7, ""},
		{"tells of the signal that ended it", secret, "kill -9 $$", "", "", "", 137, ""},
		{"reads its input to the end", secret, "cat", long, long, "", 0, ""},
		{"need not read its input", secret, "exit 0", long, "", "", 0, ""},
		{"ends though something it left does not", secret, "sleep 100 & echo on", "", "on\n", "", 0, ""},
		{"is for those who know the secret", "sesame", "echo out", "", "", "", 0, "this is not for you"},
	} {
		t.Run(tc.name, func(t *testing.T) {
			var out, complaint bytes.Buffer
			r := Request{Secret: tc.secret, Argv: []string{"sh", "-c", tc.script}, Env: os.Environ()}
			code, err := Run(t.Context(), address, r, Streams{In: strings.NewReader(tc.in), Out: &out, Err: &complaint})
			got := ""
			if err != nil {
				got = err.Error()
			}
			if got != tc.err || code != tc.code {
				t.Errorf("got code %d and error %q, want %d and %q", code, got, tc.code, tc.err)
			}
			if out.String() != tc.out || complaint.String() != tc.complaint {
				t.Errorf("got %.40q and %.40q, want %.40q and %.40q", out.String(), complaint.String(), tc.out, tc.complaint)
			}
		})
	}
}

func TestUnknownProgram(t *testing.T) {
	r := Request{Secret: secret, Argv: []string{"/no/such/program"}}
	if _, err := Run(t.Context(), machine(t), r, Streams{}); err == nil || !strings.Contains(err.Error(), "no such file") {
		t.Errorf("got %v", err)
	}
}

// A command ends with its caller, unless it was asked to stay.
func TestStays(t *testing.T) {
	address := machine(t)
	for name, stays := range map[string]bool{"ends": false, "stays": true} {
		t.Run(name, func(t *testing.T) {
			mark := filepath.Join(t.TempDir(), "mark")
			ctx, leave := context.WithCancel(t.Context())
			r := Request{Secret: secret, Stays: stays, Env: os.Environ(), Argv: []string{"sh", "-c", "sleep 0.5; echo >" + mark}}
			if _, err := Run(ctx, address, r, Streams{Started: leave}); err == nil {
				t.Error("the caller did not leave")
			}
			time.Sleep(time.Second)
			if _, err := os.Stat(mark); (err == nil) != stays {
				t.Errorf("the command lived on: %t, want %t", err == nil, stays)
			}
		})
	}
}
