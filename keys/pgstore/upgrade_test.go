package pgstore_test

import (
	"errors"
	"strings"
	"testing"

	"github.com/docsgate/docsgate/internal/pgtest"
	"github.com/docsgate/docsgate/keys"
	"github.com/docsgate/docsgate/keys/pgstore"
	"github.com/docsgate/docsgate/keys/registry"
)

// addColumn is a migration of a newer version that this one can ignore.
const addColumn = `-- +goose Up
ALTER TABLE keys ADD COLUMN note text NOT NULL DEFAULT '';
UPDATE keys SET note = 'kept';
-- +goose Down
ALTER TABLE keys DROP COLUMN note;
`

// newFormat is a migration of a newer version that this one does not understand.
const newFormat = `-- +goose Up
UPDATE state SET format = 99;
-- +goose Down
UPDATE state SET format = 1;
`

// Gates are upgraded one after another: the first newer one upgrades the schema, and older ones continue to run, can be started again,
// and follow it in both directions.
func TestRollingUpgrade(t *testing.T) {
	database := pgtest.Database(t)
	o := options(database)
	older := startGate(t, o)
	before, beforeToken := older.create(t, "before")
	newer := startGate(t, o.Newer(addColumn))
	restarted := startGate(t, o)
	gates := []*gate{older, newer, restarted}
	for _, at := range gates {
		id, token := at.create(t, "k")
		for _, g := range gates {
			g.wait(t, token, keys.Allowed)
		}
		if _, err := older.Revoke(t.Context(), alice, id); err != nil {
			t.Fatal(err)
		}
		for _, g := range gates {
			g.wait(t, token, keys.RevokedKey)
		}
	}
	if _, err := older.Update(t.Context(), alice, before, registry.UpdateRequest{Name: new("changed by the older gate")}); err != nil {
		t.Fatal(err)
	}
	newer.wait(t, beforeToken, keys.Allowed)
	pgtest.Exec(t, database, `DO $$ BEGIN
		IF (SELECT note FROM docsgate.keys WHERE id = '`+before+`') <> 'kept' THEN RAISE 'the older gate has changed what it does not know'; END IF;
	END $$`)
}

// A gate that does not understand the format of a newer version keeps its keys valid, changes nothing, and cannot be started again.
func TestUpgradeToNewerFormat(t *testing.T) {
	o := options(pgtest.Database(t))
	older := startGate(t, o)
	id, token := older.create(t, "k")
	// The newer version is this one in truth, so it upgrades the database and then rejects the format, too.
	if _, err := pgstore.Open(t.Context(), o.Newer(newFormat)); !errors.Is(err, pgstore.ErrNewer) {
		t.Fatal(err)
	}
	if _, err := older.Revoke(t.Context(), alice, id); !errors.Is(err, pgstore.ErrNewer) {
		t.Errorf("a revocation by the older gate: %v", err)
	}
	older.wait(t, token, keys.Allowed)
	if _, err := pgstore.Open(t.Context(), o); !errors.Is(err, pgstore.ErrNewer) {
		t.Errorf("the older version was started: %v", err)
	}
}

// A newer version undoes what the older one does not understand, and says what is removed.
func TestDowngrade(t *testing.T) {
	o := options(pgtest.Database(t))
	older := startGate(t, o)
	_, token := older.create(t, "k")
	s := open(t, o)
	before, err := s.Schema(t.Context())
	if err != nil || before.Version != before.Newest() || before.Migrations[0].Name != "create" || before.Migrations[0].Applied.IsZero() {
		t.Fatalf("%+v, %v", before, err)
	}
	newer, err := pgstore.New(o.Newer(newFormat))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = newer.Close() })
	if err := newer.Connect(t.Context()); !errors.Is(err, pgstore.ErrNewer) {
		t.Fatal(err)
	}
	if seen, err := s.Schema(t.Context()); err != nil || seen.Version <= seen.Newest() {
		t.Errorf("the older version sees %+v, %v", seen, err)
	}
	schema, err := newer.Schema(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	lost, err := newer.Losses(t.Context(), schema, before.Version)
	if err != nil || len(lost) != 1 || !strings.Contains(lost[0], "has added") {
		t.Errorf("lost: %q, %v", lost, err)
	}
	if err := newer.MigrateTo(t.Context(), before.Version); err != nil {
		t.Fatal(err)
	}
	startGate(t, o).wait(t, token, keys.Allowed)
}
