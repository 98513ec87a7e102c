package boltstore

import (
	"errors"
	"testing"

	bolt "go.etcd.io/bbolt"

	"github.com/docsgate/docsgate/keys/quota"
)

// A file of the first version gets the bucket of quotas and keeps its content.
func TestUpgrade(t *testing.T) {
	path, _ := newStoreFile(t, 20)
	s := openStore(t, path)
	want, err := dump(t.Context(), s)
	if err != nil {
		t.Fatal(err)
	}
	makeOld := func(minor uint64) {
		t.Helper()
		if err := s.Close(); err != nil {
			t.Fatal(err)
		}
		editFile(t, path, func(tx *bolt.Tx) error {
			return errors.Join(tx.DeleteBucket(bucketNames[bucketQuotas]),
				putRow(bucketMeta, rowFormat, addChecksum(rowFormat, formatBody(formatMajor, minor)))(tx))
		})
	}
	makeOld(0)
	s = openStore(t, path)
	if got, err := dump(t.Context(), s); err != nil || got != want {
		t.Errorf("the content has changed: %v", err)
	}
	if err := s.SaveQuotas(t.Context(), []quota.Row{{ID: "key_1", Day: 1}}, nil); err != nil {
		t.Fatal(err)
	}
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	s = openStore(t, path)
	if got, err := dump(t.Context(), s); err != nil || got == want {
		t.Errorf("the quota is not in the file: %v", err)
	}
	makeOld(formatMinor)
	if _, err := Open(t.Context(), Options{Path: path}); !errors.Is(err, ErrDamaged) {
		t.Errorf("a bucket that is missing in a file of this version: %v", err)
	}
}
