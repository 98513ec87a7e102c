package gateclient

import (
	"os"
	"testing"

	_ "github.com/caddyserver/caddy/v2/caddyconfig/httpcaddyfile" // the adapter
)

// Without --config, the Caddyfile in the current directory says where the gate listens.
func TestCaddyfileInCurrentDirectory(t *testing.T) {
	t.Chdir(t.TempDir())
	if config, name, err := ReadConfig("", ""); config != nil || name != "" || err != nil {
		t.Errorf("without a file: %s, %q, %v", config, name, err)
	}
	if err := os.WriteFile(DefaultConfig, []byte("{\n\tadmin localhost:2999\n}\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	if _, name, err := ReadConfig("", ""); name != DefaultConfig || err != nil {
		t.Errorf("%q, %v", name, err)
	}
	if found, err := new(Flags).locate(); found.admin != "localhost:2999" || err != nil {
		t.Errorf("%+v, %v", found, err)
	}
}
