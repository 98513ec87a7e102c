package boltstore

import (
	"encoding/binary"
	"errors"
	"hash/crc32"
)

// The buckets. Their places in this list are the fields of their counts in the state, so the list only ever grows at its end.
const (
	inMeta = iota
	inRecords
	inDigests
	inRevisions
	inAudit
	inAuditByKey
	inNotes
	inNotesByAge
	inUse
	bucketCount
)

var bucketNames = [bucketCount][]byte{
	[]byte("meta"), []byte("records"), []byte("digests"), []byte("revisions"), []byte("audit"), []byte("audit_by_key"),
	[]byte("notes"), []byte("notes_by_age"), []byte("use"),
}

// Rows of the bucket meta.
var (
	rowFormat = []byte("format")
	rowState  = []byte("state")
)

var castagnoli = crc32.MakeTable(crc32.Castagnoli)

const sumLength = 4

// seal returns the value of a row: its body behind a checksum that also holds for the key.
func seal(key, body []byte) []byte {
	value := make([]byte, sumLength, sumLength+len(body))
	binary.LittleEndian.PutUint32(value, crc32.Update(crc32.Checksum(key, castagnoli), castagnoli, body))
	return append(value, body...)
}

var errSum = errors.New("its checksum is wrong")

// unseal returns the body of a row. It is a part of value.
func unseal(key, value []byte) ([]byte, error) {
	if len(value) < sumLength {
		return nil, errSum
	}
	body := value[sumLength:]
	if binary.LittleEndian.Uint32(value) != crc32.Update(crc32.Checksum(key, castagnoli), castagnoli, body) {
		return nil, errSum
	}
	return body, nil
}

// number is a number as a key.
func number(n uint64) []byte { return binary.BigEndian.AppendUint64(nil, n) }

// ofKey is the key of an entry in the bucket audit_by_key. IDs hold no NUL.
func ofKey(id string, seq uint64) []byte {
	return binary.BigEndian.AppendUint64(append([]byte(id), 0), seq)
}
