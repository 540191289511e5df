package ipam

import (
	"net/netip"
	"strings"
	"testing"
)

func TestParsePrefixes(t *testing.T) {
	for _, c := range []struct{ in, want, wantErr string }{
		{in: "10.16.0.0/16", want: "10.16.0.0/16"},
		{in: "10.16.5.7/16", want: "10.16.0.0/16"},
		{in: "FD00:10:16::/64", want: "fd00:10:16::/64"},
		{in: "10.16.0.0/16,FD00::1/112", want: "10.16.0.0/16,fd00::/112"},
		{in: "fd00::/112, 10.16.0.0/16", want: "10.16.0.0/16,fd00::/112"},
		{in: "", want: ""},
		{in: "10.16.0.0", wantErr: `"10.16.0.0" is not a CIDR`},
		{in: "10.16.0.0/33", wantErr: "is not a CIDR"},
		{in: "10.16.0.0/16,10.17.0.0/16", wantErr: "are of one family"},
		{in: "10.16.0.0/16,fd00::/64,fd01::/64", wantErr: "more than one of a family"},
		{in: "10.16.0.0/16,", wantErr: `"" is not a CIDR`},
		{in: "::ffff:10.0.0.0/112", wantErr: "IPv4 CIDR written as IPv6"},
		{in: "fe80::%eth0/64", wantErr: "is not a CIDR"},
	} {
		got, err := ParsePrefixes(c.in)
		checkParse(t, c.in, got.String(), c.want, err, c.wantErr)
	}
}

func TestParseAddrs(t *testing.T) {
	for _, c := range []struct{ in, want, wantErr string }{
		{in: "10.16.0.1", want: "10.16.0.1"},
		{in: "FD00::A", want: "fd00::a"},
		{in: "fd00::a,10.16.0.1", want: "10.16.0.1,fd00::a"},
		{in: "", want: ""},
		{in: "10.16.0.256", wantErr: "is not an address"},
		{in: "010.16.0.1", wantErr: "is not an address"},
		{in: "::ffff:10.0.0.1", wantErr: "is not an address"},
		{in: "fe80::1%eth0", wantErr: "is not an address"},
		{in: "10.16.0.1,10.16.0.2", wantErr: "are of one family"},
	} {
		got, err := ParseAddrs(c.in)
		checkParse(t, c.in, got.String(), c.want, err, c.wantErr)
	}
}

func TestParseRanges(t *testing.T) {
	for _, c := range []struct{ in, want, wantErr string }{
		{in: "10.16.0.1", want: "10.16.0.1"},
		{in: "10.16.0.5..10.16.0.9 10.16.0.10 10.16.0.1", want: "10.16.0.1,10.16.0.5-10.16.0.10"},
		{in: "10.16.0.1..10.16.0.9 10.16.0.3..10.16.0.4", want: "10.16.0.1-10.16.0.9"},
		{in: "FD00::1..FD00::F 10.0.0.1", want: "10.0.0.1,fd00::1-fd00::f"},
		{in: "255.255.255.250..255.255.255.255 ::", want: "255.255.255.250-255.255.255.255,::"},
		{in: "", want: ""},
		{in: "10.16.0.9..10.16.0.1", wantErr: "ends before it begins"},
		{in: "10.16.0.9..fd00::1", wantErr: "one family to the other"},
		{in: "10.16.0.0/24", wantErr: "is not an address"},
		{in: "10.16.0.1..", wantErr: "is not an address"},
		{in: "10.16.0.1-10.16.0.2", wantErr: "is not an address"},
	} {
		got, err := ParseRanges(strings.Fields(c.in))
		checkParse(t, c.in, got.String(), c.want, err, c.wantErr)
	}
}

func TestParseMAC(t *testing.T) {
	for _, c := range []struct{ in, want, wantErr string }{
		{in: "0A:58:0A:10:00:05", want: "0a:58:0a:10:00:05"},
		{in: "0a-58-0a-10-00-05", want: "0a:58:0a:10:00:05"},
		{in: "00:00:00:00:00:00", wantErr: "of one host"},
		{in: "01:00:5e:00:00:01", wantErr: "of one host"},
		{in: "00:00:5e:ef:10:00:00:01", wantErr: "is not a MAC"},
		{in: "nothing", wantErr: "is not a MAC"},
	} {
		got, err := ParseMAC(c.in)
		checkParse(t, c.in, got.String(), c.want, err, c.wantErr)
	}
}

func checkParse(t *testing.T, in, got, want string, err error, wantErr string) {
	t.Helper()
	switch {
	case wantErr == "" && err != nil:
		t.Errorf("%q: %v", in, err)
	case wantErr != "" && (err == nil || !strings.Contains(err.Error(), wantErr)):
		t.Errorf("%q: error %v, want %q", in, err, wantErr)
	case wantErr == "" && got != want:
		t.Errorf("%q: got %q, want %q", in, got, want)
	}
}

func TestFirstUsable(t *testing.T) {
	for in, want := range map[string]string{
		"10.16.0.0/16":           "10.16.0.1",
		"10.16.0.0/16,fd00::/64": "10.16.0.1,fd00::1",
		"10.0.0.4/31":            "10.0.0.4",
		"10.0.0.4/32":            "10.0.0.4",
		"fd00::2/127":            "fd00::2",
	} {
		if got := prefixes(t, in).FirstUsable().String(); got != want {
			t.Errorf("%s: got %s, want %s", in, got, want)
		}
	}
}

func TestRangeCount(t *testing.T) {
	for in, want := range map[string]float64{
		"10.16.0.0/16": 65536,
		"0.0.0.0/0":    1 << 32,
		"fd00::/64":    1 << 64,
		"::/0":         0x1p128,
		"fd00::1/128":  1,
	} {
		if got := PrefixRange(netip.MustParsePrefix(in)).Count(); got != want {
			t.Errorf("%s: got %g, want %g", in, got, want)
		}
	}
}

func TestRangesText(t *testing.T) {
	r, err := ParseRanges([]string{"10.0.0.1", "10.0.0.3", "10.0.0.5"})
	if err != nil {
		t.Fatal(err)
	}
	if got, want := r.Text(2), "10.0.0.1,10.0.0.3,..."; got != want {
		t.Errorf("got %q, want %q", got, want)
	}
}

func FuzzParsePrefixes(f *testing.F) {
	f.Add("10.16.0.0/16,FD00::1/112")
	f.Add("10.16.0.0/16,")
	f.Fuzz(func(t *testing.T, in string) {
		p, err := ParsePrefixes(in)
		if err != nil {
			return
		}
		again, err := ParsePrefixes(p.String())
		if err != nil || again != p {
			t.Errorf("%q reads as %q, which reads as %q, %v", in, p, again, err)
		}
	})
}

func FuzzParseAddrs(f *testing.F) {
	f.Add("10.16.0.1,FD00::A")
	f.Add("fe80::1%eth0")
	f.Fuzz(func(t *testing.T, in string) {
		a, err := ParseAddrs(in)
		if err != nil {
			return
		}
		again, err := ParseAddrs(a.String())
		if err != nil || again != a {
			t.Errorf("%q reads as %q, which reads as %q, %v", in, a, again, err)
		}
	})
}

func FuzzParseRange(f *testing.F) {
	f.Add("10.16.0.1..10.16.0.9")
	f.Add("FD00::1")
	f.Add("::....::")
	f.Fuzz(func(t *testing.T, in string) {
		r, err := ParseRange(in)
		if err != nil {
			return
		}
		if r.Last.Less(r.First) || r.Count() < 1 || !r.Contains(r.First) || !r.Contains(r.Last) {
			t.Errorf("%q reads as %v", in, r)
		}
	})
}

func FuzzParseMAC(f *testing.F) {
	f.Add("0A:58:0A:10:00:05")
	f.Fuzz(func(t *testing.T, in string) {
		m, err := ParseMAC(in)
		if err != nil {
			return
		}
		if again, err := ParseMAC(m.String()); err != nil || again != m {
			t.Errorf("%q reads as %q, which reads as %q, %v", in, m, again, err)
		}
	})
}

func prefixes(t testing.TB, s string) Prefixes {
	t.Helper()
	p, err := ParsePrefixes(s)
	if err != nil {
		t.Fatal(err)
	}
	return p
}
