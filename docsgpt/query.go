package docsgpt

import (
	"errors"
	"fmt"
	"net/url"
	"strings"
)

// Param is a parameter of a query that the gate lets through.
type Param struct {
	Name     string
	Required bool
	Check    Validator // CheckOwned: a conversation of the key's own; CheckTask: a task that was given to a key; CheckIndex
}

// Errors of a query. Their texts go to the client.
var (
	errQuery      = errors.New("the query is not valid")
	errQueryTwice = errors.New("a parameter stands twice in the query")
)

// maxQuery is how long a query may be, in bytes.
const maxQuery = 4 << 10

// Query is a parsed query string: the allowed parameters and the token. It is for one goroutine.
type Query struct {
	Token    string // of api_key
	HasToken bool
	values   []string // by the endpoint's Params; empty: absent
}

// ParseQuery reads a query for an endpoint. Parameters that the endpoint does not know are dropped, whatever they are;
// a known one, or a token, that stands twice or that Go and DocsGPT read differently is an error. Its text is meant for
// the client.
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
			return q, fmt.Errorf("the parameter %q must be a whole number from 0 on", p.Name)
		}
	}
	return q, nil
}

// parsePair decodes one parameter. What Python reads in another way (a semicolon, a broken escape, bytes that are no
// UTF-8) is an error.
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

// Value returns the parameter with that check, or an empty text.
func (q *Query) Value(e *Endpoint, c Validator) string {
	for i, p := range e.Params {
		if p.Check == c {
			return q.values[i]
		}
	}
	return ""
}

// Rewrite returns the query to forward, with the agent's key where the endpoint wants it there; empty: none.
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
