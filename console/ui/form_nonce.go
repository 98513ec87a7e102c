package ui

import (
	"cmp"
	"context"
	"crypto/hmac"
	"crypto/rand"
	"crypto/sha256"
	"encoding/base64"
	"encoding/binary"
	"encoding/hex"
	"errors"
	"net/http"
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

// NonceStorage stores the submitted forms of pages at several gates, as records by name that expire after 24 hours. It is safe for
// concurrent use.
type NonceStorage interface {
	// ClaimIdempotencyRecord stores a text under a name, unless there is one already, which it returns. Of concurrent calls at all
	// gates, one stores it.
	ClaimIdempotencyRecord(ctx context.Context, name, text string) (stored string, err error)
	// PutIdempotencyRecord replaces a text. An empty one is like none.
	PutIdempotencyRecord(ctx context.Context, name, text string) error
}

// FormNonces ensure that each form that creates a token is executed once. Nonces in memory are not valid after a restart: an open form
// is then shown again instead of being executed. Several Pages can share them. Safe for concurrent use.
type FormNonces struct {
	secrets func() ([][32]byte, error) // the last one signs
	storage NonceStorage               // nil: in memory
	now     func() time.Time
	sem     chan struct{} // semaphore of size 1, which guards used
	used    *lru.Cache[string, string]
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
	var secret [32]byte
	_, _ = rand.Read(secret[:]) // never fails: it crashes the program instead
	n := &FormNonces{
		now: now, sem: make(chan struct{}, 1), used: used,
		secrets: func() ([][32]byte, error) { return [][32]byte{secret}, nil },
	}
	n.sem <- struct{}{}
	return n
}

// NewStoredFormNonces returns nonces that are valid at all gates with the same storage and secrets, of which the last one signs.
func NewStoredFormNonces(storage NonceStorage, secrets func() ([][32]byte, error)) *FormNonces {
	n := NewFormNonces(nil)
	n.storage, n.secrets = storage, secrets
	return n
}

// issue returns a nonce for a form with a purpose.
func (n *FormNonces) issue(purpose string) string {
	head := make([]byte, nonceHead, nonceHead+sha256.Size)
	_, _ = rand.Read(head[:nonceRandom])
	binary.BigEndian.PutUint64(head[nonceRandom:], uint64(n.now().Unix()))
	secrets, err := n.secrets()
	if err != nil || len(secrets) == 0 {
		return "" // the form is shown again
	}
	return base64.RawURLEncoding.EncodeToString(append(head, sign(&secrets[len(secrets)-1], head, purpose)...))
}

func sign(secret *[32]byte, head []byte, purpose string) []byte {
	mac := hmac.New(sha256.New, secret[:])
	mac.Write(head)
	mac.Write([]byte(purpose))
	return mac.Sum(nil)
}

// isSigned reports whether a nonce was issued for a purpose.
func (n *FormNonces) isSigned(raw []byte, purpose string) (bool, error) {
	secrets, err := n.secrets()
	for i := range secrets {
		if len(raw) == nonceHead+sha256.Size && hmac.Equal(raw[nonceHead:], sign(&secrets[i], raw[:nonceHead], purpose)) {
			return true, nil
		}
	}
	return false, err
}

// once calls do, unless the nonce was already used: then it returns the ID that do returned before. If do fails, the nonce can be
// used again.
func (n *FormNonces) once(ctx context.Context, nonce, purpose string, do func() (id string, err error)) (before string, err error) {
	raw, err := base64.RawURLEncoding.DecodeString(nonce)
	if err != nil {
		return "", errExpiredForm
	}
	if ok, err := n.isSigned(raw, purpose); !ok {
		return "", cmp.Or(err, errExpiredForm)
	}
	made := time.Unix(int64(binary.BigEndian.Uint64(raw[nonceRandom:nonceHead])), 0)
	if age := n.now().Sub(made); age > nonceTTL {
		return "", errExpiredForm
	}
	if n.storage != nil {
		return n.onceStored(ctx, raw, do)
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

// Waiting for another submission of a form.
const (
	submissionWait     = 10 * time.Second
	submissionInterval = 100 * time.Millisecond
)

// submitted is the text of a form that is being executed. It is not the ID of a key.
const submitted = "?"

var errSubmitted = &pageError{http.StatusConflict, "The form was submitted before, and its outcome is unknown. " +
	"Check whether the key exists, and has a new token, before you submit another form."}

// onceStored is once with a storage.
func (n *FormNonces) onceStored(ctx context.Context, raw []byte, do func() (id string, err error)) (before string, err error) {
	sum := sha256.Sum256(raw)
	name := "form:" + hex.EncodeToString(sum[:])
	for end := time.Now().Add(submissionWait); ; {
		before, err = n.storage.ClaimIdempotencyRecord(ctx, name, submitted)
		if err != nil || before != "" && before != submitted {
			return before, err
		}
		if before == "" {
			break
		}
		if time.Now().After(end) {
			return "", errSubmitted
		}
		select { // the second of concurrent submissions waits for the first
		case <-time.After(submissionInterval):
		case <-ctx.Done():
			return "", ctx.Err()
		}
	}
	id, err := do()
	if err != nil {
		id = ""
	}
	// The key exists even if this fails: another submission is then rejected.
	if putErr := n.storage.PutIdempotencyRecord(context.WithoutCancel(ctx), name, id); err != nil {
		err = errors.Join(err, putErr)
	}
	return "", err
}
