package signedid

import (
	"crypto/hmac"
	"crypto/sha256"
	"crypto/subtle"
	"encoding/base64"
	"encoding/binary"
	"errors"
	"fmt"
	"hash"
	"strings"
	"sync"
	"time"
)

// MaxAge is how long a signed ID is valid. It is exact to the hour. The gate signs the ID of a conversation again with each answer.
const MaxAge = 30 * 24 * time.Hour

// Lengths, in bytes.
const (
	MaxIDLength     = 128                          // of an ID that can be signed
	MaxSignedLength = MaxIDLength + 1 + textLength // of a signed ID

	textLength = 24 // of the signature, in base64url
	rawLength  = 18 // of the signature
	macLength  = rawLength - headLength
	headLength = 5 // version, number of the secret, hour
)

const (
	version   = 1
	separator = '.'

	// maxAhead is how far the clock of the gate that has signed an ID may be ahead, in hours.
	maxAhead = 1
)

// SecretLength is the length of a secret, in bytes.
const SecretLength = 32

// Secret is a key of the HMAC. Its number is part of each ID that it signs, so that several secrets are valid at the same time.
type Secret struct {
	Number uint8
	Key    [SecretLength]byte
}

// Subject is what a signature is about, besides the ID.
type Subject struct {
	Kind  string   // of the resource
	Owner [16]byte // whose resource it is
	Scope [16]byte // any further restriction; zero: none
}

// Signer signs IDs and checks them. It is safe for concurrent use.
type Signer struct {
	current uint8
	macs    [256]*sync.Pool // of *state, by the number of the secret; nil: no such secret
}

// state is an HMAC and its memory, which must be on the heap because it is passed to an interface.
type state struct {
	hash hash.Hash
	buf  [512]byte
}

// New returns a Signer. The last secret signs; the others only check.
func New(secrets ...Secret) (*Signer, error) {
	if len(secrets) == 0 {
		return nil, errors.New("there is no secret")
	}
	s := &Signer{current: secrets[len(secrets)-1].Number}
	for _, secret := range secrets {
		switch {
		case secret.Key == [SecretLength]byte{}:
			return nil, fmt.Errorf("secret %d is empty", secret.Number)
		case s.macs[secret.Number] != nil:
			return nil, fmt.Errorf("secret %d is specified twice", secret.Number)
		}
		s.macs[secret.Number] = &sync.Pool{New: func() any { return &state{hash: hmac.New(sha256.New, secret.Key[:])} }}
	}
	return s, nil
}

// Append appends the signed ID to dst. It does nothing and reports false if the ID cannot be signed: it is empty or too long, or has
// characters other than letters, digits, "_" and "-". now is the time of issue.
func (s *Signer) Append(dst []byte, id string, about *Subject, now time.Time) (out []byte, ok bool) {
	if !isSignable(id) {
		return dst, false
	}
	dst = append(dst, id...)
	var raw [rawLength]byte
	raw[0], raw[1] = version, s.current
	putHour(raw[2:headLength], hourOf(now))
	s.sum(raw[headLength:], raw[:headLength], id, about)
	return base64.RawURLEncoding.AppendEncode(append(dst, separator), raw[:]), true
}

// Sign is like Append, but returns the signed ID as text, or an ID that cannot be signed as it is. That is not valid.
func (s *Signer) Sign(id string, about *Subject, now time.Time) string {
	var buf [MaxSignedLength]byte
	signed, ok := s.Append(buf[:0], id, about, now)
	if !ok {
		return id
	}
	return string(signed)
}

// Check returns the ID in a signed ID. ok is false unless it was signed for the subject at most MaxAge before now, with a secret of the
// Signer. The cost is bounded, whatever the client sends.
func (s *Signer) Check(signed string, about *Subject, now time.Time) (id string, ok bool) {
	at := len(signed) - textLength - 1
	if at < 1 || at > MaxIDLength || signed[at] != separator || !isSignable(signed[:at]) {
		return "", false
	}
	id = signed[:at]
	var raw, want [rawLength]byte
	if !decode(raw[:], signed[at+1:]) || raw[0] != version || s.macs[raw[1]] == nil || !isCurrent(hourIn(raw[2:headLength]), now) {
		return "", false
	}
	s.sum(want[headLength:], raw[:headLength], id, about)
	if subtle.ConstantTimeCompare(want[headLength:], raw[headLength:]) != 1 {
		return "", false
	}
	return id, true
}

// sum writes the truncated HMAC to mac. head contains the number of the secret, which must exist.
func (s *Signer) sum(mac, head []byte, id string, about *Subject) {
	s.sumOf("docsgate signed ID\x00", mac, head, id, about)
}

// sumOf is sum with a domain, which separates the uses of a secret.
func (s *Signer) sumOf(domain string, mac, head []byte, id string, about *Subject) {
	pool := s.macs[head[1]]
	st := pool.Get().(*state)
	defer pool.Put(st)
	b := append(st.buf[:0], domain...)
	b = append(b, head...)
	b = append(b, about.Owner[:]...)
	b = append(b, about.Scope[:]...)
	b = append(binary.LittleEndian.AppendUint16(b, uint16(len(id))), id...)
	b = append(b, about.Kind...)
	st.hash.Reset()
	st.hash.Write(b)
	copy(mac, st.hash.Sum(st.buf[:0]))
}

// isSignable reports whether an ID can be signed.
func isSignable(id string) bool {
	if id == "" || len(id) > MaxIDLength {
		return false
	}
	for i := range len(id) {
		if !isBase64URL(id[i]) {
			return false
		}
	}
	return true
}

func isBase64URL(c byte) bool {
	return 'a' <= c && c <= 'z' || 'A' <= c && c <= 'Z' || '0' <= c && c <= '9' || c == '-' || c == '_'
}

// decode decodes a signature with the length of raw. Every signature has one spelling: no bits are left over, and encoding/base64 would
// skip only line ends, which are not in the alphabet.
func decode(raw []byte, text string) bool {
	if strings.IndexFunc(text, func(c rune) bool { return c > 0x7f || !isBase64URL(byte(c)) }) >= 0 {
		return false
	}
	var src [ownedTextLength]byte
	n, err := base64.RawURLEncoding.Decode(raw, src[:copy(src[:], text)])
	return err == nil && n == len(raw)
}

// isCurrent reports whether an ID that was signed in that hour is valid.
func isCurrent(hour int64, now time.Time) bool {
	return hour <= hourOf(now)+maxAhead && hour+int64(MaxAge/time.Hour) >= hourOf(now)
}

// hourOf returns the number of full hours since 1970.
func hourOf(t time.Time) int64 { return t.Unix() / 3600 }

func putHour(b []byte, hour int64) { b[0], b[1], b[2] = byte(hour>>16), byte(hour>>8), byte(hour) }

func hourIn(b []byte) int64 { return int64(b[0])<<16 | int64(b[1])<<8 | int64(b[2]) }
