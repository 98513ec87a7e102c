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
	nonceTTL  = 12 * time.Hour // how long a form may stay open
	maxNonces = 100_000        // forms that are remembered as sent

	nonceRandom = 16
	nonceHead   = nonceRandom + 8 // then the time it was made at
)

// errExpiredForm is for a form that this page did not make, or too long ago: nobody can tell whether it was sent before.
var errExpiredForm = errors.New("the form is too old")

// FormNonces let each form that makes a token be sent once. A form is good as long as they are: after a restart, one that was open
// is shown again instead of being carried out. Pages may share them. Safe for concurrent use.
type FormNonces struct {
	secret [32]byte
	now    func() time.Time
	sem    chan struct{} // holds one element while nobody is at it; guards used
	used   *lru.Cache[string, string]
}

// NewFormNonces returns forms none of which has been sent. now nil: time.Now.
func NewFormNonces(now func() time.Time) *FormNonces {
	if now == nil {
		now = time.Now
	}
	used, err := lru.New[string, string](maxNonces)
	if err != nil {
		panic(err) // only for a size below one
	}
	n := &FormNonces{now: now, sem: make(chan struct{}, 1), used: used}
	_, _ = rand.Read(n.secret[:]) // never fails: the process ends instead
	n.sem <- struct{}{}
	return n
}

// issue makes a nonce for a form that serves a purpose.
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

// once carries a form out, unless its nonce has been used: then it returns the ID of the key that do returned at that
// time. If do fails, the form may be sent again.
func (n *FormNonces) once(ctx context.Context, nonce, purpose string, do func() (id string, err error)) (before string, err error) {
	raw, err := base64.RawURLEncoding.DecodeString(nonce)
	if err != nil || len(raw) != nonceHead+sha256.Size || !hmac.Equal(raw[nonceHead:], n.sign(raw[:nonceHead], purpose)) {
		return "", errExpiredForm
	}
	made := time.Unix(int64(binary.BigEndian.Uint64(raw[nonceRandom:nonceHead])), 0)
	if age := n.now().Sub(made); age > nonceTTL {
		return "", errExpiredForm
	}
	select { // a form that is sent twice at once: the second waits for the first
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
