package boltstore

import (
	"bytes"
	"errors"
	"os"
	"path/filepath"
	"testing"

	bolt "go.etcd.io/bbolt"

	"github.com/docsgate/docsgate/keys/registry"
)

func storedOverride(t *testing.T, s *Store) (found []registry.Override) {
	t.Helper()
	if err := s.Overrides(t.Context(), func(o *registry.Override) error {
		found = append(found, *o)
		return nil
	}); err != nil {
		t.Fatal(err)
	}
	return found
}

// A file of a version without overrides gets the bucket when it is opened. Overrides are part of a backup.
func TestOverridesInOldFile(t *testing.T) {
	path, _ := newStoreFile(t, 3)
	editFile(t, path, func(tx *bolt.Tx) error {
		return errors.Join(tx.DeleteBucket(bucketNames[bucketOverrides]),
			putRow(bucketMeta, rowFormat, addChecksum(rowFormat, formatBody(1, 1)))(tx))
	})
	s := openStore(t, path)
	if found := storedOverride(t, s); len(found) != 0 {
		t.Errorf("an old file has %v", found)
	}
	o := &registry.Override{ID: "agent_1", Disabled: true, Changed: testTime}
	if err := s.WriteOverride(t.Context(), o, &registry.AuditEntry{At: testTime, Key: o.ID}); err != nil {
		t.Fatal(err)
	}
	var backup bytes.Buffer
	if err := s.Backup(t.Context(), &backup); err != nil {
		t.Fatal(err)
	}
	copied := filepath.Join(t.TempDir(), "keys.db")
	if err := os.WriteFile(copied, backup.Bytes(), 0o600); err != nil {
		t.Fatal(err)
	}
	if found := storedOverride(t, openStore(t, copied)); len(found) != 1 || !found[0].Disabled || found[0].Revision != o.Revision {
		t.Errorf("the backup has %+v", found)
	}
}

// A lost or damaged override must not go unnoticed: the key would be valid again.
func TestDamagedOverrides(t *testing.T) {
	for name, damage := range map[string]func(tx *bolt.Tx) error{
		"bucket deleted": func(tx *bolt.Tx) error { return tx.DeleteBucket(bucketNames[bucketOverrides]) },
		"row deleted":    func(tx *bolt.Tx) error { return tx.Bucket(bucketNames[bucketOverrides]).Delete([]byte("agent_1")) },
	} {
		t.Run(name, func(t *testing.T) {
			path, _ := newStoreFile(t, 1)
			s := openStore(t, path)
			o := &registry.Override{ID: "agent_1", Disabled: true}
			if err := s.WriteOverride(t.Context(), o, &registry.AuditEntry{Key: o.ID}); err != nil {
				t.Fatal(err)
			}
			if err := s.Close(); err != nil {
				t.Fatal(err)
			}
			editFile(t, path, damage)
			if _, err := Open(t.Context(), Options{Path: path}); !errors.Is(err, ErrDamaged) {
				t.Errorf("opened with %v", err)
			}
		})
	}
}
