package sockets

import (
	"bufio"
	"encoding/binary"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"net/netip"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"

	"github.com/docsgate/docsgate/internal/displaytext"
)

// States of sockets in the kernel's tables.
const (
	stateListen      = "0A"
	stateUnconnected = "07" // UDP
)

// Read reads the kernel's tables of sockets.
func Read() (*Table, error) {
	inodes, err := inodesOf("/proc/self/fd")
	if err != nil {
		return nil, fmt.Errorf("listing the sockets of this process: %w", err)
	}
	all, err := readAll()
	if err != nil {
		return nil, err
	}
	t := new(Table)
	for _, l := range all {
		switch {
		case slices.Contains(inodes, l.inode):
			t.Own = append(t.Own, l)
		case l.uid == os.Geteuid() && l.inode != 0:
			t.Foreign = append(t.Foreign, l)
		}
	}
	return t, nil
}

// readAll returns the sockets of all processes.
func readAll() (all []Listener, err error) {
	for _, file := range []struct{ name, network, state string }{
		{"tcp", "tcp", stateListen},
		{"tcp6", "tcp", stateListen},
		{"udp", "udp", stateUnconnected},
		{"udp6", "udp", stateUnconnected},
	} {
		listeners, err := readFile("/proc/self/net/"+file.name, file.network, file.state)
		if errors.Is(err, fs.ErrNotExist) && strings.HasSuffix(file.name, "6") {
			continue // the kernel has no IPv6
		}
		if err != nil {
			return nil, fmt.Errorf("listing the listening sockets: %w", err)
		}
		all = append(all, listeners...)
	}
	return all, nil
}

func readFile(path, network, state string) ([]Listener, error) {
	file, err := os.Open(path)
	if err != nil {
		return nil, err
	}
	defer file.Close()
	return parse(file, network, state)
}

// parse reads a table. The kernel lists the listening TCP sockets before all others, of which there may be very many, so it stops at
// the first of those.
func parse(r io.Reader, network, state string) ([]Listener, error) {
	var found []Listener
	lines := bufio.NewScanner(r)
	lines.Scan() // the names of the columns
	for lines.Scan() {
		// sl local_address rem_address st tx_queue:rx_queue tr:when retrnsmt uid timeout inode
		fields := strings.Fields(lines.Text())
		if len(fields) < 10 {
			continue
		}
		if fields[3] != state {
			if network == "tcp" {
				break
			}
			continue
		}
		l := Listener{Network: network}
		var err error
		if l.Address, err = parseAddress(fields[1]); err != nil {
			return nil, err
		}
		if l.uid, err = strconv.Atoi(fields[7]); err != nil {
			return nil, err
		}
		if l.inode, err = strconv.ParseUint(fields[9], 10, 64); err != nil {
			return nil, err
		}
		found = append(found, l)
	}
	return found, lines.Err()
}

// parseAddress parses an address such as 0100007F:1F90: words of four bytes in the byte order of the machine, then the port.
func parseAddress(text string) (netip.AddrPort, error) {
	host, port, _ := strings.Cut(text, ":")
	b, err := hex.DecodeString(host)
	if err != nil || len(b) != 4 && len(b) != 16 {
		return netip.AddrPort{}, fmt.Errorf("unexpected address %q", text)
	}
	n, err := strconv.ParseUint(port, 16, 16)
	if err != nil {
		return netip.AddrPort{}, fmt.Errorf("unexpected address %q", text)
	}
	for word := range slices.Chunk(b, 4) {
		binary.NativeEndian.PutUint32(word, binary.BigEndian.Uint32(word))
	}
	addr, _ := netip.AddrFromSlice(b)
	return netip.AddrPortFrom(addr, uint16(n)), nil
}

// inodesOf returns the inodes of the sockets in a directory of file descriptors.
func inodesOf(dir string) ([]uint64, error) {
	entries, err := os.ReadDir(dir)
	if err != nil {
		return nil, err
	}
	var inodes []uint64
	for _, entry := range entries {
		// It fails if the descriptor was closed meanwhile.
		target, err := os.Readlink(filepath.Join(dir, entry.Name()))
		if err != nil || !strings.HasPrefix(target, "socket:[") {
			continue
		}
		inode, err := strconv.ParseUint(strings.TrimSuffix(strings.TrimPrefix(target, "socket:["), "]"), 10, 64)
		if err == nil {
			inodes = append(inodes, inode)
		}
	}
	return inodes, nil
}

// process returns the process that has a socket open, or 0. Processes in another PID namespace are not found.
func process(inode uint64) (pid int, name string) {
	dirs, err := filepath.Glob("/proc/[1-9]*/fd")
	if err != nil {
		return 0, ""
	}
	for _, dir := range dirs {
		pid, err := strconv.Atoi(filepath.Base(filepath.Dir(dir)))
		if err != nil {
			continue
		}
		if inodes, err := inodesOf(dir); err != nil || !slices.Contains(inodes, inode) {
			continue
		}
		comm, err := os.ReadFile(filepath.Join(filepath.Dir(dir), "comm"))
		if err != nil {
			continue
		}
		return pid, displaytext.PrintableLine(string(comm), 16)
	}
	return 0, ""
}
