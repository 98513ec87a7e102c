package boltstore

import (
	"bytes"
	"crypto/ed25519"
	"fmt"

	"google.golang.org/protobuf/encoding/protowire"

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
		one := appendText(nil, signSecretID, secret.ID)
		one = appendText(one, signSecretEncrypted, string(secret.Encrypted))
		one = appendTime(one, signSecretCreated, secret.Created)
		one = appendTime(one, signSecretUntil, secret.Until)
		body = protowire.AppendBytes(protowire.AppendTag(body, signingSecret, protowire.BytesType), one)
	}
	for _, key := range s.PublicKeys {
		body = appendText(body, signingPublicKey, string(key))
	}
	body = appendNumber(body, signingGeneration, uint64(s.Generation))
	return protowire.AppendBytes(protowire.AppendTag(b, n, protowire.BytesType), body)
}

// decodeSigning is the inverse of appendSigning. An unknown field is an error, since it may say that fewer tokens are valid.
func decodeSigning(body []byte) (*registry.Signing, error) {
	s := new(registry.Signing)
	err := fields(body, func(f field) error {
		switch f.number {
		case signingSecret:
			secret, err := decodeSignSecret(f.bytes)
			s.Secrets = append(s.Secrets, secret)
			return err
		case signingPublicKey:
			s.PublicKeys = append(s.PublicKeys, bytes.Clone(f.bytes))
			if len(f.bytes) != ed25519.PublicKeySize {
				return errBody
			}
		case signingGeneration:
			s.Generation = uint32(f.varint)
			if uint64(s.Generation) != f.varint {
				return errBody
			}
		default:
			return errBody
		}
		return nil
	})
	if err != nil {
		return nil, fmt.Errorf("%w: the settings of signed visitors are damaged or of another version", errBody)
	}
	return s, nil
}

func decodeSignSecret(body []byte) (s registry.SignSecret, err error) {
	err = fields(body, func(f field) error {
		switch f.number {
		case signSecretID:
			s.ID = string(f.bytes)
		case signSecretEncrypted:
			s.Encrypted = bytes.Clone(f.bytes)
		case signSecretCreated:
			return f.time(&s.Created)
		case signSecretUntil:
			return f.time(&s.Until)
		default:
			return errBody
		}
		return nil
	})
	if err == nil && (s.ID == "" || len(s.Encrypted) == 0) {
		err = errBody
	}
	return s, err
}
