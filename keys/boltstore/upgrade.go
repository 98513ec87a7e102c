package boltstore

import (
	"fmt"

	bolt "go.etcd.io/bbolt"
)

// upgrade turns a file of an older minor version into one of this version: it creates the buckets that the file does not have. The format
// of a file of a newer minor version stays.
func (h boltFile) upgrade() error {
	older := false
	if err := recoverFault(new(bool), func() error {
		return h.db.View(func(tx *bolt.Tx) error {
			body, err := bodyOf(tx.Bucket(bucketNames[bucketMeta]), bucketMeta, rowFormat)
			if err != nil {
				return err
			}
			_, minor, err := decodeFormat(body)
			older = minor < formatMinor
			return err
		})
	}); err != nil || !older {
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
