package mongofeed_test

import (
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/docsgate/docsgate/keys"
	"github.com/docsgate/docsgate/keys/dbfeed"
	"github.com/docsgate/docsgate/keys/docsgptkeys"
	"github.com/docsgate/docsgate/keys/mongofeed"
)

// Connections to other machines need TLS, unless the operator allows plaintext.
func TestAddressesRequiringTLS(t *testing.T) {
	for uri, want := range map[string]docsgptkeys.Transport{
		"mongodb://127.0.0.1/db":                              docsgptkeys.Local,
		"mongodb://[::1]:5/db":                                docsgptkeys.Local,
		"mongodb://localhost:27017,127.0.0.2/db":              docsgptkeys.Local,
		"mongodb://%2Ftmp%2Fmongodb-27017.sock/db":            docsgptkeys.Local,
		"mongodb://u:p@mongo/db":                              docsgptkeys.Plaintext,
		"mongodb://u:p@host.docker.internal/db":               docsgptkeys.Plaintext,
		"mongodb://u:p@localhost,10.0.0.5/db":                 docsgptkeys.Plaintext,
		"mongodb://u:p@db.example.com/db?tls=false":           docsgptkeys.Plaintext,
		"mongodb://u:p@db.example.com/db?ssl=false":           docsgptkeys.Plaintext,
		"mongodb+srv://u:p@cluster.example.com/db?tls=false":  docsgptkeys.Plaintext,
		"mongodb://u:p@db.example.com/db?tls=true":            docsgptkeys.Verified,
		"mongodb://u:p@db.example.com/db?ssl=true":            docsgptkeys.Verified,
		"mongodb+srv://u:p@cluster.example.com/db":            docsgptkeys.Verified,
		"mongodb://u:p@mongo/db?tls=true&tlsInsecure=true":    docsgptkeys.Unverified,
		"mongodb+srv://u:p@c.example.com/db?tlsInsecure=true": docsgptkeys.Unverified,
	} {
		f, err := mongofeed.New(mongofeed.Options{Options: dbfeed.Options{URI: keys.NewSecret(uri)}})
		if (err == nil) != (want != docsgptkeys.Plaintext) {
			t.Errorf("%s: %v", uri, err)
		}
		if err != nil && (!strings.Contains(err.Error(), "tls=true") || !strings.Contains(err.Error(), docsgptkeys.AllowPlaintext)) {
			t.Errorf("%s: the error does not say what to write: %v", uri, err)
		}
		if f == nil {
			if f, err = mongofeed.New(mongofeed.Options{Options: dbfeed.Options{URI: keys.NewSecret(uri), InsecurePlaintext: true}}); err != nil {
				t.Errorf("%s, with plaintext allowed: %v", uri, err)
				continue
			}
		}
		if got := f.Connection().Transport; got != want {
			t.Errorf("%s: Connection: %s, want %s", uri, got, want)
		}
	}
}

// A replica set on this machine may name members on other machines. The gate does not connect to them without TLS.
func TestReplicaSetMembersRequireTLS(t *testing.T) {
	r := newReplica(t)
	r.put(mongofeed.Agents, agent(1))
	r.set(func(r *replica) { r.known = "mongo1.invalid:27017" })
	o := options(t, r.uri())
	o.Timeout = 2 * time.Second
	set, err := newFeed(t, o).Load(t.Context())
	stale := (*keys.StaleError)(nil)
	if err == nil || errors.As(err, &stale) || len(set) != 0 {
		t.Fatalf("Load: %d keys, %v", len(set), err)
	}
	for _, want := range []string{"mongo1.invalid", "tls=true", "directConnection=true", docsgptkeys.AllowPlaintext} {
		if !strings.Contains(err.Error(), want) {
			t.Errorf("the error does not name %s: %v", want, err)
		}
	}
	o.URI = keys.NewSecret(r.uri() + "?directConnection=true")
	if set, err := newFeed(t, o).Load(t.Context()); err != nil || len(set) != 1 {
		t.Errorf("directly: %d keys, %v", len(set), err)
	}
}
