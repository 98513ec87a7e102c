package registry

import (
	"errors"
	"fmt"
	"regexp"
	"slices"
	"strings"
	"time"
	"unicode"
	"unicode/utf8"

	"github.com/docsgate/docsgate/keys"
)

const (
	maxNameRunes   = 200
	maxSourceBytes = 256
	maxSources     = 256
)

var (
	idPattern          = regexp.MustCompile(`^[A-Za-z0-9][A-Za-z0-9._-]{0,127}$`)
	placeholderPattern = regexp.MustCompile(`^\{(env\.[A-Za-z_][A-Za-z0-9_]*|file\.[^{}\pC]+)\}$`)
	docsgptKeyPattern  = regexp.MustCompile(`^(?i)[0-9a-f]{8}-?([0-9a-f]{4}-?){3}[0-9a-f]{12}$`)
)

// FieldError says what is wrong with one field of a draft, edit or import, in words for people. Field is its name in the
// API: id, sha256, name, sources, agent, agent_key, not_before, expires, created, state, grace, prompt_id, chunks, retriever. The
// message repeats no text that could be a secret.
type FieldError struct{ Field, Message string }

// Error implements error.
func (e *FieldError) Error() string { return e.Field + ": " + e.Message }

// validator looks at fields and gathers all that is wrong.
type validator struct {
	rules  Policy
	now    time.Time
	faults []error
}

func (c *validator) fault(field, format string, args ...any) {
	c.faults = append(c.faults, &FieldError{field, fmt.Sprintf(format, args...)})
}

// err joins what was found; nil if that is nothing.
func (c *validator) err() error { return errors.Join(c.faults...) }

// name returns a name without blanks around it.
func (c *validator) name(name string) string {
	name = strings.TrimSpace(name)
	switch n := utf8.RuneCountInString(name); {
	case !utf8.ValidString(name):
		c.fault("name", "this is not UTF-8 text")
	case name == "":
		c.fault("name", "give the key a name, so that people know what it is for")
	case n > maxNameRunes:
		c.fault("name", "at most %d characters, these are %d", maxNameRunes, n)
	case strings.ContainsFunc(name, isLineBreak):
		c.fault("name", "one line without control characters")
	case isToken(name):
		c.fault("name", "this is a token, and names stand in lists and in the audit trail")
	}
	return name
}

// isToken tells whether a text is one of the gate's own tokens, or one with a mistake in it.
func isToken(text string) bool { return keys.HasValidChecksum(text) || keys.HasBadChecksum(text) }

func isLineBreak(r rune) bool { return unicode.IsControl(r) || r == '\u2028' || r == '\u2029' }

// note looks at a text that is kept only to be shown.
func (c *validator) note(field, text string) string {
	text = strings.TrimSpace(text)
	if !utf8.ValidString(text) || utf8.RuneCountInString(text) > maxNameRunes || strings.ContainsFunc(text, isLineBreak) {
		c.fault(field, "at most %d characters on one line", maxNameRunes)
	}
	return text
}

// sources returns ids in their canonical spelling, each once.
func (c *validator) sources(ids []string) []string {
	if len(ids) > maxSources {
		c.fault("sources", "at most %d, these are %d", maxSources, len(ids))
		return nil
	}
	before := len(c.faults)
	all := make([]string, 0, len(ids))
	for i, id := range ids {
		id = strings.TrimSpace(id)
		canonical, err := c.rules.source(id)
		if isToken(id) { // it would be stored in clear, and the rules' error may repeat it
			err = errTokenSource
		}
		switch {
		case err != nil && len(ids) > 1:
			c.fault("sources", "number %d: %v", i+1, err)
		case err != nil:
			c.fault("sources", "%v", err)
		case !slices.Contains(all, canonical):
			all = append(all, canonical)
		}
	}
	if c.rules.CheckSources != nil && len(c.faults) == before {
		if err := c.rules.CheckSources(len(all)); err != nil {
			c.fault("sources", "%v", err)
		}
	}
	return all
}

var errTokenSource = errors.New("this is a key of the gate: give the id of a source")

var errBadSource = fmt.Errorf("the id of a source has 1 to %d bytes and no control characters", maxSourceBytes)

// source returns the canonical spelling of an id.
func (rules *Policy) source(id string) (string, error) {
	if id == "" || len(id) > maxSourceBytes || !utf8.ValidString(id) || strings.ContainsFunc(id, isLineBreak) {
		return "", errBadSource
	}
	if rules.CheckSource == nil {
		return id, nil
	}
	canonical, err := rules.CheckSource(id)
	if err == nil && canonical == "" {
		err = errBadSource
	}
	return canonical, err
}

// oneBinding looks whether exactly one binding is given.
func (c *validator) oneBinding(sources []string, agent, agentKey string) bool {
	var given []string
	if len(sources) > 0 {
		given = append(given, "sources")
	}
	if agent != "" {
		given = append(given, "agent")
	}
	if agentKey != "" {
		given = append(given, "agent_key")
	}
	switch len(given) {
	case 0:
		c.fault("sources", "bind the key: give either sources, agent or agent_key")
	case 1:
		return true
	default:
		for _, field := range given[1:] {
			c.fault(field, "%s is given, too: a key is bound to either sources, agent or agent_key", given[0])
		}
	}
	return false
}

// agent reads a reference.
func (c *validator) agent(ref string) Agent {
	ref = strings.TrimSpace(ref)
	switch {
	case placeholderPattern.MatchString(ref):
		a := Agent{Placeholder: ref}
		if c.rules.Resolve != nil {
			if _, err := c.rules.resolve(a); err != nil {
				c.fault("agent", "%v", err)
			}
		}
		return a
	case !idPattern.MatchString(ref) || isToken(ref):
		c.fault("agent", "a reference is {env.NAME}, {file.PATH} or the id of a key of another feed; "+
			"a DocsGPT key itself belongs into agent_key")
	case c.rules.AgentOf == nil && docsgptKeyPattern.MatchString(ref):
		// Nobody can tell here whether it is an id. A secret must not get into the storage in clear.
		c.fault("agent", "this looks like a DocsGPT key: that belongs into agent_key")
	case c.rules.AgentOf != nil:
		if _, err := c.rules.resolve(Agent{Key: ref}); err != nil {
			c.fault("agent", "%v; a DocsGPT key itself belongs into agent_key", err)
		}
		return Agent{Key: ref}
	default:
		return Agent{Key: ref}
	}
	return Agent{}
}

// agentKey looks at the key of an agent itself.
func (c *validator) agentKey(key string, s *Sealer) keys.Secret {
	key = strings.TrimSpace(key)
	switch {
	case s == nil:
		c.fault("agent_key", "this gate cannot keep a DocsGPT key: give a reference in agent")
	case !keys.IsValidToken(key):
		c.fault("agent_key", "a DocsGPT key has 1 to 512 printable ASCII characters and no blanks")
	case isToken(key):
		c.fault("agent_key", "this is a key of the gate: give the one of DocsGPT")
	default:
		return keys.NewSecret(key)
	}
	return keys.Secret{}
}

// times looks at the bounds in time.
func (c *validator) times(notBefore, expires time.Time) (from, until time.Time) {
	from, until = c.time("not_before", notBefore), c.time("expires", expires)
	if !from.IsZero() && !until.IsZero() && !until.After(from) {
		c.fault("expires", "must be after not_before")
	}
	return from, until
}

func (c *validator) time(field string, t time.Time) time.Time {
	t = stored(t)
	if !t.IsZero() && (t.Unix() <= 0 || t.Year() > 9999) {
		c.fault(field, "a time between 1970 and 9999")
	}
	return t
}
