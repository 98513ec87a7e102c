package idsecrets

import (
	"context"
	"errors"
	"slices"
	"time"

	"github.com/docsgate/docsgate/keys/registry"
	"github.com/docsgate/docsgate/ownership/signedid"
)

// retention is how long a secret is kept after another one has begun to sign: until its IDs have expired, also with a clock that differs.
const retention = signedid.MaxAge + 2*time.Hour

// Rotate creates a secret, which signs after a delay, and returns its number. Earlier ones are removed when their IDs have expired, or
// immediately if endPrevious is set: then their IDs are unknown, and the new secret signs immediately. All gates follow within a second.
func Rotate(
	ctx context.Context, storage Storage, encrypter *registry.Encrypter, delay time.Duration, endPrevious bool,
) (number uint8, err error) {
	if endPrevious {
		delay = 0
	}
	err = change(ctx, storage, encrypter, func(rows []Row) ([]signedid.Secret, []uint8, error) {
		remove := expired(rows)
		if endPrevious {
			remove = remove[:0]
			for _, row := range rows {
				remove = append(remove, row.Number)
			}
		}
		number = freeNumber(rows)
		return []signedid.Secret{signedid.RandomSecret(number)}, remove, nil
	}, delay)
	return number, err
}

// freeNumber returns a number that no row has, usually the one after the last.
func freeNumber(rows []Row) (number uint8) {
	if n := len(rows); n > 0 {
		number = rows[n-1].Number
	}
	for number++; slices.ContainsFunc(rows, func(r Row) bool { return r.Number == number }); number++ {
	}
	return number
}

// expired returns the numbers of the secrets whose IDs have all expired.
func expired(rows []Row) (numbers []uint8) {
	for i := range rows {
		if i+1 < len(rows) && rows[i+1].SignsIn < -retention {
			numbers = append(numbers, rows[i].Number)
		}
	}
	return numbers
}

// ErrNotEmpty means that a key store has secrets already.
var ErrNotEmpty = errors.New("the key store has secrets that sign IDs already")

// Import stores the secrets of a file of signedid in a key store that has none. The last one signs.
func Import(ctx context.Context, storage Storage, encrypter *registry.Encrypter, secrets []signedid.Secret) error {
	sealer, err := encrypter.Sealer(ctx)
	if err != nil {
		return err
	}
	return storage.ChangeIDSecrets(ctx, func(rows []Row) (put []Row, _ []uint8, err error) {
		if len(rows) > 0 {
			return nil, nil, ErrNotEmpty
		}
		for i, secret := range secrets {
			// They keep their order, and the last one signs from now on.
			signsIn := time.Duration(i+1-len(secrets)) * time.Second
			put = append(put, Row{Number: secret.Number, SignsIn: signsIn, Body: sealer.Seal(purpose(secret.Number), secret.Key[:])})
		}
		return put, nil, nil
	})
}

// Reencrypt encrypts the secrets again that are not encrypted with the secret that encrypts, and returns how many. It is for
// Registry.OnReencrypt.
func Reencrypt(ctx context.Context, storage Storage, encrypter *registry.Encrypter) (n int, err error) {
	sealer, err := encrypter.Sealer(ctx)
	if err != nil {
		return 0, err
	}
	err = storage.ChangeIDSecrets(ctx, func(rows []Row) (put []Row, _ []uint8, err error) {
		for _, row := range rows {
			if registry.EncryptionKey(row.Body) == sealer.KeyID() {
				continue
			}
			key, err := encrypter.Decrypt(purpose(row.Number), row.Body)
			if err != nil {
				return nil, nil, err
			}
			row.Body = sealer.Seal(purpose(row.Number), key)
			put = append(put, row)
		}
		n = len(put)
		return put, nil, nil
	})
	return n, err
}
