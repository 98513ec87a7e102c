package boltstore

import (
	"encoding/binary"
	"errors"
	"hash/crc32"
)

// The buckets. Their positions in this list are the field numbers of their counts in the state, so new buckets must be
// appended.
const (
	bucketMeta = iota
	bucketRecords
	bucketDigests
	bucketRevisions
	bucketAudit
	bucketAuditByKey
	bucketNotes
	bucketNotesByAge
	bucketUse
	bucketQuotas
	bucketOverrides
	bucketCount

	// firstAddedBucket and following were added in later minor versions.
	firstAddedBucket = bucketQuotas
)

// bucketSince are the minor versions of the format that added buckets.
var bucketSince = [bucketCount]uint64{bucketQuotas: 1, bucketOverrides: 2}

var bucketNames = [bucketCount][]byte{
	[]byte("meta"), []byte("records"), []byte("digests"), []byte("revisions"), []byte("audit"), []byte("audit_by_key"),
	[]byte("notes"), []byte("notes_by_age"), []byte("use"), []byte("quotas"), []byte("overrides"),
}

// Rows of the bucket meta.
var (
	rowFormat = []byte("format")
	rowState  = []byte("state")
)

var castagnoli = crc32.MakeTable(crc32.Castagnoli)

const checksumLength = 4

// addChecksum returns the value of a row: its body after a checksum of key and body.
func addChecksum(key, body []byte) []byte {
	value := make([]byte, checksumLength, checksumLength+len(body))
	binary.LittleEndian.PutUint32(value, crc32.Update(crc32.Checksum(key, castagnoli), castagnoli, body))
	return append(value, body...)
}

var errChecksum = errors.New("the checksum is wrong")

// verifyChecksum verifies the checksum of a row and returns its body, which is a part of value.
func verifyChecksum(key, value []byte) ([]byte, error) {
	if len(value) < checksumLength {
		return nil, errChecksum
	}
	body := value[checksumLength:]
	if binary.LittleEndian.Uint32(value) != crc32.Update(crc32.Checksum(key, castagnoli), castagnoli, body) {
		return nil, errChecksum
	}
	return body, nil
}

// number returns the key of a row whose key is a number.
func number(n uint64) []byte { return binary.BigEndian.AppendUint64(nil, n) }

// auditKey returns the key of an entry in the bucket audit_by_key. IDs contain no NUL.
func auditKey(id string, seq uint64) []byte {
	return binary.BigEndian.AppendUint64(append([]byte(id), 0), seq)
}
