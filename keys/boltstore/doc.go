// Package boltstore keeps the gate's own keys in one file, with bbolt. It is a registry.Storage.
//
// # The file
//
// Each row of each bucket is `key -> CRC-32C of key and body, body`; bodies are protobuf messages, written and read without
// generated code (see codec.go), or plain ids. Numbers in keys are big-endian.
//
//	meta          "format", "state"     the format, and the newest revision, sequence and number of rows of each bucket
//	records       ID                    registry.Record
//	digests       digest                ID of the record that has this token, current or old
//	revisions     revision              ID of the record that was written last with it: one row per record
//	audit         seq                   registry.Entry
//	audit_by_key  ID NUL seq            nothing
//	notes         name                  what Remember was given, and when
//	notes_by_age  Unix seconds, name    nothing
//	use           ID                    usage.Row
//
// The format has a major and a minor number. A file of a newer major is refused. One of a newer minor may have more
// buckets, more rows in meta and more fields in the bodies; those are left as they are, also when a record is written anew.
//
// # What is found when
//
// bbolt trusts its file: it has no checksums but in its two meta pages, and a damaged page can send it into a panic, into
// memory that is not there, or in circles. So Open reads the whole file first, by itself and without mapping it (see
// image.go and inspect.go): both meta pages, each page that is in use, the order and the checksum of each row, the number
// of rows of each bucket, and that no page in use counts as free. Of what a flipped bit could change only the unused rest
// of pages is not looked at. That takes 0.9 s for a million keys, and All takes
// 0.8 s then (BenchmarkOpen, BenchmarkAll). While the file is open each row is checked again
// when it is read, and a panic or a fault in bbolt becomes an error, after which the store does nothing more.
package boltstore
