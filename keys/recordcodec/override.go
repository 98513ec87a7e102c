package recordcodec

import (
	"github.com/docsgate/docsgate/internal/wire"
	"github.com/docsgate/docsgate/keys/registry"
)

// Fields of an override. The ID is the key of the row.
const (
	overrideDisabled = iota + 1
	overridePolicy
	overrideChanged
	overrideRevision
	overrideSigning
)

// AppendOverride appends the body of an override.
func AppendOverride(b []byte, o *registry.Override) []byte {
	if o.Disabled {
		b = wire.AppendNumber(b, overrideDisabled, 1)
	}
	b = appendPolicy(b, overridePolicy, o.Policy)
	b = wire.AppendTime(b, overrideChanged, o.Changed)
	b = wire.AppendNumber(b, overrideRevision, o.Revision)
	return appendSigning(b, overrideSigning, o.Signing)
}

// DecodeOverride decodes an override. An unknown field is an error, since it may restrict the key.
func DecodeOverride(o *registry.Override, body []byte) error {
	return wire.Fields(body, func(f wire.Field) (err error) {
		switch f.Number {
		case overrideDisabled:
			o.Disabled = f.Varint != 0
		case overridePolicy:
			o.Policy, err = decodePolicy(f.Bytes)
		case overrideChanged:
			err = f.Time(&o.Changed)
		case overrideRevision:
			o.Revision = f.Varint
		case overrideSigning:
			o.Signing, err = decodeSigning(f.Bytes)
		default:
			err = wire.ErrEncoding
		}
		return err
	})
}
