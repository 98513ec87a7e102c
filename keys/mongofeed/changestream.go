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
)

// maxAwaitTime is how long the server waits for a change before it says that there is none.
const maxAwaitTime = 250 * time.Millisecond

// streams are the change streams of the collections that may count. They only say when to look: what has changed is read
// in the same way as where there are none.
type streams []*mongo.Cursor

// streamStatus is what the streams have to say.
type streamStatus int

const (
	statusIdle       streamStatus = iota // nothing at all has happened
	statusIrrelevant                     // something that is no change of a key
	statusChange
	statusClosed // a stream is over
)

// openStreams opens change streams. Where the server has none, or the user may not use them, there are none and no error.
//
// They are asked for as what they are, aggregations, and not through the library's own type, which would connect again by
// itself and not say so.
func (f *Feed) openStreams(ctx context.Context, l *conn) (streams, error) {
	if !l.replicated {
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
		cursor, err := l.db.Collection(name).Aggregate(ctx, pipeline, options.Aggregate().SetMaxAwaitTime(min(maxAwaitTime, f.options.Timeout/2)))
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
			f.options.OnWarning("DocsGPT's database does not let its change streams be used: " + why + ". The gate looks at it every " +
				f.options.PollInterval.String() + " instead")
		})
		return nil, nil
	}
	return s, nil
}

func (s streams) close() {
	ctx, cancel := context.WithTimeout(context.Background(), closeTimeout)
	defer cancel()
	for _, cursor := range s {
		_ = cursor.Close(ctx) // the server forgets it by itself after a while
	}
}

// pollStreams waits for each stream to say something, for a moment. An error says that the connection is lost, or that ctx has
// ended.
func (f *Feed) pollStreams(ctx context.Context, s streams) (streamStatus, error) {
	all := statusIdle
	for _, cursor := range s {
		one, err := f.pollStream(ctx, cursor)
		if err != nil {
			return all, err
		}
		all = max(all, one)
		if all >= statusChange {
			break // what the others have to say is kept
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

// isKeyChange tells whether an event may be a change of a key: all may but updates of other fields than those that are read.
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
