package transport

import (
	"fmt"
	"net/netip"
	"slices"
	"strconv"
	"strings"
)

// guard decides which addresses connections may be opened to. It is asked by
// the dialer after name resolution with the very address that is about to be
// connected to, so that a name cannot be checked as one address and used as
// another.
type guard struct {
	allow []allowEntry
	ports []int
	proxy bool // the dial target is the operator's proxy, not a crawled host
}

// allowEntry is one line of HostPolicy.AllowPrivate.
type allowEntry struct {
	prefix netip.Prefix
	port   int // 0: the usual ones, -1: any
}

func parseAllow(s string) (allowEntry, error) {
	bad := fmt.Errorf("allow_private: %q is not an address; write 10.1.2.3, 10.1.2.3:8080, 10.1.2.3:*, 10.0.0.0/8 or [fd00::1]:80", s)
	host, port := s, ""
	if rest, ok := strings.CutPrefix(s, "["); ok {
		inner, after, closed := strings.Cut(rest, "]")
		if !closed || after != "" && !strings.HasPrefix(after, ":") {
			return allowEntry{}, bad
		}
		host, port = inner, strings.TrimPrefix(after, ":")
	} else if strings.Count(s, ":") == 1 {
		host, port, _ = strings.Cut(s, ":")
	}
	e := allowEntry{}
	switch {
	case port == "*":
		e.port = -1
	case port != "":
		n, err := strconv.Atoi(port)
		if err != nil || n < 1 || n > 65535 {
			return allowEntry{}, bad
		}
		e.port = n
	}
	if prefix, err := netip.ParsePrefix(host); err == nil {
		if prefix.Addr().Is4In6() {
			return allowEntry{}, bad
		}
		e.prefix = prefix.Masked()
		return e, nil
	}
	addr, err := netip.ParseAddr(host)
	if err != nil || addr.Zone() != "" {
		return allowEntry{}, bad
	}
	addr = addr.Unmap()
	e.prefix = netip.PrefixFrom(addr, addr.BitLen())
	return e, nil
}

// check gives a *AddressError, or nil when the address may be connected to.
func (g *guard) check(network, address string) error {
	if !strings.HasPrefix(network, "tcp") {
		return &AddressError{Reason: "network " + network + " is not TCP"}
	}
	ap, err := netip.ParseAddrPort(address)
	if err != nil {
		return &AddressError{Reason: "not an address: " + address}
	}
	if g.proxy {
		return nil
	}
	addr := ap.Addr().Unmap()
	port := int(ap.Port())
	usual := slices.Contains(DefaultPorts(), port) || slices.Contains(g.ports, port)
	reason := refusedAddr(addr)
	if reason == "" {
		if usual || g.named(addr, port, false) {
			return nil
		}
		return &AddressError{Addr: ap, Reason: fmt.Sprintf("port %d", port)}
	}
	if g.named(addr, port, usual) {
		return nil
	}
	return &AddressError{Addr: ap, Reason: reason}
}

// named tells whether the policy lists the address with this port.
func (g *guard) named(addr netip.Addr, port int, usual bool) bool {
	for _, e := range g.allow {
		if !e.prefix.Contains(addr) || addr.Zone() != "" {
			continue
		}
		// Handing out credentials to whoever asks, these are never meant by a
		// range.
		if isMetadata(addr) && !e.prefix.IsSingleIP() {
			continue
		}
		if e.port == -1 || e.port == port || e.port == 0 && usual {
			return true
		}
	}
	return false
}

// Addresses at which cloud hosts answer with credentials. 168.63.129.16 looks
// public; every Azure machine has its host agent there.
func isMetadata(addr netip.Addr) bool {
	switch addr.String() {
	case "168.63.129.16", "169.254.169.254", "169.254.170.2", "169.254.0.23", "100.100.100.200", "192.0.0.192", "fd00:ec2::254", "fd20:ce::254":
		return true
	}
	return false
}

// special lists what is not the public internet (IANA special-purpose
// registries, RFC 6890 and its updates).
func special() []struct{ prefix, reason string } {
	return []struct{ prefix, reason string }{
		{"0.0.0.0/8", "unspecified"}, {"10.0.0.0/8", "private"}, {"100.64.0.0/10", "carrier-grade NAT"},
		{"127.0.0.0/8", "loopback"}, {"169.254.0.0/16", "link-local"}, {"172.16.0.0/12", "private"},
		{"192.0.0.0/24", "protocol assignments"}, {"192.0.2.0/24", "documentation"},
		{"192.88.99.0/24", "6to4 relay"}, {"192.168.0.0/16", "private"}, {"198.18.0.0/15", "benchmarking"},
		{"198.51.100.0/24", "documentation"}, {"203.0.113.0/24", "documentation"},
		{"224.0.0.0/4", "multicast"}, {"240.0.0.0/4", "reserved"},
		{"2001::/23", "protocol assignments (Teredo)"}, {"2001:db8::/32", "documentation"}, {"3fff::/20", "documentation"},
	}
}

var specialPrefixes = func() (list []struct {
	netip.Prefix
	reason string
}) {
	for _, s := range special() {
		list = append(list, struct {
			netip.Prefix
			reason string
		}{netip.MustParsePrefix(s.prefix), s.reason})
	}
	return list
}()

// refusedAddr says why an address is no place for a crawler, "" when it is
// public. IPv6 is refused unless it is global unicast, and forms that carry an
// IPv4 address are judged by what they carry.
func refusedAddr(addr netip.Addr) string {
	addr = addr.Unmap()
	switch {
	case !addr.IsValid():
		return "not an address"
	case addr.Zone() != "":
		return "has a zone"
	case isMetadata(addr):
		return "cloud metadata service"
	}
	for _, s := range specialPrefixes {
		if s.Contains(addr) {
			return s.reason
		}
	}
	if addr.Is4() {
		return ""
	}
	b := addr.As16()
	v4 := func(at int) netip.Addr { return netip.AddrFrom4([4]byte(b[at : at+4])) }
	switch {
	case addr.IsLoopback():
		return "loopback"
	case addr.IsUnspecified():
		return "unspecified"
	case netip.MustParsePrefix("64:ff9b::/96").Contains(addr): // NAT64
		return embedded("NAT64", v4(12))
	case b[0] == 0x20 && b[1] == 0x02: // 6to4
		return embedded("6to4", v4(2))
	case b[0]>>5 != 1: // outside 2000::/3
		return outsideGlobal(addr)
	case b[8]&^0x02 == 0 && b[9] == 0 && b[10] == 0x5e && b[11] == 0xfe: // ISATAP
		return embedded("ISATAP", v4(12))
	}
	return ""
}

func embedded(form string, v4 netip.Addr) string {
	if reason := refusedAddr(v4); reason != "" {
		return form + " form of " + v4.String() + ": " + reason
	}
	return ""
}

func outsideGlobal(addr netip.Addr) string {
	switch {
	case addr.IsMulticast():
		return "multicast"
	case addr.IsLinkLocalUnicast():
		return "link-local"
	case addr.IsPrivate():
		return "private (unique local)"
	}
	return "not global unicast"
}

func newGuard(p HostPolicy) (*guard, error) {
	g := &guard{ports: slices.Clone(p.AllowPorts)}
	for _, s := range p.AllowPrivate {
		e, err := parseAllow(s)
		if err != nil {
			return nil, err
		}
		g.allow = append(g.allow, e)
	}
	return g, nil
}
