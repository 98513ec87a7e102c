package recordcodec

import (
	"fmt"

	"google.golang.org/protobuf/encoding/protowire"

	"github.com/docsgate/docsgate/internal/wire"
	"github.com/docsgate/docsgate/policy"
)

// Fields of a policy, all of them text. A limit is {1: name, 2: value}, with a value such as "600/1m", "50" or "off".
const (
	policyKind         = 1
	policyOrigin       = 2
	policyIP           = 3
	policyEndpoint     = 4
	policyLimit        = 5
	policyVisitors     = 6
	policyLimitMessage = 7

	limitName  = 1
	limitValue = 2
)

// appendPolicy appends a policy. Nil is omitted.
func appendPolicy(b []byte, n protowire.Number, p *policy.Policy) []byte {
	if p == nil {
		return b
	}
	body := wire.AppendText(nil, policyKind, p.Kind.String())
	for _, o := range p.Origins {
		body = wire.AppendText(body, policyOrigin, o.String())
	}
	for _, ip := range p.IPs {
		body = wire.AppendText(body, policyIP, ip.String())
	}
	for _, endpoint := range p.Endpoints {
		body = wire.AppendText(body, policyEndpoint, endpoint)
	}
	for _, name := range policy.LimitNames() {
		if limit, _ := p.Limits.Get(name); !limit.IsZero() {
			body = wire.AppendText(body, policyLimit, string(wire.AppendText(wire.AppendText(nil, limitName, name), limitValue, limit.String())))
		}
	}
	if p.Visitors != policy.VisitorsOff {
		body = wire.AppendText(body, policyVisitors, p.Visitors.String())
	}
	body = wire.AppendText(body, policyLimitMessage, string(p.LimitMessage))
	return protowire.AppendBytes(protowire.AppendTag(b, n, protowire.BytesType), body)
}

// decodePolicy decodes a policy. An unknown field or value is an error, also if a newer version has written it: a key must not be
// valid with fewer restrictions than it was given.
func decodePolicy(body []byte) (*policy.Policy, error) {
	p := new(policy.Policy)
	err := wire.Fields(body, func(f wire.Field) (err error) {
		text := string(f.Bytes)
		if text == "" { // never written: of another type, too
			return wire.ErrEncoding
		}
		switch f.Number {
		case policyKind:
			p.Kind, err = policy.ParseKind(text)
		case policyOrigin:
			p.Origins, err = appendParsed(p.Origins, text, policy.ParseOrigin)
		case policyIP:
			p.IPs, err = appendParsed(p.IPs, text, policy.ParsePrefix)
		case policyEndpoint:
			p.Endpoints = append(p.Endpoints, text)
		case policyLimit:
			err = decodeLimit(&p.Limits, f.Bytes)
		case policyVisitors:
			p.Visitors, err = policy.ParseVisitors(text)
		case policyLimitMessage:
			p.LimitMessage, err = policy.ParseLimitMessage(text)
		default:
			err = wire.ErrEncoding
		}
		return err
	})
	if err == nil {
		err = p.Validate()
	}
	if err != nil {
		return nil, fmt.Errorf("%w: the policy is damaged or of another version: %w", wire.ErrEncoding, err)
	}
	return p, nil
}

func decodeLimit(limits *policy.Limits, body []byte) error {
	var name, value string
	err := wire.Fields(body, func(f wire.Field) error {
		switch f.Number {
		case limitName:
			name = string(f.Bytes)
		case limitValue:
			value = string(f.Bytes)
		default:
			return wire.ErrEncoding
		}
		return nil
	})
	if err != nil {
		return err
	}
	return limits.Set(name, value)
}

func appendParsed[T any](list []T, text string, parse func(string) (T, error)) ([]T, error) {
	value, err := parse(text)
	return append(list, value), err
}
