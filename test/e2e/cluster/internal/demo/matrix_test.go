package demo

import (
	"errors"
	"net/netip"
	"strings"
	"testing"
	"time"
)

func TestParseAndJudge(t *testing.T) {
	answer := func(body, stats string) string { return body + separator + stats + separator + "\n" }
	ok := answer("10.16.0.5:4711", "200 0.002500 ")
	for _, tc := range []struct{ name, out, want string }{
		{"slowest", answer("10.16.0.5:1", "200 0.0005 ") + ok + answer("10.16.0.5:2", "200 0.0010 "), "2.5ms"},
		{"one of three lost", ok + answer("", "000 3.0 Connection timed out") + ok, "Connection timed out"},
		{"wrong status", ok + ok + answer("no", "503 0.001 "), "HTTP status 503"},
		{"behind NAT", ok + ok + answer("172.31.0.1:9", "200 0.001 "), "seen as 172.31.0.1:9"},
	} {
		took, err := judge(parse(tc.out), seenAs(netip.MustParseAddr("10.16.0.5")))
		got := took.String()
		if err != nil {
			got = err.Error()
		}
		if got != tc.want {
			t.Errorf("%s: got %s, want %s", tc.name, got, tc.want)
		}
	}
	if n := len(parse(ok + "10.16.0.5:4711" + separator + "200")); n != 1 {
		t.Errorf("an answer that was cut off counts: %d", n)
	}
}

func TestPrint(t *testing.T) {
	m := NewMatrix([]string{"pod", "outside"})
	m.AddRow("pod on node1")
	m.AddRow("node1")
	m.Set("pod on node1", "pod", 1234*time.Microsecond, nil)
	m.Set("pod on node1", "outside", 0, errors.New("seen as 10.16.0.5:1"))
	m.Set("node1", "pod", time.Millisecond, nil)
	var out strings.Builder
	m.Print(&out)
	want := `from          pod     outside
pod on node1  1.2 ms  FAILED
node1         1.0 ms  -
FAILED pod on node1 -> outside: seen as 10.16.0.5:1
`
	if out.String() != want {
		t.Errorf("got\n%s\nwant\n%s", out.String(), want)
	}
	if m.Failures() != 1 {
		t.Errorf("%d failures, want 1", m.Failures())
	}
}
