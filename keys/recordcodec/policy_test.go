package recordcodec

import (
	"errors"
	"testing"

	"google.golang.org/protobuf/encoding/protowire"

	"github.com/docsgate/docsgate/internal/wire"
	"github.com/docsgate/docsgate/policy"
)

// A record of a version without policies has none.
func TestRecordWithoutPolicy(t *testing.T) {
	body := AppendRecord(nil, record(1))
	if err := wire.Fields(body, func(f wire.Field) error {
		if f.Number == recPolicy || f.Number == recTokenKind {
			t.Errorf("field %d is stored", f.Number)
		}
		return nil
	}); err != nil {
		t.Fatal(err)
	}
	r, unknown, err := new(Decoder).Record([]byte("key_1"), body)
	if err != nil || len(unknown) > 0 || r.Policy != nil || r.TokenKind != policy.AnyKind {
		t.Errorf("policy %+v, kind %v, unknown %x, error %v", r.Policy, r.TokenKind, unknown, err)
	}
}

// A policy that cannot be read completely must not become one with fewer restrictions.
func TestDamagedPolicyRejected(t *testing.T) {
	text := func(n protowire.Number, s string) []byte { return wire.AppendText(nil, n, s) }
	limit := func(name, value string) []byte {
		return text(policyLimit, string(append(text(limitName, name), text(limitValue, value)...)))
	}
	for name, body := range map[string][]byte{
		"unknown kind":                 text(policyKind, "internal"),
		"kind of another type":         wire.AppendNumber(nil, policyKind, 1),
		"publishable without origins":  text(policyKind, "publishable"),
		"invalid origin":               text(policyOrigin, "docs.example.com"),
		"origin of another type":       wire.AppendNumber(nil, policyOrigin, 7),
		"invalid address":              text(policyIP, "192.0.2.0/33"),
		"unknown endpoint":             text(policyEndpoint, "admin"),
		"unknown kind of visitors":     text(policyVisitors, "some"),
		"message with a placeholder":   text(policyLimitMessage, "in {seconds}"),
		"message of another type":      wire.AppendNumber(nil, policyLimitMessage, 7),
		"unknown limit":                limit("requests_per_year", "5"),
		"invalid value of a limit":     limit("streams", "many"),
		"limit without a value":        limit("streams", ""),
		"limit without a name":         text(policyLimit, "\x12\x015"),
		"unknown field of a limit":     text(policyLimit, string(append(limit("streams", "5")[2:], text(3, "x")...))),
		"field of a newer version":     text(99, "required"),
		"truncated":                    text(policyOrigin, "https://docs.example.com")[:9],
		"valid field before a bad one": append(text(policyOrigin, "*"), text(99, "x")...),
	} {
		t.Run(name, func(t *testing.T) {
			if p, err := decodePolicy(body); !errors.Is(err, wire.ErrEncoding) {
				t.Errorf("decoded as %+v, error %v", p, err)
			}
			stored := protowire.AppendBytes(protowire.AppendTag(AppendRecord(nil, record(1)), recPolicy, protowire.BytesType), body)
			if r, _, err := new(Decoder).Record([]byte("key_1"), stored); err == nil {
				t.Errorf("the record is decoded with %+v", r.Policy)
			}
		})
	}
}

// Records with equal policies, such as those of an import, share one in memory.
func TestDecodedPoliciesShared(t *testing.T) {
	limited := func(n int, streams string) []byte {
		r := record(n)
		r.Policy = new(policy.Policy)
		if err := r.Policy.Limits.Set("streams", streams); err != nil {
			t.Fatal(err)
		}
		return AppendRecord(nil, r)
	}
	var d Decoder
	var got []*policy.Policy
	for n, streams := range []string{"5", "5", "6", "6"} {
		r, _, err := d.Record([]byte("key_1"), limited(n, streams))
		if err != nil {
			t.Fatal(err)
		}
		got = append(got, r.Policy)
	}
	if got[0] != got[1] || got[1].Equal(got[2]) || got[2] != got[3] {
		t.Errorf("policies %v", got)
	}
}
