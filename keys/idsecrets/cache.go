package idsecrets

import (
	"errors"

	"github.com/docsgate/docsgate/internal/atomicfile"
	"github.com/docsgate/docsgate/ownership/signedid"
)

// cachePurpose is the purpose of the encryption of the copy.
const cachePurpose = "copy of the secrets of IDs 1"

// maxCacheBytes is the maximum size of the copy.
const maxCacheBytes = 4096

// The copy contains the identity of the list of blocked conversations, and then each secret after its number. The last one signs.
const cacheRow = 1 + signedid.SecretLength

// writeCache writes the copy.
func (s *Secrets) writeCache(secrets []signedid.Secret, blocklist [16]byte) error {
	if s.options.Cache == "" {
		return nil
	}
	plain := append([]byte(nil), blocklist[:]...)
	for _, secret := range secrets {
		plain = append(append(plain, secret.Number), secret.Key[:]...)
	}
	sealer, err := s.options.Encrypter.LocalSealer()
	if err != nil {
		return err
	}
	return atomicfile.Replace(s.options.Cache, sealer.Seal(cachePurpose, plain))
}

// readCache reads the copy.
func (s *Secrets) readCache() (*IDs, error) {
	data, err := atomicfile.Read(s.options.Cache, maxCacheBytes)
	if err != nil {
		return nil, err
	}
	plain, err := s.options.Encrypter.Decrypt(cachePurpose, data)
	if err != nil {
		return nil, err
	}
	var ids IDs
	if len(plain) < len(ids.Blocklist)+cacheRow || (len(plain)-len(ids.Blocklist))%cacheRow != 0 {
		return nil, errors.New("the copy of the secrets that sign IDs is damaged")
	}
	plain = plain[copy(ids.Blocklist[:], plain):]
	var secrets []signedid.Secret
	for ; len(plain) > 0; plain = plain[cacheRow:] {
		secrets = append(secrets, signedid.Secret{Number: plain[0], Key: [signedid.SecretLength]byte(plain[1:cacheRow])})
	}
	ids.Signer, err = signedid.New(secrets...)
	return &ids, err
}
