package recordcodec

import (
	"errors"
	"strings"
	"testing"

	"google.golang.org/protobuf/encoding/protowire"

	"github.com/docsgate/docsgate/internal/wire"
	"github.com/docsgate/docsgate/keys/registry"
)

// What cannot be read completely must not verify more tokens than it should, also if a newer version has written it.
func TestDamagedSigningRejected(t *testing.T) {
	secret := func(parts ...[]byte) []byte {
		return wire.AppendText(nil, signingSecret, string(append([]byte{}, joinBytes(parts)...)))
	}
	id, encrypted := wire.AppendText(nil, signSecretID, "0a1b2c3d"), wire.AppendText(nil, signSecretEncrypted, "x")
	for name, body := range map[string][]byte{
		"field of a newer version":  wire.AppendNumber(nil, 99, 1),
		"short public key":          wire.AppendText(nil, signingPublicKey, strings.Repeat("k", 31)),
		"too high generation":       wire.AppendNumber(nil, signingGeneration, 1<<32),
		"secret without an id":      secret(encrypted),
		"secret without its text":   secret(id),
		"unknown field of a secret": secret(id, encrypted, wire.AppendNumber(nil, 9, 1)),
		"truncated":                 secret(id, encrypted)[:5],
	} {
		if s, err := decodeSigning(body); !errors.Is(err, wire.ErrEncoding) {
			t.Errorf("%s: decoded as %+v, error %v", name, s, err)
		}
		stored := protowire.AppendBytes(protowire.AppendTag(AppendRecord(nil, record(1)), recSigning, protowire.BytesType), body)
		if _, _, err := new(Decoder).Record([]byte("key_1"), stored); err == nil {
			t.Errorf("%s: the record is decoded", name)
		}
		var o registry.Override
		if err := DecodeOverride(&o, protowire.AppendBytes(protowire.AppendTag(nil, overrideSigning, protowire.BytesType), body)); err == nil {
			t.Errorf("%s: the override is decoded", name)
		}
	}
}

func joinBytes(parts [][]byte) (all []byte) {
	for _, part := range parts {
		all = append(all, part...)
	}
	return all
}
