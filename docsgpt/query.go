package docsgpt

import (
	"errors"
	"fmt"
	"net/url"
	"strings"
)

// Param is a query parameter that is forwarded.
type Param struct {
	Name     string
	Required bool
	Check    Validator // CheckOwned, CheckTask, CheckIndex or CheckNothing
}

// Errors of a query. Clients see their texts.
var (
	errQuery      = errors.New("the query is not valid")
	errQueryTwice = errors.New("a parameter is specified twice in the query")
)

// maxQuery is the largest length of a query, in bytes.
const maxQuery = 4 << 10

// Query is a parsed query string: the allowed parameters and the token. It is not safe for concurrent use.
type Query struct {
	Token    string // of api_key
	HasToken bool
	values   []string // by the endpoint's Params; empty: absent
}

// ParseQuery parses a query string for an endpoint. Parameters that the endpoint does not list are dropped without being
// checked. A listed parameter or a token that is specified twice, or that Go and DocsGPT read differently, is an error,
// whose text is for the client.
func ParseQuery(e *Endpoint, raw string) (Query, error) {
	q := Query{values: make([]string, len(e.Params))}
	if len(raw) > maxQuery {
		return q, errQuery
	}
	seen := make([]bool, len(e.Params))
	for raw != "" {
		var pair string
		pair, raw, _ = strings.Cut(raw, "&")
		name, value, err := parsePair(pair)
		if err != nil {
			return q, err
		}
		if name == "api_key" {
			if q.HasToken {
				return q, errQueryTwice
			}
			q.Token, q.HasToken = value, true
			continue
		}
		for i, p := range e.Params {
			if p.Name != name {
				continue
			}
			if seen[i] {
				return q, errQueryTwice
			}
			seen[i], q.values[i] = true, value
		}
	}
	for i, p := range e.Params {
		if p.Required && q.values[i] == "" {
			return q, fmt.Errorf("the parameter %q is missing", p.Name)
		}
		if p.Check == CheckIndex && q.values[i] != "" && (!isDigits(q.values[i]) || len(q.values[i]) > 9) {
			return q, fmt.Errorf("the parameter %q must be a non-negative integer", p.Name)
		}
	}
	return q, nil
}

// parsePair decodes one parameter. Input that Python reads differently is an error: a semicolon, an invalid escape, bytes
// that are not UTF-8.
func parsePair(pair string) (name, value string, err error) {
	name, value, _ = strings.Cut(pair, "=")
	if strings.Contains(pair, ";") {
		return "", "", errQuery
	}
	if name, err = url.QueryUnescape(name); err == nil {
		value, err = url.QueryUnescape(value)
	}
	if err != nil || strings.ToValidUTF8(name, "") != name || strings.ToValidUTF8(value, "") != value {
		return "", "", errQuery
	}
	return name, value, nil
}

// Value returns the value of the parameter with that validator, or "".
func (q *Query) Value(e *Endpoint, c Validator) string {
	for i, p := range e.Params {
		if p.Check == c {
			return q.values[i]
		}
	}
	return ""
}

// SetValue replaces the value of the parameter with that validator.
func (q *Query) SetValue(e *Endpoint, c Validator, value string) {
	for i, p := range e.Params {
		if p.Check == c {
			q.values[i] = value
		}
	}
}

// Rewrite returns the query to forward, with the agent's key if it is not empty.
func (q *Query) Rewrite(e *Endpoint, agent string) string {
	out := make(url.Values, len(e.Params)+1)
	for i, p := range e.Params {
		if q.values[i] != "" {
			out.Set(p.Name, q.values[i])
		}
	}
	if agent != "" {
		out.Set("api_key", agent)
	}
	return out.Encode()
}
