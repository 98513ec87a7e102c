package ui

import (
	"context"
	"crypto/hmac"
	"crypto/rand"
	"crypto/sha256"
	"encoding/base64"
	"encoding/binary"
	"errors"
	"time"

	lru "github.com/hashicorp/golang-lru/v2"
)

const (
	nonceTTL  = 12 * time.Hour // how long a form can be submitted
	maxNonces = 100_000        // submitted forms in the LRU cache

	nonceRandom = 16
	nonceHead   = nonceRandom + 8 // random bytes and the time of creation
)

// errExpiredForm is the error for a form that this process did not issue, or too long ago: whether it was submitted before is
// unknown.
var errExpiredForm = errors.New("the form is too old")

// FormNonces ensure that each form that creates a token is executed once. Nonces are not valid after a restart: an open form is
// then shown again instead of being executed. Several Pages can share them. Safe for concurrent use.
type FormNonces struct {
	secret [32]byte
	now    func() time.Time
	sem    chan struct{} // semaphore of size 1, which guards used
	used   *lru.Cache[string, string]
}

// NewFormNonces returns nonces with a random secret. now nil: time.Now.
func NewFormNonces(now func() time.Time) *FormNonces {
	if now == nil {
		now = time.Now
	}
	used, err := lru.New[string, string](maxNonces)
	if err != nil {
		panic(err) // only if the size is not positive
	}
	n := &FormNonces{now: now, sem: make(chan struct{}, 1), used: used}
	_, _ = rand.Read(n.secret[:]) // never fails: it crashes the program instead
	n.sem <- struct{}{}
	return n
}

// issue returns a nonce for a form with a purpose.
func (n *FormNonces) issue(purpose string) string {
	head := make([]byte, nonceHead, nonceHead+sha256.Size)
	_, _ = rand.Read(head[:nonceRandom])
	binary.BigEndian.PutUint64(head[nonceRandom:], uint64(n.now().Unix()))
	return base64.RawURLEncoding.EncodeToString(append(head, n.sign(head, purpose)...))
}

func (n *FormNonces) sign(head []byte, purpose string) []byte {
	mac := hmac.New(sha256.New, n.secret[:])
	mac.Write(head)
	mac.Write([]byte(purpose))
	return mac.Sum(nil)
}

// once calls do, unless the nonce was already used: then it returns the ID that do returned before. If do fails, the nonce can be
// used again.
func (n *FormNonces) once(ctx context.Context, nonce, purpose string, do func() (id string, err error)) (before string, err error) {
	raw, err := base64.RawURLEncoding.DecodeString(nonce)
	if err != nil || len(raw) != nonceHead+sha256.Size || !hmac.Equal(raw[nonceHead:], n.sign(raw[:nonceHead], purpose)) {
		return "", errExpiredForm
	}
	made := time.Unix(int64(binary.BigEndian.Uint64(raw[nonceRandom:nonceHead])), 0)
	if age := n.now().Sub(made); age > nonceTTL {
		return "", errExpiredForm
	}
	select { // of concurrent submissions, the second waits for the first
	case <-n.sem:
	case <-ctx.Done():
		return "", ctx.Err()
	}
	defer func() { n.sem <- struct{}{} }()
	if id, ok := n.used.Get(string(raw)); ok {
		return id, nil
	}
	id, err := do()
	if err == nil {
		n.used.Add(string(raw), id)
	}
	return "", err
}
