// Package cmdtest helps to test docsgate's subcommands.
package cmdtest

import (
	"errors"
	"math/rand/v2"
	"net"
	"net/http"
	"net/http/httptest"
	"strconv"
	"strings"
	"sync"
	"testing"

	"go.uber.org/goleak"
)

// FreePort returns a free loopback port that stays free until the test uses it: it is below the range of ephemeral ports, and each
// call in this process returns another one.
func FreePort() (string, error) {
	for range 1000 {
		port := strconv.Itoa(12_000 + rand.IntN(20_000)) //nolint:gosec // a port is not a secret
		if _, given := givenPorts.LoadOrStore(port, true); given {
			continue
		}
		if l, err := net.Listen("tcp", "127.0.0.1:"+port); err == nil {
			return port, l.Close()
		}
	}
	return "", errors.New("no free port found")
}

var givenPorts sync.Map

// Serve starts a loopback server with a handler, and returns its address. At the end of the test it is closed, and no goroutine may
// be left.
func Serve(t testing.TB, h http.HandlerFunc) string {
	t.Helper()
	before := goleak.IgnoreCurrent()
	t.Cleanup(func() { goleak.VerifyNone(t, before) })
	server := httptest.NewServer(h)
	t.Cleanup(server.Close)
	return strings.TrimPrefix(server.URL, "http://")
}
