package testprocess

import (
	"errors"
	"math/rand/v2"
	"net"
	"strconv"
	"sync"
)

// FreePort returns a port of 127.0.0.1 that stays free until a server uses it, and while the server is stopped: it is below the range of
// ephemeral ports, and each call in this process returns another one.
func FreePort() (string, error) {
	for range 1000 {
		port := strconv.Itoa(12_000 + rand.IntN(20_000)) //nolint:gosec // a port is not a secret
		if _, given := givenPorts.LoadOrStore(port, true); given {
			continue
		}
		if l, err := net.Listen("tcp", net.JoinHostPort("127.0.0.1", port)); err == nil {
			return port, l.Close()
		}
	}
	return "", errors.New("no free port found")
}

var givenPorts sync.Map
