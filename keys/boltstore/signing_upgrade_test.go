package boltstore

import (
	"testing"

	bolt "go.etcd.io/bbolt"

	"github.com/docsgate/docsgate/keys/registry"
)

// A file of version 1.2 has the current version once it is opened, and its records have no settings of signed visitors.
func TestUpgradeToSigning(t *testing.T) {
	path, _ := newStoreFile(t, 2)
	setFormat := func(minor uint64) {
		editFile(t, path, putRow(bucketMeta, rowFormat, addChecksum(rowFormat, formatBody(formatMajor, minor))))
	}
	setFormat(2)
	for minor, want := range map[uint64]uint64{2: formatMinor, 99: 99} {
		setFormat(minor)
		s := openStore(t, path)
		if _, err := s.All(t.Context(), func(r *registry.Record) error {
			if r.Signing != nil {
				t.Errorf("record %s has %+v", r.ID, r.Signing)
			}
			return nil
		}); err != nil {
			t.Error(err)
		}
		if err := s.Close(); err != nil {
			t.Fatal(err)
		}
		editFile(t, path, func(tx *bolt.Tx) error {
			body, err := bodyOf(tx.Bucket(bucketNames[bucketMeta]), bucketMeta, rowFormat)
			if err != nil {
				return err
			}
			if _, got, err := decodeFormat(body); err != nil || got != want {
				t.Errorf("a file of version 1.%d has version 1.%d, %v", minor, got, err)
			}
			return nil
		})
	}
}
