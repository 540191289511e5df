//go:build e2e

package e2e

import (
	"strings"
	"testing"
	"time"

	v1 "github.com/woven-cni/woven/pkg/apis/kubeovn/v1"
	"github.com/woven-cni/woven/test/e2e/framework"
)

// A neighbour that has just spoken to an address reaches the next pod that has it with another MAC at once: the pod announces
// itself. Without that, the neighbour would send to the old MAC until it asks again, for half a minute.
func TestAnnouncedMAC(t *testing.T) {
	ns := cluster.Namespace(t, nil)
	for name, node := range map[string]string{"near": here, "far": there} {
		peer, first := framework.Server("peer-"+name, framework.On(node)), framework.Server("first-"+name, framework.On(here))
		ns.Start(peer, first)
		ip := strings.Split(addresses(first), ",")[0]
		at := url(ip, framework.HTTPPort, "/hostname")
		ns.FetchUntil(peer, at, first.Name)
		ns.Stop(first)
		next := framework.Server("next-"+name, framework.On(here), framework.Annotated(map[string]string{
			v1.AnnotationIPAddress: addresses(first), v1.AnnotationMACAddress: "02:00:00:00:77:0" + map[string]string{"near": "1", "far": "2"}[name],
		}))
		ns.Start(next)
		got, err := cluster.FetchWithin(t.Context(), 3*time.Second, peer, at)
		if err != nil || !strings.Contains(got, next.Name) {
			t.Errorf("%s: the first call of %s with its new MAC got %q, %v", name, ip, got, err)
		}
	}
}
