package keys

import (
	"errors"

	"github.com/hashicorp/go-memdb"
)

// Names of the tables and indexes.
const (
	tableDigests = "digests" // records by digest
	tableIDs     = "ids"     // records by ID
	indexSlot    = "id"      // the only index of each table; go-memdb requires this name
)

// slotBits is the number of hash bits that select the bucket: with a million keys a bucket contains about 120. The rows of all buckets take
// 6 MB, which a store with 10,000 keys has already, and their transaction a part of the time to load 100,000 keys. With 14 bits that is
// twice as much, and a lookup among a million keys takes 2.5 in place of 2.7 µs on a busy machine.
const slotBits = 13

// A row of a table is a bucket: all records whose 64-bit hash ends in the same 13 bits. One row per record would be simpler,
// but each row costs two nodes and two channels in the radix tree of each index. Measured with a million keys, including all
// their strings: 1060 bytes per key with one row per record, 320 with buckets (BenchmarkMemory).
type bucket struct {
	slot    uint16
	entries []entry
}

// entry points to a record. The hash is stored next to the pointer, so that a lookup does not dereference the pointers of other
// records.
type entry struct {
	hash uint64
	rec  *record
}

func bucketIndex(hash uint64) uint16 { return uint16(hash & (1<<slotBits - 1)) }

// schema returns the schema of the tables; memdb.NewMemDB checks it.
func schema() *memdb.DBSchema {
	table := func(name string) *memdb.TableSchema {
		return &memdb.TableSchema{
			Name: name,
			Indexes: map[string]*memdb.IndexSchema{
				indexSlot: {Name: indexSlot, Unique: true, Indexer: slotIndexer{}},
			},
		}
	}
	return &memdb.DBSchema{Tables: map[string]*memdb.TableSchema{
		tableDigests: table(tableDigests),
		tableIDs:     table(tableIDs),
	}}
}

// slotIndexer indexes buckets by slot.
type slotIndexer struct{}

func (slotIndexer) FromObject(obj any) (bool, []byte, error) {
	b, ok := obj.(*bucket)
	if !ok {
		return false, nil, errors.New("the object is not a bucket")
	}
	return true, slotKey(b.slot), nil
}

func (slotIndexer) FromArgs(args ...any) ([]byte, error) {
	if len(args) != 1 {
		return nil, errors.New("the slot index requires exactly one argument")
	}
	slot, ok := args[0].(uint16)
	if !ok {
		return nil, errors.New("the argument is not a slot")
	}
	return slotKey(slot), nil
}

func slotKey(slot uint16) []byte { return []byte{byte(slot >> 8), byte(slot)} }
