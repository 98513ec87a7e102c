package signedid

import (
	"crypto/subtle"
	"encoding/base64"
	"time"
)

// Lengths of a signature with an owner, in bytes.
const (
	ownedTextLength = 48
	ownedRawLength  = 36
	ownedHeadLength = headLength + len(Subject{}.Owner)

	// MaxOwnedLength is the length of the longest ID that is signed by SignWithOwner.
	MaxOwnedLength = MaxIDLength + 1 + ownedTextLength
)

const ownedVersion = 2

// AppendWithOwner is like Append, but the signed ID also contains the owner, encrypted, which CheckWithOwner returns. It is for IDs that
// clients use without saying who they are. The signature has 48 characters.
func (s *Signer) AppendWithOwner(dst []byte, id string, about *Subject, now time.Time) (out []byte, ok bool) {
	if !isSignable(id) {
		return dst, false
	}
	var raw [ownedRawLength]byte
	raw[0], raw[1] = ownedVersion, s.current
	putHour(raw[2:headLength], hourOf(now))
	s.mask(raw[headLength:ownedHeadLength], raw[:headLength], id, about)
	subtle.XORBytes(raw[headLength:ownedHeadLength], raw[headLength:ownedHeadLength], about.Owner[:])
	s.sum(raw[ownedHeadLength:], raw[:ownedHeadLength], id, about)
	return base64.RawURLEncoding.AppendEncode(append(append(dst, id...), separator), raw[:]), true
}

// CheckWithOwner is like Check, for an ID of AppendWithOwner. It returns the owner, and does not use that of about.
func (s *Signer) CheckWithOwner(signed string, about *Subject, now time.Time) (id string, owner [16]byte, ok bool) {
	at := len(signed) - ownedTextLength - 1
	if at < 1 || at > MaxIDLength || signed[at] != separator || !isSignable(signed[:at]) {
		return "", owner, false
	}
	id = signed[:at]
	var raw, want [ownedRawLength]byte
	if !decode(raw[:], signed[at+1:]) || raw[0] != ownedVersion || s.macs[raw[1]] == nil || !isCurrent(hourIn(raw[2:headLength]), now) {
		return "", owner, false
	}
	s.mask(owner[:], raw[:headLength], id, about)
	subtle.XORBytes(owner[:], owner[:], raw[headLength:ownedHeadLength])
	s.sum(want[ownedHeadLength:], raw[:ownedHeadLength], id, &Subject{Kind: about.Kind, Owner: owner, Scope: about.Scope})
	if subtle.ConstantTimeCompare(want[ownedHeadLength:], raw[ownedHeadLength:]) != 1 {
		return "", [16]byte{}, false
	}
	return id, owner, true
}

// mask writes the key stream that encrypts an owner. It is used for one ID, and thus for one owner.
func (s *Signer) mask(out, head []byte, id string, about *Subject) {
	s.sumOf("docsgate owner of an ID\x00", out, head, id, &Subject{Kind: about.Kind, Scope: about.Scope})
}
