package timing

import (
	"slices"
	"testing"
	"time"
)

const log = `{"Plugin":"bridge","Command":"ADD","Container":"a","Began":"2026-01-01T00:00:01Z","Took":10000000}
{"Plugin":"portmap","Command":"ADD","Container":"a","Began":"2026-01-01T00:00:02Z","Took":2000000}
{"Plugin":"bridge","Command":"ADD","Container":"b","Began":"2026-01-01T00:00:03Z","Took":7000000,"Failed":true}
{"Plugin":"bridge","Command":"ADD","Container":"c","Began":"2026-01-01T00:00:04Z","Took":5000000}
{"Plugin":"bridge","Command":"DEL","Container":"a","Began":"2026-01-01T00:00:06Z","Took":1000000}
{"Plugin":"bridge","Command":"DEL","Container":"a","Began":"2026-01-01T00:00:05Z","Took":30000000}
`

func TestChains(t *testing.T) {
	calls, err := Parse(log)
	if err != nil {
		t.Fatal(err)
	}
	for command, want := range map[string][]time.Duration{
		"ADD":   {12 * time.Millisecond, 5 * time.Millisecond},
		"DEL":   {30 * time.Millisecond},
		"CHECK": {},
	} {
		if got := Chains(calls, command); !slices.Equal(got, want) {
			t.Errorf("%s: got %v, want %v", command, got, want)
		}
	}
	if n := Failures(calls, "ADD"); n != 1 {
		t.Errorf("%d failures, want 1", n)
	}
}

func TestQuantile(t *testing.T) {
	var hundred []time.Duration
	for i := range 100 {
		hundred = append(hundred, time.Duration(100-i))
	}
	for _, tc := range []struct {
		values []time.Duration
		q      float64
		want   time.Duration
	}{
		{nil, 0.5, 0}, {[]time.Duration{7}, 0.99, 7}, {hundred, 0.5, 50}, {hundred, 0.99, 99}, {hundred, 1, 100}, {hundred, 0, 1},
	} {
		if got := Quantile(tc.values, tc.q); got != tc.want {
			t.Errorf("quantile %v of %d values: got %d, want %d", tc.q, len(tc.values), got, tc.want)
		}
	}
}
