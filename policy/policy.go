package policy

import (
	"errors"
	"fmt"
	"net/netip"
	"slices"
	"strings"
)

// Kind is where a key may be stored.
type Kind uint8

// The kinds of keys.
const (
	AnyKind     Kind = iota // not specified: the key works from pages and from servers
	Publishable             // the key is visible in web pages, so it is restricted to origins
	Secret                  // the key is only on servers; a browser must not present it
)

// String returns the name of the kind, or "" for AnyKind.
func (k Kind) String() string {
	switch k {
	case Publishable:
		return "publishable"
	case Secret:
		return "secret"
	case AnyKind:
	}
	return ""
}

// ParseKind is the inverse of String.
func ParseKind(text string) (Kind, error) {
	for _, k := range []Kind{AnyKind, Publishable, Secret} {
		if text == k.String() {
			return k, nil
		}
	}
	return AnyKind, errors.New(`kind must be "publishable" or "secret"`)
}

// MarshalText implements encoding.TextMarshaler.
func (k Kind) MarshalText() ([]byte, error) { return []byte(k.String()), nil }

// UnmarshalText implements encoding.TextUnmarshaler.
func (k *Kind) UnmarshalText(text []byte) (err error) {
	*k, err = ParseKind(string(text))
	return err
}

// Limits of the lists of a policy.
const (
	MaxOrigins = 100
	MaxIPs     = 100
)

// Endpoints are the endpoint groups that a policy may name. They are those of package docsgpt that take a key.
var Endpoints = []string{"widget", "openai", "mcp", "attachments", "artifacts", "speech"}

// Policy restricts the use of one key. The zero value restricts nothing beyond the limits of the site. A stored policy is shared
// between goroutines and never changes.
type Policy struct {
	Kind      Kind     `json:"kind,omitzero"`
	Origins   []Origin `json:"origins,omitempty"`   // web origins that may use the key; none: any
	IPs       []Prefix `json:"ips,omitempty"`       // addresses of clients that may use the key; none: any
	Endpoints []string `json:"endpoints,omitempty"` // endpoint groups that the key works at; none: all of the site
	Visitors  Visitors `json:"visitors,omitzero"`   // whether signed tokens of visitors are valid
	Limits    Limits   `json:"limits,omitzero"`

	LimitMessage LimitMessage `json:"limit_message,omitempty"` // sentence in the errors of limits
}

// FieldError is an error in one field of a policy. Field is its name in JSON: kind, origins, ips, endpoints, limits or limit_message.
// Message is for users.
type FieldError struct{ Field, Message string }

// Error implements error.
func (e *FieldError) Error() string { return e.Message }

// Validate returns a *FieldError unless the policy is consistent and within bounds. The error does not repeat values, which may be
// pasted tokens.
func (p *Policy) Validate() error {
	switch {
	case p.Kind == Publishable && len(p.Origins) == 0:
		return &FieldError{
			"origins",
			`a publishable key needs origins: list the origins of its pages, such as https://docs.example.com, or "*" for any`,
		}
	case p.Kind == Secret && len(p.Origins) > 0:
		return &FieldError{"origins", "a secret key cannot have origins: browsers must not present it"}
	case len(p.Origins) > MaxOrigins:
		return &FieldError{"origins", fmt.Sprintf("origins must have at most %d entries", MaxOrigins)}
	case len(p.IPs) > MaxIPs:
		return &FieldError{"ips", fmt.Sprintf("ips must have at most %d entries", MaxIPs)}
	}
	for i, name := range p.Endpoints {
		if !slices.Contains(Endpoints, name) {
			return &FieldError{"endpoints", "endpoints must be of " + strings.Join(Endpoints, ", ")} // the name could be a secret
		}
		if slices.Contains(p.Endpoints[:i], name) {
			return &FieldError{"endpoints", "the endpoint group " + name + " is listed twice"}
		}
	}
	if err := p.Limits.Validate(); err != nil {
		return &FieldError{"limits", err.Error()}
	}
	if err := p.LimitMessage.Validate(); err != nil {
		return &FieldError{"limit_message", err.Error()}
	}
	return nil
}

// IsZero reports whether the policy is the zero value.
func (p *Policy) IsZero() bool {
	return p.Kind == AnyKind && len(p.Origins) == 0 && len(p.IPs) == 0 && len(p.Endpoints) == 0 && p.Visitors == VisitorsOff &&
		p.Limits == Limits{} && p.LimitMessage == ""
}

// Equal reports whether two policies are equal; nil equals only nil.
func (p *Policy) Equal(o *Policy) bool {
	if p == nil || o == nil {
		return p == o
	}
	return p.Kind == o.Kind && slices.Equal(p.Origins, o.Origins) && slices.Equal(p.IPs, o.IPs) &&
		slices.Equal(p.Endpoints, o.Endpoints) && p.Visitors == o.Visitors && p.Limits == o.Limits &&
		p.LimitMessage == o.LimitMessage
}

// Reason is why a policy rejects a request.
type Reason string

// The reasons. Allowed is the zero value.
const (
	Allowed            Reason = ""
	OriginNotAllowed   Reason = "origin_not_allowed"
	IPNotAllowed       Reason = "ip_not_allowed"
	EndpointNotAllowed Reason = "endpoint_not_allowed"
	SecretKeyInBrowser Reason = "secret_key_in_browser"
)

// Request is what a policy decides on.
type Request struct {
	// Origin is the value of the header Origin; "": the client has sent none.
	Origin string
	// Browser says that a browser has sent the request: it has the header Origin or Sec-Fetch-Site.
	Browser bool
	// Address is the client's address. The zero value is not in any prefix.
	Address netip.Addr
	// Endpoint is the endpoint group.
	Endpoint string
	// Signed says that the client has a signed token of a visitor, and not the token of the key.
	Signed bool
}

// Check decides on a request. It does not allocate memory.
func (p *Policy) Check(r *Request) Reason {
	switch {
	case p.Kind == Secret && r.Browser && !r.Signed:
		return SecretKeyInBrowser
	case len(p.Origins) > 0 && !AllowsOrigin(p.Origins, r.Origin):
		return OriginNotAllowed
	case len(p.IPs) > 0 && !containsAddress(p.IPs, r.Address):
		return IPNotAllowed
	case len(p.Endpoints) > 0 && !slices.Contains(p.Endpoints, r.Endpoint):
		return EndpointNotAllowed
	}
	return Allowed
}
