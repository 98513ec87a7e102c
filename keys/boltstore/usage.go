package boltstore

import (
	"context"
	"errors"
	"slices"
	"strings"

	"github.com/docsgate/docsgate/keys/recordcodec"
	"github.com/docsgate/docsgate/keys/usage"
)

// useRows is the number of usage rows in one transaction, so that other writes are not delayed for long.
const useRows = 2000

// SaveUse implements registry.Storage. The rows are written in several transactions; after an error some of them may be stored.
func (s *Store) SaveUse(ctx context.Context, rows []usage.Row) error {
	for i := range rows {
		if err := checkID(rows[i].ID); err != nil {
			return err
		}
		if rows[i].ID == "" {
			return errors.New("a usage row requires the id of its key")
		}
	}
	rows = slices.Clone(rows)
	slices.SortStableFunc(rows, func(a, b usage.Row) int { return strings.Compare(a.ID, b.ID) }) // so that neighbors share pages
	for chunk := range slices.Chunk(rows, useRows) {
		if err := s.update(ctx, func(t *writeTx) error {
			for i := range chunk {
				t.put(bucketUse, []byte(chunk[i].ID), recordcodec.AppendUse(nil, &chunk[i]))
			}
			return s.deleteExpiredNotes(t)
		}); err != nil {
			return err
		}
	}
	return nil
}

// Use implements registry.Storage.
func (s *Store) Use(ctx context.Context, yield func(usage.Row) error) error {
	return s.view(ctx, func(t *readTx) error {
		return t.each(ctx, bucketUse, nil, func(id, body []byte) error {
			r, err := recordcodec.DecodeUse(id, body)
			if err != nil {
				return rowError(bucketUse, id, err)
			}
			return t.callBack(func() error { return yield(r) })
		})
	})
}
