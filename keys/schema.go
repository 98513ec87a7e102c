package keys

import (
	"errors"

	"github.com/hashicorp/go-memdb"
)

// All names of tables and indexes.
const (
	tableDigests = "digests" // records by their digest
	tableIDs     = "ids"     // records by their public id
	indexSlot    = "id"      // the one index of each table; go-memdb asks for this name
)

// slotBits is how many bits of a hash choose the bucket: at a million keys a bucket holds about 60.
const slotBits = 14

// A row of a table is a bucket: all records whose 64-bit hash ends in the same 14 bits. A row for each record would be
// simpler, but it costs two nodes and two channels in the radix tree of each index. Measured at a million keys, with all
// their strings: 1060 bytes a key with a row for each, 320 with buckets (BenchmarkMemory).
type bucket struct {
	slot    uint16
	entries []entry
}

// entry points to a record. The hash stands beside the pointer so that a search does not follow the pointers of others.
type entry struct {
	hash uint64
	rec  *record
}

func slotOf(hash uint64) uint16 { return uint16(hash & (1<<slotBits - 1)) }

// schema is checked by memdb.NewMemDB.
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

// slotIndexer indexes buckets by their slot.
type slotIndexer struct{}

func (slotIndexer) FromObject(obj any) (bool, []byte, error) {
	b, ok := obj.(*bucket)
	if !ok {
		return false, nil, errors.New("the object is no bucket")
	}
	return true, slotKey(b.slot), nil
}

func (slotIndexer) FromArgs(args ...any) ([]byte, error) {
	if len(args) != 1 {
		return nil, errors.New("the slot index takes one argument")
	}
	slot, ok := args[0].(uint16)
	if !ok {
		return nil, errors.New("the argument is no slot")
	}
	return slotKey(slot), nil
}

func slotKey(slot uint16) []byte { return []byte{byte(slot >> 8), byte(slot)} }
