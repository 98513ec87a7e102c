package boltstore

import (
	"errors"
	"strings"
	"testing"

	bolt "go.etcd.io/bbolt"
	"google.golang.org/protobuf/encoding/protowire"

	"github.com/docsgate/docsgate/keys/registry"
)

// What cannot be read completely must not verify more tokens than it should, also if a newer version has written it.
func TestDamagedSigningRejected(t *testing.T) {
	secret := func(fields ...[]byte) []byte {
		return appendText(nil, signingSecret, string(append([]byte{}, joinBytes(fields)...)))
	}
	id, encrypted := appendText(nil, signSecretID, "0a1b2c3d"), appendText(nil, signSecretEncrypted, "x")
	for name, body := range map[string][]byte{
		"field of a newer version":  appendNumber(nil, 99, 1),
		"short public key":          appendText(nil, signingPublicKey, strings.Repeat("k", 31)),
		"too high generation":       appendNumber(nil, signingGeneration, 1<<32),
		"secret without an id":      secret(encrypted),
		"secret without its text":   secret(id),
		"unknown field of a secret": secret(id, encrypted, appendNumber(nil, 9, 1)),
		"truncated":                 secret(id, encrypted)[:5],
	} {
		if s, err := decodeSigning(body); !errors.Is(err, errBody) {
			t.Errorf("%s: decoded as %+v, error %v", name, s, err)
		}
		stored := protowire.AppendBytes(protowire.AppendTag(appendRecord(nil, record(1)), recSigning, protowire.BytesType), body)
		if _, _, err := new(decoder).record([]byte("key_1"), stored); err == nil {
			t.Errorf("%s: the record is decoded", name)
		}
		var o registry.Override
		if err := decodeOverride(&o, protowire.AppendBytes(protowire.AppendTag(nil, overrideSigning, protowire.BytesType), body)); err == nil {
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

// A file of version 1.2 has the current version once it is opened, and its records have no settings of signed visitors.
func TestUpgradeToSigning(t *testing.T) {
	path, _ := newStoreFile(t, 2)
	setFormat := func(minor uint64) {
		editFile(t, path, putRow(bucketMeta, rowFormat, addChecksum(rowFormat, formatBody(formatMajor, minor))))
	}
	setFormat(2)
	for minor, want := range map[uint64]uint64{2: formatMinor, 99: 99} {
		setFormat(minor)
		s := openStore(t, path)
		if _, err := s.All(t.Context(), func(r *registry.Record) error {
			if r.Signing != nil {
				t.Errorf("record %s has %+v", r.ID, r.Signing)
			}
			return nil
		}); err != nil {
			t.Error(err)
		}
		if err := s.Close(); err != nil {
			t.Fatal(err)
		}
		editFile(t, path, func(tx *bolt.Tx) error {
			body, err := bodyOf(tx.Bucket(bucketNames[bucketMeta]), bucketMeta, rowFormat)
			if err != nil {
				return err
			}
			if _, got, err := decodeFormat(body); err != nil || got != want {
				t.Errorf("a file of version 1.%d has version 1.%d, %v", minor, got, err)
			}
			return nil
		})
	}
}
