package mongofeed

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"go.mongodb.org/mongo-driver/v2/bson"
	"go.mongodb.org/mongo-driver/v2/mongo"
	"go.mongodb.org/mongo-driver/v2/mongo/options"

	"github.com/docsgate/docsgate/keys/dbfeed"
)

// maxAwaitTime is how long the server waits for a change before it says that there is none.
const maxAwaitTime = 250 * time.Millisecond

// streams are the change streams of the collections. They only trigger a poll: changes are read in the same way as without streams.
type streams []*mongo.Cursor

// streamStatus is the result of polling the streams.
type streamStatus int

const (
	statusIdle       streamStatus = iota // no event
	statusIrrelevant                     // only events that are not changes of keys
	statusChange
	statusClosed // a stream was closed
)

// openStreams opens change streams. If the server does not support them or the user lacks permission, it returns none and no error.
//
// They are opened as aggregations, because the driver's ChangeStream type reconnects automatically and silently.
func (f *Feed) openStreams(ctx context.Context, c *conn) (streams, error) {
	if !c.replicated {
		return nil, nil
	}
	ctx, cancel := context.WithTimeout(ctx, f.options.Timeout)
	defer cancel()
	var s streams
	for _, name := range f.collections() {
		pipeline := mongo.Pipeline{
			{{Key: "$changeStream", Value: bson.D{}}},
			{{Key: "$project", Value: bson.D{{Key: "operationType", Value: 1}, {Key: "updateDescription", Value: 1}}}},
		}
		cursor, err := c.db.Collection(name).Aggregate(ctx, pipeline, options.Aggregate().SetMaxAwaitTime(min(maxAwaitTime, f.options.Timeout/2)))
		if err == nil {
			s = append(s, cursor)
			continue
		}
		s.close()
		var command mongo.CommandError
		if !errors.As(err, &command) || command.Code == 0 || slices.Contains(unavailableCodes, command.Code) {
			return nil, fmt.Errorf("opening a change stream: %w", err)
		}
		f.noStreamsOnce.Do(func() {
			why := fmt.Sprintf("its code is %d", command.Code)
			if command.Code == codeUnauthorized {
				why = "the user lacks the action changeStream on " + name + ", which the role read has"
			}
			f.options.OnWarning("change streams of DocsGPT's database cannot be used: " + why + ". The gate polls it every " +
				f.options.PollInterval.String() + " instead")
		})
		return nil, nil
	}
	return s, nil
}

func (s streams) close() {
	ctx, cancel := context.WithTimeout(context.Background(), dbfeed.CloseTimeout)
	defer cancel()
	for _, cursor := range s {
		_ = cursor.Close(ctx) // the server closes it automatically after a timeout
	}
}

// pollStreams polls each stream. It returns an error if the connection is lost or ctx is canceled.
func (f *Feed) pollStreams(ctx context.Context, s streams) (streamStatus, error) {
	all := statusIdle
	for _, cursor := range s {
		one, err := f.pollStream(ctx, cursor)
		if err != nil {
			return all, err
		}
		all = max(all, one)
		if all >= statusChange {
			break // events of the other streams stay there
		}
	}
	return all, nil
}

func (f *Feed) pollStream(ctx context.Context, cursor *mongo.Cursor) (streamStatus, error) {
	ctx, cancel := context.WithTimeout(ctx, f.options.Timeout)
	defer cancel()
	all := statusIdle
	for cursor.TryNext(ctx) {
		all = max(all, statusIrrelevant)
		if isKeyChange(cursor.Current) {
			all = statusChange
		}
		if cursor.RemainingBatchLength() == 0 {
			break
		}
	}
	switch {
	case cursor.Err() != nil:
		return all, fmt.Errorf("waiting for changes: %w", cursor.Err())
	case cursor.ID() == 0:
		return statusClosed, nil
	default:
		return all, nil
	}
}

// isKeyChange reports whether an event may change a key: all events except updates of fields that are not read.
func isKeyChange(event bson.Raw) bool {
	if event.Validate() != nil || text(event.Lookup("operationType")) != "update" {
		return true
	}
	update, ok := event.Lookup("updateDescription").DocumentOK()
	if !ok {
		return true
	}
	var names []string
	updated, _ := update.Lookup("updatedFields").DocumentOK()
	elements, _ := updated.Elements()
	for _, e := range elements {
		names = append(names, e.Key())
	}
	for _, list := range []string{"removedFields", "truncatedArrays"} {
		array, _ := update.Lookup(list).ArrayOK()
		values, _ := array.Values()
		for _, v := range values {
			name := text(v)
			if doc, ok := v.DocumentOK(); ok {
				name = text(doc.Lookup("field"))
			}
			names = append(names, name)
		}
	}
	return slices.ContainsFunc(names, func(name string) bool {
		top, _, _ := strings.Cut(name, ".")
		return slices.Contains(fields, top)
	})
}
