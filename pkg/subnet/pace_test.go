package subnet

import (
	"fmt"
	"testing"
	"time"
)

// TestUsageOfManySubnetsIsWrittenLessOften has the usage of Subnets change for a minute, all the time, and counts the writes
// that every node would be sent.
func TestUsageOfManySubnetsIsWrittenLessOften(t *testing.T) {
	const minute, step = time.Minute, 10 * time.Millisecond
	for _, c := range []struct {
		subnets, most int
		late          time.Duration
	}{
		{subnets: 1, most: 60, late: time.Second},
		{subnets: 10, most: 600, late: 2 * time.Second},
		{subnets: 300, most: 600, late: 31 * time.Second},
	} {
		t.Run(fmt.Sprint(c.subnets), func(t *testing.T) {
			p := newPace()
			began := time.Unix(0, 0)
			writes, latest := 0, time.Duration(0)
			for at := time.Duration(0); at < minute; at += step {
				for i := range c.subnets {
					if wait, ok := p.next(fmt.Sprint("web-", i), began.Add(at)); ok {
						writes, latest = writes+1, max(latest, wait)
					}
				}
			}
			if writes -= len(p.due); writes > c.most || latest > c.late {
				t.Errorf("%d writes in a minute, each at most %s late; want %d and %s", writes, latest, c.most, c.late)
			}
			if writes < c.most/2 {
				t.Errorf("%d writes only", writes)
			}
			if _, ok := p.next("another", began.Add(2*minute)); !ok || len(p.due) != 1 {
				t.Errorf("%d Subnets are remembered when all is written but one", len(p.due))
			}
		})
	}
}
