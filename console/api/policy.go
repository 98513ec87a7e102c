package api

import (
	"errors"
	"fmt"
	"maps"
	"slices"
	"strconv"

	"github.com/go-json-experiment/json"
	"github.com/go-json-experiment/json/jsontext"

	"github.com/docsgate/docsgate/keys/registry"
	"github.com/docsgate/docsgate/policy"
)

// Policy has the fields of a key's policy in a response. Absent fields restrict nothing.
type Policy struct {
	Kind      policy.Kind     `json:"kind,omitzero"`
	Origins   []policy.Origin `json:"origins,omitempty"`
	IPs       []policy.Prefix `json:"ips,omitempty"`
	Endpoints []string        `json:"endpoints,omitempty"`
	Visitors  policy.Visitors `json:"visitors,omitzero"`
	Limits    policy.Limits   `json:"limits,omitzero"`

	LimitMessage policy.LimitMessage `json:"limit_message,omitempty"`
}

// responsePolicy returns the fields of a policy, which may be nil.
func responsePolicy(p *policy.Policy) Policy {
	if p == nil {
		return Policy{}
	}
	return Policy(*p)
}

// PolicyRequest has, for clients of the API, the fields of a key's policy in a request. The values are texts as in a key file.
type PolicyRequest struct {
	Kind      string            `json:"kind,omitempty"`
	Origins   []string          `json:"origins,omitempty"`
	IPs       []string          `json:"ips,omitempty"`
	Endpoints []string          `json:"endpoints,omitempty"`
	Visitors  string            `json:"visitors,omitempty"`
	Limits    map[string]string `json:"limits,omitempty"`

	LimitMessage string `json:"limit_message,omitempty"`
}

// PolicyRequestOf returns the fields of a policy, which may be nil.
func PolicyRequestOf(p *policy.Policy) (r PolicyRequest) {
	if p == nil {
		return r
	}
	r.Kind, r.Endpoints, r.LimitMessage = p.Kind.String(), p.Endpoints, string(p.LimitMessage)
	if p.Visitors != policy.VisitorsOff {
		r.Visitors = p.Visitors.String()
	}
	for _, origin := range p.Origins {
		r.Origins = append(r.Origins, origin.String())
	}
	for _, ip := range p.IPs {
		r.IPs = append(r.IPs, ip.String())
	}
	for _, name := range policy.LimitNames() {
		if limit, _ := p.Limits.Get(name); !limit.IsZero() {
			if r.Limits == nil {
				r.Limits = make(map[string]string)
			}
			r.Limits[name] = limit.String()
		}
	}
	return r
}

// policyFields are the fields of a policy in a body. null removes a field, and null in limits removes one limit, so that the
// default applies.
type policyFields struct {
	Kind      optional[string]        `json:"kind"`
	Origins   optional[[]string]      `json:"origins"`
	IPs       optional[[]string]      `json:"ips"`
	Endpoints optional[[]string]      `json:"endpoints"`
	Visitors  optional[string]        `json:"visitors"`
	Limits    optional[limitsRequest] `json:"limits"`

	LimitMessage optional[string] `json:"limit_message"`
}

// limitsRequest maps names of limits to their new values.
type limitsRequest map[string]limitValue

// maxLimits bounds the number of errors about unknown limits.
const maxLimits = 20

// change returns the fields as a change, and the errors about their values. No error repeats a value, which could be a secret in the
// wrong field.
func (f *policyFields) change() (c registry.PolicyChange, faults []fieldError) {
	if f.Kind.set {
		kind, err := policy.ParseKind(f.Kind.to)
		if err != nil || f.Kind.to == "" && !f.Kind.null {
			faults = append(faults, fieldError{"kind", "/kind", `must be "publishable" or "secret"`})
		}
		c.Kind = &kind
	}
	c.Origins = parseList(&f.Origins, "origins", policy.MaxOrigins, policy.ParseOrigin, &faults)
	c.IPs = parseList(&f.IPs, "ips", policy.MaxIPs, policy.ParsePrefix, &faults)
	c.Endpoints = parseList(&f.Endpoints, "endpoints", len(policy.Endpoints), func(name string) (string, error) { return name, nil }, &faults)
	if f.LimitMessage.set {
		message, err := policy.ParseLimitMessage(f.LimitMessage.to)
		if err == nil && message == "" && !f.LimitMessage.null {
			err = errors.New("is empty: use null to remove the field")
		}
		if err != nil {
			faults = append(faults, fieldError{"limit_message", "/limit_message", err.Error()})
		}
		c.LimitMessage = &message
	}
	if f.Visitors.set {
		visitors, err := policy.ParseVisitors(f.Visitors.to)
		if err != nil && !f.Visitors.null {
			faults = append(faults, fieldError{"visitors", "/visitors", `must be "off", "optional" or "required"`})
		}
		c.Visitors = &visitors
	}
	if f.Limits.null {
		c.Default = policy.LimitNames()
	}
	if len(f.Limits.to) > maxLimits {
		return c, append(faults, fieldError{"limits", "/limits", fmt.Sprintf("must have at most %d fields", maxLimits)})
	}
	for _, name := range slices.Sorted(maps.Keys(f.Limits.to)) {
		value := f.Limits.to[name]
		if value.null {
			c.Default = append(c.Default, name)
		}
		err := error(nil)
		if _, known := c.Limits.Get(name); !known {
			err = errors.New("is not a known field")
		} else if !value.null {
			err = c.Limits.Set(name, value.text)
		}
		if err != nil {
			pointer := jsontext.Pointer("/limits").AppendToken(name)
			faults = append(faults, fieldError{fieldOf(pointer), string(pointer), err.Error()})
		}
	}
	return c, faults
}

// policy returns the fields as the policy of a new key, nil if there are none. The registry validates it.
func (f *policyFields) policy() (*policy.Policy, []fieldError) {
	change, faults := f.change()
	return change.Apply(nil), faults
}

// parseList parses a list. It returns nil if the field is absent, and an empty list for null.
func parseList[T any](
	f *optional[[]string], field string, most int, parse func(string) (T, error), faults *[]fieldError,
) *[]T {
	switch {
	case !f.set:
		return nil
	case f.null:
		return new([]T)
	case len(f.to) == 0:
		*faults = append(*faults, fieldError{field, "/" + field, "is empty: list at least one, or use null to remove the field"})
		return nil
	case len(f.to) > most:
		*faults = append(*faults, fieldError{field, "/" + field, fmt.Sprintf("must have at most %d entries", most)})
		return nil
	}
	list := make([]T, 0, len(f.to))
	for i, text := range f.to {
		value, err := parse(text)
		if err != nil {
			pointer := jsontext.Pointer("/" + field).AppendToken(strconv.Itoa(i))
			*faults = append(*faults, fieldError{fieldOf(pointer), string(pointer), err.Error()})
			return nil // one error is enough: an import may have many lists
		}
		list = append(list, value)
	}
	return &list
}

// optional is a value for which null has a meaning.
type optional[T any] struct {
	set, null bool
	to        T
}

func (*optional[T]) nullable() {}

// UnmarshalJSONFrom implements json.UnmarshalerFrom.
func (o *optional[T]) UnmarshalJSONFrom(dec *jsontext.Decoder) error {
	o.set = true
	if dec.PeekKind() == 'n' {
		o.null = true
		return dec.SkipValue()
	}
	return json.UnmarshalDecode(dec, &o.to)
}

// limitValue is the value of a limit as Limits.Set parses it: a number, a rate or "off", for which false is another spelling.
type limitValue struct {
	null bool
	text string
}

func (*limitValue) nullable() {}

// UnmarshalJSONFrom implements json.UnmarshalerFrom.
func (l *limitValue) UnmarshalJSONFrom(dec *jsontext.Decoder) error {
	switch dec.PeekKind() {
	case 'n':
		l.null = true
	case '"':
		token, err := dec.ReadToken()
		if err != nil {
			return err
		}
		l.text = token.String()
		return nil
	case 'f':
		l.text = policy.Off().String()
	case '0':
		token, err := dec.ReadToken()
		if err != nil {
			return err
		}
		number, err := token.Float()
		l.text = strconv.FormatFloat(number, 'f', -1, 64) // 50.0 is an integer in JSON Schema
		return err
	default:
		if err := dec.SkipValue(); err != nil {
			return err
		}
		return &valueError{`must be a number, a rate such as "600/1m", or "off"`}
	}
	return dec.SkipValue()
}
