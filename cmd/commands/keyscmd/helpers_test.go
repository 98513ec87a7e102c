package keyscmd

import (
	"hash/crc32"
	"net/http"
	"strings"
	"testing"

	"github.com/docsgate/docsgate/cmd/commands/internal/cmdtest"
	"github.com/docsgate/docsgate/cmd/commands/internal/gateclient"
)

// dial returns a client of a loopback server with a handler. Both are closed at the end of the test.
func dial(t *testing.T, h http.HandlerFunc) *client {
	t.Helper()
	gate, err := gateclient.Dial(t.Context(), cmdtest.Serve(t, h))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = gate.Close() })
	return &client{gate}
}

// tokenLike returns a token with a valid checksum that contains a name.
func tokenLike(name string) string {
	const base62 = "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz"
	random := (name + strings.Repeat("0", 30))[:30]
	sum := make([]byte, 6)
	for n, i := crc32.ChecksumIEEE([]byte(random)), 5; i >= 0; n, i = n/62, i-1 {
		sum[i] = base62[n%62]
	}
	return "dgk_" + random + string(sum)
}
