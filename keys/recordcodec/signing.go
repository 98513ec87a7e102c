package recordcodec

import (
	"bytes"
	"crypto/ed25519"
	"fmt"

	"google.golang.org/protobuf/encoding/protowire"

	"github.com/docsgate/docsgate/internal/wire"
	"github.com/docsgate/docsgate/keys/registry"
)

// Fields of a registry.Signing, and of a secret in it.
const (
	signingSecret     = 1
	signingPublicKey  = 2
	signingGeneration = 3

	signSecretID        = 1
	signSecretEncrypted = 2
	signSecretCreated   = 3
	signSecretUntil     = 4
)

// appendSigning appends what the tokens of visitors are verified with. Nil is omitted.
func appendSigning(b []byte, n protowire.Number, s *registry.Signing) []byte {
	if s == nil {
		return b
	}
	var body []byte
	for i := range s.Secrets {
		secret := &s.Secrets[i]
		one := wire.AppendText(nil, signSecretID, secret.ID)
		one = wire.AppendText(one, signSecretEncrypted, string(secret.Encrypted))
		one = wire.AppendTime(one, signSecretCreated, secret.Created)
		one = wire.AppendTime(one, signSecretUntil, secret.Until)
		body = protowire.AppendBytes(protowire.AppendTag(body, signingSecret, protowire.BytesType), one)
	}
	for _, key := range s.PublicKeys {
		body = wire.AppendText(body, signingPublicKey, string(key))
	}
	body = wire.AppendNumber(body, signingGeneration, uint64(s.Generation))
	return protowire.AppendBytes(protowire.AppendTag(b, n, protowire.BytesType), body)
}

// decodeSigning is the inverse of appendSigning. An unknown field is an error, since it may say that fewer tokens are valid.
func decodeSigning(body []byte) (*registry.Signing, error) {
	s := new(registry.Signing)
	err := wire.Fields(body, func(f wire.Field) error {
		switch f.Number {
		case signingSecret:
			secret, err := decodeSignSecret(f.Bytes)
			s.Secrets = append(s.Secrets, secret)
			return err
		case signingPublicKey:
			s.PublicKeys = append(s.PublicKeys, bytes.Clone(f.Bytes))
			if len(f.Bytes) != ed25519.PublicKeySize {
				return wire.ErrEncoding
			}
		case signingGeneration:
			s.Generation = uint32(f.Varint)
			if uint64(s.Generation) != f.Varint {
				return wire.ErrEncoding
			}
		default:
			return wire.ErrEncoding
		}
		return nil
	})
	if err != nil {
		return nil, fmt.Errorf("%w: the settings of signed visitors are damaged or of another version", wire.ErrEncoding)
	}
	return s, nil
}

func decodeSignSecret(body []byte) (s registry.SignSecret, err error) {
	err = wire.Fields(body, func(f wire.Field) error {
		switch f.Number {
		case signSecretID:
			s.ID = string(f.Bytes)
		case signSecretEncrypted:
			s.Encrypted = bytes.Clone(f.Bytes)
		case signSecretCreated:
			return f.Time(&s.Created)
		case signSecretUntil:
			return f.Time(&s.Until)
		default:
			return wire.ErrEncoding
		}
		return nil
	})
	if err == nil && (s.ID == "" || len(s.Encrypted) == 0) {
		err = wire.ErrEncoding
	}
	return s, err
}
