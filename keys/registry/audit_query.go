package registry

import (
	"context"
	"strings"
	"time"
)

// AuditQuery selects entries of the audit trail. Zero fields do not restrict the result.
type AuditQuery struct {
	Key          string // ID
	Action       Action
	Actor        string    // a part of the actor's name, case-insensitive
	Since, Until time.Time // inclusive, and exclusive
	Before       uint64    // only entries with a lower Seq
	Limit        int       // maximum number of entries
}

const (
	auditBatch = 500
	maxScanned = 20_000 // entries per call: about 20 ms
)

// SearchAudit returns the entries that match a query, newest first. If there may be more, next is the Before of the query for them: the
// number of entries that one call reads is limited, so there may be fewer entries than the limit, even none.
//
// Entries are in the order in which they were written. So a search by time relies on a clock that was not set back by more than the
// searched period.
func (r *Registry) SearchAudit(ctx context.Context, q AuditQuery) (found []AuditEntry, next uint64, err error) {
	if !q.Until.IsZero() {
		if q.Before, err = r.firstSince(ctx, q.Until, q.Before); err != nil {
			return nil, 0, err
		}
	}
	actor := strings.ToLower(q.Actor)
	before := q.Before
	for scanned := 0; scanned < maxScanned; {
		batch, err := r.storage.Audit(ctx, q.Key, before, auditBatch)
		if err != nil {
			return nil, 0, err
		}
		for i := range batch {
			e := &batch[i]
			switch {
			case !q.Since.IsZero() && e.At.Before(q.Since):
				return found, 0, nil
			case q.Action != "" && e.Action != q.Action, actor != "" && !strings.Contains(strings.ToLower(e.Actor), actor):
				continue
			case len(found) == q.Limit && i == 0:
				return found, before, nil
			case len(found) == q.Limit:
				return found, batch[i-1].Seq, nil
			}
			found = append(found, *e)
		}
		if len(batch) < auditBatch {
			return found, 0, nil
		}
		scanned += len(batch)
		before = batch[len(batch)-1].Seq
	}
	return found, before, nil
}

// firstSince returns the Seq of the first entry at or after a time, at most before (0: no limit).
func (r *Registry) firstSince(ctx context.Context, at time.Time, before uint64) (uint64, error) {
	newest, err := r.storage.Audit(ctx, "", before, 1)
	if err != nil || len(newest) == 0 {
		return before, err
	}
	low, high := uint64(1), newest[0].Seq+1 // of the entries below low, none is at or after the time
	for low < high {
		middle := low + (high-low)/2
		e, err := r.storage.Audit(ctx, "", middle+1, 1)
		if err != nil {
			return 0, err
		}
		if len(e) == 0 || e[0].At.Before(at) {
			low = middle + 1
		} else {
			high = middle
		}
	}
	return low, nil
}
