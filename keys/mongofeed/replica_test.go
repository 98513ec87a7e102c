package mongofeed_test

import (
	"context"
	"encoding/binary"
	"errors"
	"io"
	"net"
	"slices"
	"sync"
	"testing"
	"time"

	"go.mongodb.org/mongo-driver/v2/bson"

	"github.com/docsgate/docsgate/keys/mongofeed"
)

// replica is a fake of a replica set with one server, for what the real server of the tests does not support: change streams,
// snapshot reads, users, and records with references. It implements the wire protocol, but has not been compared with MongoDB.
type replica struct {
	t        testing.TB
	listener net.Listener
	wg       sync.WaitGroup

	mu        sync.Mutex // guards the following
	known     string     // host and port in its responses
	wire      int32      // maximum wire version
	conns     map[net.Conn]bool
	records   map[string][]bson.D
	events    map[string][]bson.D
	happened  chan struct{}     // closed at an event, and then replaced
	refuse    map[string]int32  // error codes by command; "changeStream": aggregations with a change stream
	levels    []string          // read concerns of finds
	cursors   map[int64]*stream // open change streams
	asked     map[string]int    // number of requests by command
	hasty     bool              // getMore does not wait for changes
	plain     bool              // it does not support sessions
	mute      chan struct{}     // finds are answered when it is closed; nil: immediately
	meanwhile func(r *replica)  // called once, after the next find in agents
	frozen    map[string][]byte // cached responses to finds, by collection, for benchmarks; nil: not cached
}

// stream is a change stream.
type stream struct {
	collection string
	next       int // event
	dead       bool
}

func newReplica(t testing.TB) *replica {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatalf("listening: %v", err)
	}
	r := &replica{
		t: t, listener: l, known: l.Addr().String(), wire: 21, conns: map[net.Conn]bool{}, records: map[string][]bson.D{},
		events: map[string][]bson.D{}, happened: make(chan struct{}), refuse: map[string]int32{}, cursors: map[int64]*stream{},
		asked: map[string]int{},
	}
	r.wg.Go(func() {
		for {
			c, err := l.Accept()
			if err != nil {
				return
			}
			r.mu.Lock()
			r.conns[c] = true
			r.mu.Unlock()
			r.wg.Go(func() { r.serve(c) })
		}
	})
	t.Cleanup(r.stop)
	return r
}

func (r *replica) stop() {
	_ = r.listener.Close()
	r.mu.Lock()
	for c := range r.conns {
		_ = c.Close()
	}
	r.emit()
	if r.mute != nil {
		close(r.mute)
		r.mute = nil
	}
	r.mu.Unlock()
	r.wg.Wait()
}

func (r *replica) uri() string { return "mongodb://" + r.listener.Addr().String() + "/docsgpt" }

// set changes the behavior of the server.
func (r *replica) set(change func(r *replica)) {
	r.mu.Lock()
	defer r.mu.Unlock()
	change(r)
}

// put inserts records without an event, or replaces those with the same _id.
func (r *replica) put(collection string, docs ...bson.D) {
	r.mu.Lock()
	defer r.mu.Unlock()
	for _, d := range docs {
		i := slices.IndexFunc(r.records[collection], func(o bson.D) bool { return value(o, "_id") == value(d, "_id") })
		if i < 0 {
			r.records[collection] = append(r.records[collection], d)
		} else {
			r.records[collection][i] = d
		}
	}
}

// remove removes the record with an _id, without an event.
func (r *replica) remove(collection string, id any) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.records[collection] = slices.DeleteFunc(r.records[collection], func(o bson.D) bool { return value(o, "_id") == id })
}

// event emits an event of a kind. updated are the names of the fields that an update has set.
func (r *replica) event(collection, kind string, updated ...string) {
	r.mu.Lock()
	defer r.mu.Unlock()
	e := bson.D{is("_id", bson.D{is("_data", "00")}), is("operationType", kind)}
	if kind == "update" {
		fields := bson.D{}
		for _, name := range updated {
			fields = append(fields, is(name, "x"))
		}
		e = append(e, is("updateDescription", bson.D{is("updatedFields", fields), is("removedFields", bson.A{}), is("truncatedArrays", bson.A{})}))
	}
	r.events[collection] = append(r.events[collection], e)
	r.emit()
}

// emit wakes the waiting streams. The caller must hold mu.
func (r *replica) emit() {
	close(r.happened)
	r.happened = make(chan struct{})
}

// count returns how often a command was received.
func (r *replica) count(command string) int {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.asked[command]
}

func value(d bson.D, name string) any {
	for _, e := range d {
		if e.Key == name {
			return e.Value
		}
	}
	return nil
}

const (
	opReply = 1
	opQuery = 2004
	opMsg   = 2013
)

func (r *replica) serve(c net.Conn) {
	defer c.Close()
	for {
		var head [16]byte
		if _, err := io.ReadFull(c, head[:]); err != nil {
			return
		}
		body := make([]byte, binary.LittleEndian.Uint32(head[:])-16)
		if _, err := io.ReadFull(c, body); err != nil {
			return
		}
		op := binary.LittleEndian.Uint32(head[12:])
		var raw bson.Raw
		switch op {
		case opMsg:
			raw = body[5:] // after the flags and the kind of the first section, which holds the command
		case opQuery:
			end := 4 + slices.Index(body[4:], 0)
			raw = body[end+1+8:]
		default:
			return
		}
		var command bson.D
		if err := bson.Unmarshal(raw[:binary.LittleEndian.Uint32(raw)], &command); err != nil {
			r.t.Errorf("a command that cannot be read: %v", err)
			return
		}
		answer, err := r.encoded(command)
		if err != nil {
			r.t.Errorf("an answer that cannot be written: %v", err)
			return
		}
		out := make([]byte, 12, 64+len(answer))
		copy(out[8:], head[4:8]) // to which request
		if op == opMsg {
			out = binary.LittleEndian.AppendUint32(out, opMsg)
			out = append(out, 0, 0, 0, 0, 0)
		} else {
			out = binary.LittleEndian.AppendUint32(out, opReply)
			out = append(out, make([]byte, 16)...)
			out = binary.LittleEndian.AppendUint32(out, 1)
		}
		out = append(out, answer...)
		binary.LittleEndian.PutUint32(out, uint32(len(out)))
		if _, err := c.Write(out); err != nil {
			return
		}
	}
}

func (r *replica) encoded(command bson.D) ([]byte, error) {
	collection, _ := command[0].Value.(string)
	r.mu.Lock()
	kept, mute := r.frozen[collection], r.mute
	r.mu.Unlock()
	if command[0].Key == "find" && mute != nil {
		<-mute
	}
	if command[0].Key == "find" && kept != nil {
		return kept, nil
	}
	answer, err := bson.Marshal(r.answer(command))
	r.mu.Lock()
	defer r.mu.Unlock()
	if command[0].Key == "find" && r.frozen != nil {
		r.frozen[collection] = answer
	}
	return answer, err
}

func (r *replica) answer(command bson.D) bson.D {
	r.mu.Lock()
	defer r.mu.Unlock()
	name := command[0].Key
	collection, _ := command[0].Value.(string)
	if pipeline, ok := value(command, "pipeline").(bson.A); ok && len(pipeline) > 0 {
		if stage, ok := pipeline[0].(bson.D); ok && stage[0].Key == "$changeStream" {
			name = "changeStream"
		}
	}
	r.asked[name]++
	if code := r.refuse[name]; code != 0 {
		return bson.D{is("ok", 0), is("code", code), is("codeName", "Refused"), is("errmsg", "canary: refused")}
	}
	now := bson.Timestamp{T: uint32(time.Now().Unix()), I: 1}
	cursor := func(batch string, id int64, docs []bson.D) bson.D {
		return bson.D{is("ok", 1), is("operationTime", now), is("cursor", bson.D{
			is("id", id), is("ns", "docsgpt."+collection), is(batch, append([]bson.D{}, docs...)), is("atClusterTime", now),
		})}
	}
	switch name {
	case "hello", "isMaster", "ismaster":
		answer := bson.D{
			is("ok", 1), is("ismaster", true), is("isWritablePrimary", true), is("helloOk", true), is("setName", "rs0"), is("setVersion", 1),
			is("hosts", bson.A{r.known}), is("me", r.known), is("primary", r.known), is("maxBsonObjectSize", 16<<20),
			is("maxMessageSizeBytes", 48<<20), is("maxWriteBatchSize", 100000),
			is("minWireVersion", 0), is("maxWireVersion", r.wire), is("localTime", time.Now()),
		}
		if !r.plain {
			answer = append(answer, is("logicalSessionTimeoutMinutes", 30))
		}
		return answer
	case "find":
		concern, _ := value(command, "readConcern").(bson.D)
		level, _ := value(concern, "level").(string)
		r.levels = append(r.levels, level)
		wanted, _ := value(command, "projection").(bson.D)
		var found []bson.D
		for _, d := range r.records[collection] {
			found = append(found, slices.DeleteFunc(slices.Clone(d), func(e bson.E) bool { return value(wanted, e.Key) == nil }))
		}
		if happen := r.meanwhile; happen != nil && collection == mongofeed.Agents {
			r.meanwhile = nil
			happen(r)
		}
		return cursor("firstBatch", 0, found)
	case "changeStream":
		id := int64(len(r.cursors) + 1)
		r.cursors[id] = &stream{collection: collection, next: len(r.events[collection])}
		return cursor("firstBatch", id, nil)
	case "getMore":
		id, _ := command[0].Value.(int64)
		collection, _ = value(command, "collection").(string)
		wait, ok := value(command, "maxTimeMS").(int64)
		if !ok {
			r.t.Error("getMore without maxTimeMS")
		}
		s := r.cursors[id]
		if s == nil || s.dead {
			return bson.D{is("ok", 0), is("code", int32(43)), is("codeName", "CursorNotFound"), is("errmsg", "no cursor")}
		}
		r.waitFor(s, time.Duration(wait)*time.Millisecond)
		fresh := r.events[s.collection][s.next:]
		s.next += len(fresh)
		if len(fresh) > 0 && value(fresh[len(fresh)-1], "operationType") == "invalidate" {
			s.dead, id = true, 0
		}
		return cursor("nextBatch", id, fresh)
	case "listCollections":
		return cursor("firstBatch", 0, []bson.D{{is("name", "users"), is("type", "collection")}})
	default: // ping, killCursors, endSessions
		return bson.D{is("ok", 1)}
	}
}

// waitFor waits for an event of a stream. The caller must hold mu, which is released meanwhile.
func (r *replica) waitFor(s *stream, limit time.Duration) {
	ctx, cancel := context.WithTimeout(context.Background(), limit)
	defer cancel()
	for !r.hasty && len(r.events[s.collection]) == s.next && !errors.Is(ctx.Err(), context.DeadlineExceeded) {
		happened := r.happened
		r.mu.Unlock()
		select {
		case <-happened:
		case <-ctx.Done():
		}
		r.mu.Lock()
	}
}
