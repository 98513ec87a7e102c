package sockets

import (
	"context"
	"encoding/binary"
	"net"
	"net/netip"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"

	"golang.org/x/sys/unix"
)

const tcpTable = `  sl  local_address rem_address   st tx_queue rx_queue tr tm->when retrnsmt   uid  timeout inode
   0: 0100007F:07E3 00000000:0000 0A 00000000:00000000 00:00000000 00000000  1000        0 4711 1 0000000000000000 100 0 0 10 0
   1: 00000000:01BB 00000000:0000 0A 00000000:00000000 00:00000000 00000000     0        0 4712 1 0000000000000000 100 0 0 10 0
   2: 0100007F:01BB 0100007F:D431 01 00000000:00000000 00:00000000 00000000  1000        0 4713 1 0000000000000000 20 4 30 10 -1
   3: an established connection ends the listening ones
`

func TestParse(t *testing.T) {
	if binary.NativeEndian.Uint16([]byte{1, 0}) != 1 {
		t.Fatal("the table is that of a little-endian machine")
	}
	got, err := parse(strings.NewReader(tcpTable), "tcp", stateListen)
	want := []Listener{
		{"tcp", netip.MustParseAddrPort("127.0.0.1:2019"), 4711, 1000},
		{"tcp", netip.MustParseAddrPort("0.0.0.0:443"), 4712, 0},
	}
	if err != nil || !slices.Equal(got, want) {
		t.Errorf("%v, %v", got, err)
	}
	address, err := parseAddress("B80D01200000000000000000010000FF:0050")
	if want := netip.MustParseAddrPort("[2001:db8::ff00:1]:80"); err != nil || address != want {
		t.Errorf("%v, %v", address, err)
	}
	for _, text := range []string{"", "0100007F", "01:0050", "0100007F:10000", "x100007F:0050"} {
		if address, err := parseAddress(text); err == nil {
			t.Errorf("%q is %s", text, address)
		}
	}
}

func TestOverlap(t *testing.T) {
	for _, c := range []struct {
		a, b string
		want bool
	}{
		{"127.0.0.1:80", "127.0.0.1:80", true},
		{"127.0.0.1:80", "127.0.0.1:81", false},
		{"127.0.0.1:80", "127.0.0.2:80", false},
		{"0.0.0.0:80", "127.0.0.2:80", true},
		{"[::]:80", "127.0.0.2:80", true},
		{"[::]:80", "0.0.0.0:80", true},
		{"[::]:80", "[::1]:80", true},
		{"0.0.0.0:80", "[::1]:80", false},
		{"127.0.0.1:80", "[::1]:80", false},
		{"[::ffff:127.0.0.1]:80", "127.0.0.1:80", true},
	} {
		a, b := netip.MustParseAddrPort(c.a), netip.MustParseAddrPort(c.b)
		if overlap(a, b) != c.want || overlap(b, a) != c.want {
			t.Errorf("overlap of %s and %s: want %v", a, b, c.want)
		}
	}
}

// The sockets of this process are its own, of all families.
func TestReadFindsOwnSockets(t *testing.T) {
	for _, address := range []string{"127.0.0.1:0", "[::1]:0", ":0"} {
		listener, err := new(net.ListenConfig).Listen(t.Context(), "tcp", address)
		if err != nil {
			t.Fatal(err)
		}
		defer listener.Close()
		table, err := Read()
		if err != nil {
			t.Fatal(err)
		}
		want := listener.Addr().(*net.TCPAddr).AddrPort()
		if !slices.ContainsFunc(table.Own, func(l Listener) bool { return l.Network == "tcp" && l.Address == want }) {
			t.Errorf("%s is not among %v", want, table.Own)
		}
		if other, found := table.FindForeign("tcp", want); found {
			t.Errorf("%s is in use by %v (%s)", want, other, other.Process())
		}
	}
	listener, err := new(net.ListenConfig).ListenPacket(t.Context(), "udp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer listener.Close()
	table, err := Read()
	want := listener.LocalAddr().(*net.UDPAddr).AddrPort()
	if err != nil || !slices.ContainsFunc(table.Own, func(l Listener) bool { return l.Network == "udp" && l.Address == want }) {
		t.Errorf("%s is not among %v, %v", want, table, err)
	}
}

func TestProcess(t *testing.T) {
	listener, err := new(net.ListenConfig).Listen(t.Context(), "tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer listener.Close()
	table, err := Read()
	if err != nil {
		t.Fatal(err)
	}
	for _, l := range table.Own {
		if pid, name := process(l.inode); pid != os.Getpid() || name == "" {
			t.Errorf("process %d (%q)", pid, name)
		}
	}
	if text := (Listener{}).Process(); text != "" {
		t.Errorf("an unknown socket is of %q", text)
	}
}

func TestInUse(t *testing.T) {
	path := filepath.Join(t.TempDir(), "s")
	for network, address := range map[string]string{"tcp": "127.0.0.1:0", "unix": path} {
		// As Caddy's.
		config := net.ListenConfig{Control: func(network, _ string, c syscall.RawConn) error {
			return c.Control(func(fd uintptr) {
				if network != "unix" {
					_ = unix.SetsockoptInt(int(fd), unix.SOL_SOCKET, unix.SO_REUSEPORT, 1)
				}
			})
		}}
		listener, err := config.Listen(t.Context(), network, address)
		if err != nil {
			t.Fatal(err)
		}
		address = listener.Addr().String()
		if !InUse(context.Background(), network, address) {
			t.Errorf("%s is not in use", address)
		}
		listener.Close()
		if InUse(context.Background(), network, address) {
			t.Errorf("%s is in use", address)
		}
	}
}
