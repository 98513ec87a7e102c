package boltstore

import (
	"context"
	"errors"
	"slices"
	"strings"

	"github.com/docsgate/docsgate/keys/quota"
	"github.com/docsgate/docsgate/keys/recordcodec"
)

// SaveQuotas implements registry.Storage. Like SaveUse, it writes in several transactions.
func (s *Store) SaveQuotas(ctx context.Context, rows []quota.Row, remove []string) error {
	for i := range rows {
		if err := checkID(rows[i].ID); err != nil {
			return err
		}
		if rows[i].ID == "" {
			return errors.New("a quota requires the id of its key")
		}
	}
	rows = slices.Clone(rows)
	slices.SortStableFunc(rows, func(a, b quota.Row) int { return strings.Compare(a.ID, b.ID) }) // so that neighbors share pages
	for chunk := range slices.Chunk(rows, useRows) {
		if err := s.update(ctx, func(t *writeTx) error {
			for i := range chunk {
				t.put(bucketQuotas, []byte(chunk[i].ID), recordcodec.AppendQuota(nil, &chunk[i]))
			}
			return nil
		}); err != nil {
			return err
		}
	}
	for chunk := range slices.Chunk(remove, useRows) {
		if err := s.update(ctx, func(t *writeTx) error {
			for _, id := range chunk {
				t.remove(bucketQuotas, []byte(id))
			}
			return nil
		}); err != nil {
			return err
		}
	}
	return nil
}

// Quotas implements registry.Storage.
func (s *Store) Quotas(ctx context.Context, yield func(quota.Row) error) error {
	return s.view(ctx, func(t *readTx) error {
		return t.each(ctx, bucketQuotas, nil, func(id, body []byte) error {
			r, err := recordcodec.DecodeQuota(id, body)
			if err != nil {
				return rowError(bucketQuotas, id, err)
			}
			return t.callBack(func() error { return yield(r) })
		})
	})
}
