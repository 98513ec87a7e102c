package sharedlimits

import (
	"strings"
	"testing"

	"github.com/docsgate/docsgate/internal/redistest"
)

func TestCheck(t *testing.T) {
	server := redistest.Start(t)
	check := func() error {
		address, err := ParseAddress(server.URL(), false)
		if err != nil {
			t.Fatal(err)
		}
		return Check(t.Context(), Options{Address: address})
	}
	if err := check(); err != nil {
		t.Fatal(err)
	}
	if names := server.Client().Keys(t.Context(), "*").Val(); len(names) > 0 {
		t.Errorf("the check has left %q", names)
	}
	if err := server.Client().Do(t.Context(), "REPLICAOF", "127.0.0.1", "1").Err(); err != nil {
		t.Fatal(err)
	}
	if err := check(); err == nil || !strings.Contains(err.Error(), "READONLY") {
		t.Errorf("a replica: %v", err)
	}
	server.Stop()
	if err := check(); err == nil || !strings.Contains(err.Error(), "refused") {
		t.Errorf("a stopped server: %v", err)
	}
}
