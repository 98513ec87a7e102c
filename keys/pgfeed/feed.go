// Package pgfeed is a feed of DocsGPT's own agent keys in PostgreSQL, for DocsGPT 0.17 and later. It reads the table agents in one
// consistent snapshot and then detects changes within a second: it polls a checksum of every bucket of rows, and reads the changed
// buckets again. If the trigger of TriggerSQL is installed, the server sends notifications of changes.
//
// It never writes. A role with the permissions of GrantSQL is sufficient.
package pgfeed

import (
	"context"
	"crypto/rand"
	"encoding/binary"
	"errors"
	"strings"
	"time"

	"github.com/docsgate/docsgate/keys"
	"github.com/docsgate/docsgate/keys/dbfeed"
)

// Feed is a feed of the agent keys in a DocsGPT's PostgreSQL database. It is safe for concurrent use. Create one with New.
type Feed struct {
	*dbfeed.Feed

	options dbfeed.Options
	address Address
	seed    int64 // of checksums, so that collisions cannot be prepared

	// The following are used by one read at a time.
	last         lastSnapshot
	deniedWarned bool // missing permissions were reported
}

// New returns a feed. It does not access the database. The error does not contain the address.
//
// The URI has any form that libpq supports, like DocsGPT's own POSTGRES_URI. An sslmode that is missing or may result in plaintext
// (allow, prefer) means verify-full for other machines, and sslmode=disable is rejected, unless InsecurePlaintext is set.
func New(o dbfeed.Options) (*Feed, error) {
	o, err := o.WithDefaults()
	if err != nil {
		return nil, err
	}
	if strings.TrimSpace(o.URI.Reveal()) == "" {
		return nil, errors.New("the address of DocsGPT's database is empty: it is DocsGPT's own POSTGRES_URI")
	}
	address, err := ParseAddress(o.URI.Reveal(), docsgptDatabase, o.Timeout, o.InsecurePlaintext)
	if err != nil {
		return nil, err
	}
	o.URI = keys.Secret{} // no longer needed
	var seed [8]byte
	_, _ = rand.Read(seed[:]) // never fails: the process crashes instead
	f := &Feed{options: o, address: address, seed: int64(binary.BigEndian.Uint64(seed[:]))}
	f.Feed = dbfeed.New(dbfeed.Config{
		Options: o, Name: "docsgpt:" + address.Where, Connection: address.Connection, ClassifyError: func(err error, timeout time.Duration) (error, bool) {
			return ClassifyError(err, docsgptDatabase, timeout)
		},
		Connect: func(ctx context.Context) (context.Context, dbfeed.Conn, error) {
			c, err := f.connect(ctx)
			return ctx, c, err
		},
	})
	return f, nil
}
