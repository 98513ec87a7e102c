package adopted

import (
	"bytes"
	"errors"
	"fmt"
	"io/fs"

	"github.com/docsgate/docsgate/keys/seal"
)

const secretSuffix = ".secret"

// secretKind is the secret that snapshots are sealed with.
var secretKind = seal.Kind{
	Prefix: "docsgate-snapshot-secret-1", Mark: "docsgate mark of a snapshot's secret: ",
	Damaged: "remove it, and a new one will be made",
}

// secretToSeal returns the secret for the snapshot at path; one is made if there is none.
func secretToSeal(path string) (*seal.Secret, error) {
	return seal.New(path+secretSuffix, secretKind).SecretOrNew()
}

// secretToOpen returns the secret for the snapshot at path.
func secretToOpen(path string) (*seal.Secret, error) {
	secret, err := seal.New(path+secretSuffix, secretKind).Secret()
	if errors.Is(err, fs.ErrNotExist) {
		return nil, fmt.Errorf("the secret %s that opens it is missing", path+secretSuffix)
	}
	return secret, err
}

// sealed returns the content of a file. What it says in its first line is part of the seal.
func sealed(secret *seal.Secret, kind string, mark, plain []byte) []byte {
	line := header(kind, secret.Mark(), mark)
	return secret.Seal(bytes.Clone(line), plain, line)
}

// opened returns what was sealed, and the mark of the file. The errors are for people.
func opened(secret *seal.Secret, kind string, data []byte) (plain, mark []byte, err error) {
	line, secretMark, mark, rest, err := splitHeader(kind, data)
	if err != nil {
		return nil, nil, err
	}
	if !secret.Is(secretMark) {
		return nil, nil, errors.New("it was sealed with another secret")
	}
	plain, err = secret.Open(rest, line)
	if err != nil {
		return nil, nil, errors.New("it is damaged")
	}
	return plain, mark, nil
}
