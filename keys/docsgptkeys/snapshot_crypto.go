package docsgptkeys

import (
	"bytes"
	"errors"
	"fmt"
	"io/fs"

	"github.com/docsgate/docsgate/internal/secretbox"
)

const secretSuffix = ".secret"

// secretKind is the kind of the secret that encrypts snapshots.
var secretKind = secretbox.Kind{
	Prefix: "docsgate-snapshot-secret-1", KeyIDDomain: "docsgate mark of a snapshot's secret: ",
	DamagedAdvice: "remove it, and a new one will be created",
}

// secretToEncrypt returns the secret for the snapshot at path, and creates it if necessary.
func secretToEncrypt(path string) (*secretbox.Secret, error) {
	return secretbox.New(path+secretSuffix, secretKind).SecretOrNew()
}

// secretToDecrypt returns the secret for the snapshot at path.
func secretToDecrypt(path string) (*secretbox.Secret, error) {
	secret, err := secretbox.New(path+secretSuffix, secretKind).Secret()
	if errors.Is(err, fs.ErrNotExist) {
		return nil, fmt.Errorf("the secret %s is missing", path+secretSuffix)
	}
	return secret, err
}

// encrypt returns the content of a file: a header line and the encrypted data. The header is authenticated.
func encrypt(secret *secretbox.Secret, kind string, snapshotID, plain []byte) []byte {
	line := header(kind, secret.KeyID(), snapshotID)
	return secret.Seal(bytes.Clone(line), plain, line)
}

// decrypt decrypts the content of a file and returns the plaintext and the snapshot ID. The errors are meant for users.
func decrypt(secret *secretbox.Secret, kind string, data []byte) (plain, snapshotID []byte, err error) {
	line, keyID, snapshotID, rest, err := splitHeader(kind, data)
	if err != nil {
		return nil, nil, err
	}
	if !secret.HasKeyID(keyID) {
		return nil, nil, errors.New("it was encrypted with another secret")
	}
	plain, err = secret.Open(rest, line)
	if err != nil {
		return nil, nil, errors.New("it is damaged")
	}
	return plain, snapshotID, nil
}
