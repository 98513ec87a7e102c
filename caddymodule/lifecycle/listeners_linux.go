package lifecycle

import (
	"errors"
	"syscall"

	"golang.org/x/sys/unix"
)

// noSteering is an index that no socket has; the kernel then chooses by a hash of the addresses, its default.
const noSteering = -1

// stopAccepting lets a listener accept no more connections. Others accept them from the same queue. net/http tries again, with pauses
// of up to a second.
func stopAccepting(l deadlineListener) error { return l.SetDeadline(aLongTimeAgo) }

// steer lets the kernel pass all new connections to one of the sockets that share an address: that with an index in the order in
// which they were opened. It needs no privileges.
func steer(socket syscall.RawConn, index int) error {
	return attach(socket, unix.SO_ATTACH_REUSEPORT_CBPF, []unix.SockFilter{
		{Code: unix.BPF_RET | unix.BPF_K, K: uint32(index)},
	})
}

// Bits and offset of the flags in the TCP header.
const (
	tcpFlags = 13
	tcpSYN   = 0x02
	tcpACK   = 0x10
)

// rejectHandshakes lets a listening socket ignore clients that begin to connect. They try again after a second, and then reach
// another socket. Handshakes that have begun are completed.
func rejectHandshakes(socket syscall.RawConn) error {
	return attach(socket, unix.SO_ATTACH_FILTER, []unix.SockFilter{
		{Code: unix.BPF_LD | unix.BPF_B | unix.BPF_ABS, K: tcpFlags},
		{Code: unix.BPF_ALU | unix.BPF_AND | unix.BPF_K, K: tcpSYN | tcpACK},
		{Code: unix.BPF_JMP | unix.BPF_JEQ | unix.BPF_K, K: tcpSYN, Jf: 1},
		{Code: unix.BPF_RET | unix.BPF_K, K: 0},
		{Code: unix.BPF_RET | unix.BPF_K, K: 1 << 18}, // more than the size of any packet
	})
}

// pendingConns returns the number of connections that are established and not accepted.
func pendingConns(socket syscall.RawConn) int {
	n := 0
	// Fails if the socket is closed.
	_ = socket.Control(func(fd uintptr) {
		if info, err := unix.GetsockoptTCPInfo(int(fd), unix.IPPROTO_TCP, unix.TCP_INFO); err == nil && info.State == unix.BPF_TCP_LISTEN {
			n = int(info.Unacked) // has this meaning for a listening socket
		}
	})
	return n
}

func attach(socket syscall.RawConn, option int, program []unix.SockFilter) error {
	var attached error
	err := socket.Control(func(fd uintptr) {
		attached = unix.SetsockoptSockFprog(int(fd), unix.SOL_SOCKET, option,
			&unix.SockFprog{Len: uint16(len(program)), Filter: &program[0]})
	})
	return errors.Join(err, attached)
}
