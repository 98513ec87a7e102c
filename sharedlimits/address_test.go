package sharedlimits

import (
	"slices"
	"strings"
	"testing"

	"github.com/docsgate/docsgate/internal/transport"
)

func TestParseAddress(t *testing.T) {
	for text, want := range map[string]Address{
		"redis://localhost": {Hosts: []string{"localhost:6379"}},
		"REDIS://127.0.0.1:7000/3": {
			Hosts: []string{"127.0.0.1:7000"}, Database: 3,
		},
		"rediss://u:p%40%2F@cache.example.com:6380": {
			Hosts: []string{"cache.example.com:6380"}, User: "u", Password: "p@/",
			Connection: transport.Connection{Transport: transport.Verified, Hosts: []string{"cache.example.com"}},
		},
		"rediss://:p@a,b:7001,[2001:db8::1]:7002": {
			Hosts: []string{"a:6379", "b:7001", "[2001:db8::1]:7002"}, Password: "p", Cluster: true,
			Connection: transport.Connection{Transport: transport.Verified, Hosts: []string{"a", "b", "2001:db8::1"}},
		},
		"redis://[::1]:7000?cluster=true": {Hosts: []string{"[::1]:7000"}, Cluster: true},
		"redis://127.0.0.1:26379,127.0.0.2:26379/1?master_name=limits": {
			Hosts: []string{"127.0.0.1:26379", "127.0.0.2:26379"}, Database: 1, MasterName: "limits",
		},
	} {
		got, err := ParseAddress(text, false)
		if want.Connection.Transport == "" {
			want.Connection.Transport = transport.Local
		}
		if (got.TLS != nil) != strings.HasPrefix(text, "rediss") {
			t.Errorf("%s: TLS %v", text, got.TLS)
		}
		if err != nil || !slices.Equal(got.Hosts, want.Hosts) || got.User != want.User || got.Password != want.Password ||
			got.Database != want.Database || got.Cluster != want.Cluster || got.MasterName != want.MasterName ||
			got.Connection.Transport != want.Connection.Transport || !slices.Equal(got.Connection.Hosts, want.Connection.Hosts) {
			t.Errorf("%s: %+v, %v", text, got, err)
		}
	}
}

func TestInvalidAddresses(t *testing.T) {
	for _, text := range []string{
		"", "localhost:6379", "http://localhost", "redis://", "redis://localhost,", "redis://localhost:port", "redis://localhost/one",
		"redis://localhost/-1", "redis://localhost/70000", "redis://localhost?unknown=1", "redis://localhost?cluster=perhaps",
		"redis://localhost?cluster=true&master_name=m", "redis://localhost/2?cluster=true", "redis://localhost?ca_file=/etc/ca.pem",
		"rediss://localhost?ca_file=/does/not/exist", "redis://u:secret#word@localhost",
		"redis://u:secret/word@localhost", "redis://u:secret%zz@localhost", "redis://localhost?cluster=true&cluster=true",
	} {
		if a, err := ParseAddress(text, true); err == nil || strings.Contains(err.Error(), "secret") {
			t.Errorf("%s: %+v, %v", text, a, err)
		}
	}
}

// Without TLS the gate connects to this machine only, as to the databases of feeds.
func TestPlaintextToOtherMachines(t *testing.T) {
	for _, text := range []string{"redis://u:secret@redis", "redis://localhost,10.0.0.5:6379", "redis://host.docker.internal"} {
		_, err := ParseAddress(text, false)
		if err == nil || !strings.Contains(err.Error(), transport.AllowPlaintext) || strings.Contains(err.Error(), "secret") {
			t.Errorf("%s: %v", text, err)
		}
		a, err := ParseAddress(text, true)
		if err != nil || a.Connection.Transport != transport.Plaintext || len(a.Connection.Hosts) != 1 {
			t.Errorf("%s: %+v, %v", text, a, err)
		}
	}
}
