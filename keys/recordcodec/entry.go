package recordcodec

import (
	"github.com/docsgate/docsgate/internal/wire"
	"github.com/docsgate/docsgate/keys/registry"
)

// Fields of an audit entry.
const (
	entryAt         = 1
	entryActor      = 2
	entryRemoteAddr = 3
	entryAction     = 4
	entryKey        = 5
	entryName       = 6
	entryDetail     = 7
)

// AppendEntry appends the body of an audit entry. The Seq is the key of the row.
func AppendEntry(b []byte, e *registry.AuditEntry) []byte {
	b = wire.AppendTime(b, entryAt, e.At)
	b = wire.AppendText(b, entryActor, e.Actor)
	b = wire.AppendText(b, entryRemoteAddr, e.RemoteAddr)
	b = wire.AppendText(b, entryAction, string(e.Action))
	b = wire.AppendText(b, entryKey, e.Key)
	b = wire.AppendText(b, entryName, e.Name)
	return wire.AppendText(b, entryDetail, e.Detail)
}

// DecodeEntry decodes an audit entry. Its Seq is stored beside it.
func DecodeEntry(seq uint64, body []byte) (registry.AuditEntry, error) {
	e := registry.AuditEntry{Seq: seq}
	err := wire.Fields(body, func(f wire.Field) error {
		switch f.Number {
		case entryAt:
			return f.Time(&e.At)
		case entryActor:
			e.Actor = string(f.Bytes)
		case entryRemoteAddr:
			e.RemoteAddr = string(f.Bytes)
		case entryAction:
			e.Action = registry.Action(f.Bytes)
		case entryKey:
			e.Key = string(f.Bytes)
		case entryName:
			e.Name = string(f.Bytes)
		case entryDetail:
			e.Detail = string(f.Bytes)
		}
		return nil
	})
	return e, err
}
