package series

import (
	"context"
	"fmt"
	"time"
)

// MaxPoints is the maximum number of points of a query.
const MaxPoints = 1500

// MaxRange is the longest range of a query.
const MaxRange = 366 * 24 * time.Hour

// tolerance is how much longer a range may be, for the time between the computation of Since and the query.
const tolerance = time.Minute

// Query asks for the usage of a key.
type Query struct {
	Key   string        // ID; AllKeys: the sums over all keys
	Since time.Time     // the first point contains it
	Until time.Time     // the last point contains it; zero: now
	Step  time.Duration // length of a point; 0: a minute, an hour or a day, the shortest that is possible
}

// Point are the counts from a time on, for the step of a query.
type Point struct {
	Start  time.Time // in UTC
	Counts Counts
}

// Result is the result of a query.
type Result struct {
	Since, Until time.Time     // start of the first point, end of the last one
	Step         time.Duration // length of a point
	Points       []Point       // without those with no counts, in ascending order
	Total        Counts        // of all points
}

// QueryError says what is wrong with a query.
type QueryError struct {
	Field  string // "since" or "step"
	Reason string // such as "must not be in the future"
}

func (e *QueryError) Error() string { return e.Field + " " + e.Reason }

// plan checks a query and sets its defaults. It returns the resolution to be read.
func (q *Query) plan(now time.Time) (Resolution, error) {
	if q.Until.IsZero() || q.Until.After(now) {
		q.Until = now
	}
	switch {
	case q.Since.After(q.Until):
		return 0, &QueryError{"since", "must not be in the future"}
	case now.Sub(q.Since) > MaxRange+tolerance:
		return 0, &QueryError{"since", "must be within the last 366 days"}
	}
	shortest := Minutes // that contains the whole range
	for shortest < Days && now.Sub(q.Since) > shortest.Retention()-shortest.next().Length()+tolerance {
		shortest++
	}
	if q.Step == 0 {
		q.Step = shortest.Length()
	}
	if q.Step < shortest.Length() || q.Step%shortest.Length() != 0 {
		return 0, &QueryError{"step", fmt.Sprintf("must be a multiple of %s for this range: there are minutes for a day, hours for a month "+
			"and days for a year", shortest.name())}
	}
	if q.Until.Sub(q.Since)/q.Step >= MaxPoints {
		return 0, &QueryError{"step", fmt.Sprintf("is too short: there would be more than %d points", MaxPoints)}
	}
	r := Days // the longest that the step consists of, so that few buckets are read
	for q.Step%r.Length() != 0 {
		r--
	}
	return r, nil
}

func (r Resolution) next() Resolution { return min(r+1, Days) }

func (r Resolution) name() string { return [...]string{"1m", "1h", "1d"}[r] }

// Points returns the usage of a key, with what was counted until now. The error is a *QueryError if the query is not valid.
func (h *History) Points(ctx context.Context, q Query) (*Result, error) {
	r, err := q.plan(h.o.Now())
	if err != nil {
		return nil, err
	}
	storage, err := h.upToDate(ctx)
	if err != nil {
		return nil, err
	}
	perStep := int64(q.Step / r.Length())
	first := r.BucketOf(q.Since) / perStep * perStep
	last := r.BucketOf(q.Until)/perStep*perStep + perStep - 1
	result := &Result{Since: r.Start(first), Until: r.Start(last + 1), Step: q.Step}
	err = storage.Buckets(ctx, q.Key, r, first, last, func(bucket int64, c *Counts) error {
		start := r.Start(bucket / perStep * perStep)
		if n := len(result.Points); n == 0 || !result.Points[n-1].Start.Equal(start) {
			result.Points = append(result.Points, Point{Start: start})
		}
		result.Points[len(result.Points)-1].Counts.Add(c)
		result.Total.Add(c)
		return nil
	})
	if err != nil {
		return nil, err
	}
	return result, nil
}

// Top returns the keys with the most requests since a time, in descending order. The range is that of Points with the same time and step.
func (h *History) Top(ctx context.Context, q Query, limit int) ([]KeyTotal, error) {
	r, err := q.plan(h.o.Now())
	if err != nil {
		return nil, err
	}
	storage, err := h.upToDate(ctx)
	if err != nil {
		return nil, err
	}
	perStep := int64(q.Step / r.Length())
	first := r.BucketOf(q.Since) / perStep * perStep
	return storage.Top(ctx, r, first, r.BucketOf(q.Until), limit)
}

// upToDate returns the storage, which contains all that was counted.
func (h *History) upToDate(ctx context.Context) (Storage, error) {
	if err := h.sync(ctx, true); err != nil {
		return nil, err
	}
	h.mu.Lock()
	defer h.mu.Unlock()
	if h.closed {
		return nil, errClosed
	}
	return h.storage, nil
}
