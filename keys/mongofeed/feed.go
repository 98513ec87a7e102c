// Package mongofeed is a feed of DocsGPT's own agent keys in MongoDB, for DocsGPT 0.8 to 0.16: those in the collection agents (0.14 and
// later) or in api_keys (before). It reads a few fields of all records, and detects changes within a second: with change streams on a
// replica set, otherwise by polling and comparing twice a second.
//
// It never writes. The role read on DocsGPT's database is sufficient.
package mongofeed

import (
	"cmp"
	"context"
	"fmt"
	"hash/maphash"
	"slices"
	"sync"

	"github.com/docsgate/docsgate/keys"
	"github.com/docsgate/docsgate/keys/dbfeed"
	"github.com/docsgate/docsgate/keys/docsgptkeys"
)

// Values of Options.Collection: the collections in which DocsGPT stores keys.
const (
	Agents  = "agents"   // 0.14 to 0.16
	APIKeys = "api_keys" // 0.8 to 0.13
	Both    = "both"
)

// defaultDatabase is the default of Options.Database.
const defaultDatabase = "docsgpt"

// Options configures a Feed.
type Options struct {
	// The URI is like DocsGPT's own MONGO_URI. Unless InsecurePlaintext is set, New rejects an address without TLS of another machine,
	// and the feed does not connect to members of a replica set on other machines without TLS.
	dbfeed.Options

	// Database is the name of DocsGPT's database, like DocsGPT's own MONGO_DB_NAME. Default: the path of URI, unless it is admin,
	// the database of users; else docsgpt.
	Database string

	// Collection is Agents, APIKeys or Both. Default: Agents if it contains keys, else APIKeys, like in DocsGPT, which ignores
	// api_keys since 0.14.
	Collection string
}

// Feed is a feed of the agent keys in a DocsGPT's MongoDB database. It is safe for concurrent use. Create one with New.
type Feed struct {
	*dbfeed.Feed

	options Options
	address address
	seed    maphash.Seed // of fingerprints, so that collisions cannot be prepared

	// The following are used by one read at a time.
	last      *lastSnapshot // nil: nothing was read
	passCount uint64        // so far

	noStreamsOnce sync.Once // reports that change streams cannot be used

	mu        sync.Mutex            // guards malformed
	malformed []docsgptkeys.Skipped // records that cannot be decoded
}

// New returns a feed. It does not access the database. The error does not contain the address.
func New(o Options) (*Feed, error) {
	var err error
	if o.Options, err = o.WithDefaults(); err != nil {
		return nil, err
	}
	if !slices.Contains([]string{"", Agents, APIKeys, Both}, o.Collection) {
		return nil, fmt.Errorf("the collection of a DocsGPT feed must be %s, %s or %s", Agents, APIKeys, Both)
	}
	address, err := parseAddress(o.URI.Reveal(), o.Database, o.InsecurePlaintext)
	if err != nil {
		return nil, err
	}
	o.URI = keys.Secret{} // no longer needed
	f := &Feed{options: o, address: address, seed: maphash.MakeSeed()}
	f.Feed = dbfeed.New(dbfeed.Config{
		Options: o.Options, Name: address.name, Connection: address.connection, ClassifyError: classifyError,
		Connect: func(ctx context.Context) (context.Context, dbfeed.Conn, error) { return f.connect(ctx) },
	})
	return f, nil
}

// Skipped returns the records that have a key and were skipped by the last read, sorted by ID.
func (f *Feed) Skipped() []docsgptkeys.Skipped {
	f.mu.Lock()
	skipped := slices.Concat(f.Feed.Skipped(), f.malformed)
	f.mu.Unlock()
	slices.SortStableFunc(skipped, func(a, b docsgptkeys.Skipped) int { return cmp.Compare(a.ID, b.ID) })
	return skipped
}
