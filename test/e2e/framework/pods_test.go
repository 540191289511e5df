package framework

import "testing"

// A server's own command line tells where it listens, also where a test has given it another one.
func TestListening(t *testing.T) {
	moved, wrapped := Server("moved", Listening("18080", "18081")), Server("wrapped")
	c := &wrapped.Spec.Containers[0]
	c.Command, c.Args = []string{"sh", "-c", "/agnhost netexec --http-port=8080 & wait"}, nil
	const ask, bound = "curl -sS -o /dev/null http://localhost:", " && cat /proc/net/udp /proc/net/udp6 2>/dev/null | grep -q ':"
	for name, tc := range map[string]struct{ got, want string }{
		"a server":         {listening(&Server("web").Spec.Containers[0]), ask + "8080/hostname" + bound + "1F91 '"},
		"other ports":      {listening(&moved.Spec.Containers[0]), ask + "18080/hostname" + bound + "46A1 '"},
		"another command":  {listening(c), ask + "8080/hostname"},
		"no server at all": {listening(&Idle("bird").Spec.Containers[0]), ""},
	} {
		if tc.got != tc.want {
			t.Errorf("%s is asked by %q, not %q", name, tc.got, tc.want)
		}
	}
}
