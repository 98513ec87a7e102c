// Package boltstore stores the gate's own keys in one bbolt file. It implements registry.Storage.
//
// # File format
//
// Each row of each bucket is `key -> CRC-32C of key and body, body`; bodies are protobuf messages, encoded and
// decoded without generated code (see record_encoding.go), or plain IDs. Numbers in keys are big-endian.
//
//	meta          "format", "state"     the format; the latest revision and sequence, and the number of rows of each bucket
//	records       ID                    registry.Record
//	digests       digest                ID of the record that has this token, current or previous
//	revisions     revision              ID of the record whose last write has it: one row per record
//	audit         seq                   registry.AuditEntry
//	audit_by_key  ID NUL seq            empty
//	notes         name                  idempotency record: the text passed to Remember, and the time
//	notes_by_age  Unix seconds, name    empty
//	use           ID                    usage.Row
//	quotas        ID                    quota.Row; since 1.1
//	overrides     ID                    registry.Override; since 1.2
//
// Since 1.3 records and overrides contain a registry.Signing.
//
// The format has a major and a minor version. A file with a newer major version is rejected. A file with a newer minor version may
// have more buckets, more rows in meta and more fields in the bodies; those are preserved, even when a record is updated.
//
// # Integrity checks
//
// bbolt trusts its file: only its two meta pages have checksums, and a damaged page can cause a panic, an access to unmapped
// memory, or an endless loop. So Open first verifies the whole file, without bbolt and without mapping it (see fileformat.go and
// verify.go): both meta pages, each page in use, the order and the checksum of each row, the number of rows of each bucket, and
// that no page in use is in the freelist. A flipped bit goes undetected only in the unused space of pages. This takes 0.9 s for
// a million keys, and All then takes 0.8 s (BenchmarkOpen, BenchmarkAll). While the file is open, the checksum of each row is verified
// when the row is read, and a panic or a memory fault in bbolt becomes an error, after which the store rejects all calls.
package boltstore
