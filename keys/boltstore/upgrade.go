package boltstore

import (
	"fmt"

	bolt "go.etcd.io/bbolt"
)

// upgrade creates the buckets that a file of an older minor version does not have.
func (h boltFile) upgrade() error {
	missing := false
	if err := recoverFault(new(bool), func() error {
		return h.db.View(func(tx *bolt.Tx) error {
			for _, name := range bucketNames[firstAddedBucket:] {
				missing = missing || tx.Bucket(name) == nil
			}
			return nil
		})
	}); err != nil || !missing {
		return err
	}
	return recoverFault(new(bool), func() error {
		return h.db.Update(func(tx *bolt.Tx) error {
			for _, name := range bucketNames[firstAddedBucket:] {
				if _, err := tx.CreateBucketIfNotExists(name); err != nil {
					return fmt.Errorf("adding the bucket %s: %w", name, err)
				}
			}
			return tx.Bucket(bucketNames[bucketMeta]).Put(rowFormat, addChecksum(rowFormat, formatBody(formatMajor, formatMinor)))
		})
	})
}
