package boltstore

import (
	"bytes"
	"errors"
	"fmt"
	"time"

	"google.golang.org/protobuf/encoding/protowire"

	"github.com/docsgate/docsgate/keys"
	"github.com/docsgate/docsgate/keys/registry"
	"github.com/docsgate/docsgate/policy"
)

// Bodies are protobuf messages: small, fast, and extensible with new fields. Measured with a record that has two sources, one
// previous token and four times (BenchmarkRecord, on an EPYC):
//
//	                                    bytes   encode    decode
//	protowire                             219   0.14 µs   0.63 µs, 4 allocations
//	JSON (go-json-experiment/json)        421   1.28 µs   1.56 µs, 6 allocations
//
// A time is {1: Unix seconds, 2: nanoseconds}, like google.protobuf.Timestamp; the zero time is omitted.

// Fields of a record.
const (
	recName = iota + 1
	recSource
	recPlaceholder
	recAgentKey
	recEncryptedAgent
	recDigest
	recHint
	recPreviousToken
	recState
	recNotBefore
	recExpires
	recCreated
	recChanged
	recRotated
	recPrompt
	recChunks
	recRetriever
	recRevision
	recTokenKind
	recPolicy
	recLeaked
	recLeakedOrigin
	recSigning
)

// Fields of a previous token, of a time, and of an audit entry.
const (
	oldDigest = 1
	oldUntil  = 2

	timeSeconds     = 1
	timeNanoseconds = 2

	entryAt         = 1
	entryActor      = 2
	entryRemoteAddr = 3
	entryAction     = 4
	entryKey        = 5
	entryName       = 6
	entryDetail     = 7
)

var errBody = errors.New("the encoding is invalid")

// appendRecord appends the body of a record. The ID is the key of the row.
func appendRecord(b []byte, r *registry.Record) []byte {
	b = appendText(b, recName, r.Name)
	for _, s := range r.Sources {
		b = protowire.AppendTag(b, recSource, protowire.BytesType)
		b = protowire.AppendString(b, s)
	}
	b = appendText(b, recPlaceholder, r.Agent.Placeholder)
	b = appendText(b, recAgentKey, r.Agent.Key)
	b = appendText(b, recEncryptedAgent, string(r.Agent.Encrypted))
	b = protowire.AppendTag(b, recDigest, protowire.BytesType)
	b = protowire.AppendBytes(b, r.Digest[:])
	b = appendText(b, recHint, r.Hint)
	for i := range r.PreviousTokens {
		o := &r.PreviousTokens[i]
		b = protowire.AppendTag(b, recPreviousToken, protowire.BytesType)
		b = protowire.AppendVarint(b, uint64(protowire.SizeTag(oldDigest)+protowire.SizeBytes(len(o.Digest))+timeSize(oldUntil, o.Until)))
		b = protowire.AppendTag(b, oldDigest, protowire.BytesType)
		b = protowire.AppendBytes(b, o.Digest[:])
		b = appendTime(b, oldUntil, o.Until)
	}
	b = appendNumber(b, recState, uint64(r.State))
	b = appendTime(b, recNotBefore, r.NotBefore)
	b = appendTime(b, recExpires, r.Expires)
	b = appendTime(b, recCreated, r.Created)
	b = appendTime(b, recChanged, r.Changed)
	b = appendTime(b, recRotated, r.Rotated)
	b = appendText(b, recPrompt, r.Prompt)
	b = appendText(b, recChunks, r.Chunks)
	b = appendText(b, recRetriever, r.Retriever)
	b = appendNumber(b, recRevision, r.Revision)
	b = appendText(b, recTokenKind, r.TokenKind.String())
	b = appendPolicy(b, recPolicy, r.Policy)
	b = appendTime(b, recLeaked, r.Leaked)
	b = appendText(b, recLeakedOrigin, r.LeakedOrigin)
	return appendSigning(b, recSigning, r.Signing)
}

// decoder decodes records. It stores all texts of one record in one string, to save allocations: with a million records, each
// separate text would be a million strings.
type decoder struct {
	text  []byte
	spans []span

	// The last policy and its encoding. Equal policies that follow each other, as those of an import do, are one in memory.
	policyBody []byte
	policy     *policy.Policy
}

// span is a string variable to which the next n bytes of the text are assigned.
type span struct {
	to *string
	n  int
}

func (d *decoder) put(to *string, text []byte) {
	d.text = append(d.text, text...)
	d.spans = append(d.spans, span{to, len(text)})
}

// record decodes a record. The result shares no memory with the body. unknown contains the fields that a newer minor version
// has added.
func (d *decoder) record(id, body []byte) (r *registry.Record, unknown []byte, err error) {
	r = new(registry.Record)
	d.text, d.spans = d.text[:0], d.spans[:0]
	d.put(&r.ID, id)
	sources, olds := 0, 0
	if err := fields(body, func(f field) error {
		switch f.number {
		case recSource:
			sources++
		case recPreviousToken:
			olds++
		}
		return nil
	}); err != nil {
		return nil, nil, err
	}
	if sources > 0 {
		r.Sources = make([]string, 0, sources) // must not be reallocated, since spans point into it
	}
	if olds > 0 {
		r.PreviousTokens = make([]keys.PreviousToken, 0, olds)
	}
	if err := fields(body, func(f field) error {
		known, err := d.field(r, f)
		if !known {
			unknown = append(unknown, f.raw...)
		}
		return err
	}); err != nil {
		return nil, nil, err
	}
	all := string(d.text)
	for _, s := range d.spans {
		*s.to, all = all[:s.n], all[s.n:]
	}
	return r, unknown, nil
}

func (d *decoder) field(r *registry.Record, f field) (known bool, err error) {
	switch f.number {
	case recName:
		d.put(&r.Name, f.bytes)
	case recSource:
		r.Sources = append(r.Sources, "")
		d.put(&r.Sources[len(r.Sources)-1], f.bytes)
	case recPlaceholder:
		d.put(&r.Agent.Placeholder, f.bytes)
	case recAgentKey:
		d.put(&r.Agent.Key, f.bytes)
	case recEncryptedAgent:
		r.Agent.Encrypted = append([]byte(nil), f.bytes...)
	case recDigest:
		err = f.digest(&r.Digest)
	case recHint:
		d.put(&r.Hint, f.bytes)
	case recPreviousToken:
		var o keys.PreviousToken
		err = fields(f.bytes, func(f field) error {
			switch f.number {
			case oldDigest:
				return f.digest(&o.Digest)
			case oldUntil:
				return f.time(&o.Until)
			}
			return nil
		})
		r.PreviousTokens = append(r.PreviousTokens, o)
	case recState:
		if r.State = keys.State(f.varint); f.varint > uint64(keys.Revoked) {
			err = fmt.Errorf("%w: unknown state", errBody)
		}
	case recNotBefore:
		err = f.time(&r.NotBefore)
	case recExpires:
		err = f.time(&r.Expires)
	case recCreated:
		err = f.time(&r.Created)
	case recChanged:
		err = f.time(&r.Changed)
	case recRotated:
		err = f.time(&r.Rotated)
	case recPrompt:
		d.put(&r.Prompt, f.bytes)
	case recChunks:
		d.put(&r.Chunks, f.bytes)
	case recRetriever:
		d.put(&r.Retriever, f.bytes)
	case recRevision:
		r.Revision = f.varint
	case recTokenKind:
		if r.TokenKind, err = policy.ParseKind(string(f.bytes)); err != nil {
			err = fmt.Errorf("%w: unknown kind of token", errBody)
		}
	case recPolicy:
		if d.policy == nil || !bytes.Equal(d.policyBody, f.bytes) {
			d.policy, err = decodePolicy(f.bytes)
			d.policyBody = append(d.policyBody[:0], f.bytes...)
		}
		r.Policy = d.policy
	case recLeaked:
		err = f.time(&r.Leaked)
	case recLeakedOrigin:
		d.put(&r.LeakedOrigin, f.bytes)
	case recSigning:
		r.Signing, err = decodeSigning(f.bytes)
	default:
		return false, nil
	}
	return true, err
}

// appendEntry appends the body of an audit entry. The Seq is the key of the row.
func appendEntry(b []byte, e *registry.AuditEntry) []byte {
	b = appendTime(b, entryAt, e.At)
	b = appendText(b, entryActor, e.Actor)
	b = appendText(b, entryRemoteAddr, e.RemoteAddr)
	b = appendText(b, entryAction, string(e.Action))
	b = appendText(b, entryKey, e.Key)
	b = appendText(b, entryName, e.Name)
	return appendText(b, entryDetail, e.Detail)
}

func decodeEntry(seq uint64, body []byte) (registry.AuditEntry, error) {
	e := registry.AuditEntry{Seq: seq}
	err := fields(body, func(f field) error {
		switch f.number {
		case entryAt:
			return f.time(&e.At)
		case entryActor:
			e.Actor = string(f.bytes)
		case entryRemoteAddr:
			e.RemoteAddr = string(f.bytes)
		case entryAction:
			e.Action = registry.Action(f.bytes)
		case entryKey:
			e.Key = string(f.bytes)
		case entryName:
			e.Name = string(f.bytes)
		case entryDetail:
			e.Detail = string(f.bytes)
		}
		return nil
	})
	return e, err
}

// field is one field of a message. Depending on its type, either bytes or varint is set.
type field struct {
	number int32
	bytes  []byte
	varint uint64
	raw    []byte // including tag and length
}

// fields calls yield for each field of a message. All known fields are varints or bytes. A field with an unexpected type reads
// as zero or empty; the checksum of the row was verified before.
func fields(b []byte, yield func(field) error) error {
	for len(b) > 0 {
		number, kind, n := protowire.ConsumeTag(b)
		if n < 0 {
			return errBody
		}
		f := field{number: int32(number)}
		size := 0
		switch kind {
		case protowire.VarintType:
			f.varint, size = protowire.ConsumeVarint(b[n:])
		case protowire.BytesType:
			f.bytes, size = protowire.ConsumeBytes(b[n:])
		default:
			size = protowire.ConsumeFieldValue(number, kind, b[n:])
		}
		if size < 0 {
			return errBody
		}
		f.raw, b = b[:n+size], b[n+size:]
		if err := yield(f); err != nil {
			return err
		}
	}
	return nil
}

func (f field) digest(d *keys.Digest) error {
	if len(f.bytes) != len(d) {
		return errBody
	}
	copy(d[:], f.bytes)
	return nil
}

func (f field) time(t *time.Time) error {
	var seconds, nanoseconds int64
	err := fields(f.bytes, func(f field) error {
		switch f.number {
		case timeSeconds:
			seconds = int64(f.varint)
		case timeNanoseconds:
			nanoseconds = int64(f.varint)
		}
		return nil
	})
	*t = time.Unix(seconds, nanoseconds).UTC()
	return err
}

func appendText(b []byte, n protowire.Number, text string) []byte {
	if text == "" {
		return b
	}
	return protowire.AppendString(protowire.AppendTag(b, n, protowire.BytesType), text)
}

func appendNumber(b []byte, n protowire.Number, number uint64) []byte {
	if number == 0 {
		return b
	}
	return protowire.AppendVarint(protowire.AppendTag(b, n, protowire.VarintType), number)
}

func appendTime(b []byte, n protowire.Number, t time.Time) []byte {
	if t.IsZero() {
		return b
	}
	b = protowire.AppendTag(b, n, protowire.BytesType)
	b = protowire.AppendVarint(b, uint64(timeBody(t)))
	b = appendNumber(b, timeSeconds, uint64(t.Unix()))
	return appendNumber(b, timeNanoseconds, uint64(t.Nanosecond()))
}

func timeSize(n protowire.Number, t time.Time) int {
	if t.IsZero() {
		return 0
	}
	return protowire.SizeTag(n) + protowire.SizeBytes(timeBody(t))
}

func timeBody(t time.Time) (size int) {
	if s := uint64(t.Unix()); s != 0 {
		size += protowire.SizeTag(timeSeconds) + protowire.SizeVarint(s)
	}
	if ns := uint64(t.Nanosecond()); ns != 0 {
		size += protowire.SizeTag(timeNanoseconds) + protowire.SizeVarint(ns)
	}
	return size
}
