package gateclient

import (
	"net"
	"os"
	"path/filepath"
	"runtime"
	"testing"

	"github.com/docsgate/docsgate/internal/testprocess"
)

// The commands may open the store file only if the connection is refused.
func TestIsConnRefused(t *testing.T) {
	dir := t.TempDir()
	file := filepath.Join(dir, "file")
	if err := os.WriteFile(file, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	port, err := testprocess.FreePort()
	if err != nil {
		t.Fatal(err)
	}
	cases := map[string]bool{
		"127.0.0.1:" + port:                   true,
		"no-such-host.invalid:2019":           false,
		"unix/" + filepath.Join(file, "sock"): false, // no dir
	}
	if runtime.GOOS != "windows" {
		left := filepath.Join(dir, "left") // by a gate that was killed
		l, err := net.ListenUnix("unix", &net.UnixAddr{Name: left, Net: "unix"})
		if err != nil {
			t.Fatal(err)
		}
		l.SetUnlinkOnClose(false)
		_ = l.Close()
		cases["unix/"+left] = true
		cases["unix/"+left+"|0600"] = true
		cases["unix/"+filepath.Join(dir, "none")] = true
	}
	for address, want := range cases {
		t.Run(address, func(t *testing.T) {
			g, err := Dial(t.Context(), address)
			if err == nil {
				_ = g.Close()
				t.Fatal("the address accepts connections")
			}
			if IsConnRefused(err) != want {
				t.Error(err)
			}
		})
	}
}
