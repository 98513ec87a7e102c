// Package cmdtest helps to test docsgate's subcommands.
package cmdtest

import (
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"go.uber.org/goleak"
)

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
