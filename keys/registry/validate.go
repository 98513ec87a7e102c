package registry

import (
	"errors"
	"fmt"
	"regexp"
	"slices"
	"strings"
	"time"
	"unicode/utf8"

	"github.com/docsgate/docsgate/internal/displaytext"
	"github.com/docsgate/docsgate/keys"
)

const (
	maxNameRunes   = 200
	maxSourceBytes = 256
	maxSources     = 256
)

var (
	placeholderPattern = regexp.MustCompile(`^\{(env\.[A-Za-z_][A-Za-z0-9_]*|file\.[^{}\pC]+)\}$`)
	docsgptKeyPattern  = regexp.MustCompile(`^(?i)[0-9a-f]{8}-?([0-9a-f]{4}-?){3}[0-9a-f]{12}$`)
)

// FieldError is an error in one field of a CreateRequest, UpdateRequest or Import. Field is its name in the API: id, sha256, name,
// sources, agent, agent_key, not_before, expires, created, state, grace, prompt_id, chunks or retriever. Message is meant for users
// and contains no text that could be a secret.
type FieldError struct{ Field, Message string }

// Error implements error.
func (e *FieldError) Error() string { return e.Field + ": " + e.Message }

// validator validates fields and collects the errors.
type validator struct {
	rules Rules
	now   time.Time
	errs  []error
}

func (c *validator) errorf(field, format string, args ...any) {
	c.errs = append(c.errs, &FieldError{field, fmt.Sprintf(format, args...)})
}

// err returns the joined errors, or nil.
func (c *validator) err() error { return errors.Join(c.errs...) }

// name validates a name and returns it without surrounding white space.
func (c *validator) name(name string) string {
	name = strings.TrimSpace(name)
	switch n := utf8.RuneCountInString(name); {
	case !utf8.ValidString(name):
		c.errorf("name", "must be valid UTF-8")
	case name == "":
		c.errorf("name", "give the key a name, so that people know what it is for")
	case n > maxNameRunes:
		c.errorf("name", "must have at most %d characters, but has %d", maxNameRunes, n)
	case strings.ContainsFunc(name, displaytext.BreaksLine):
		c.errorf("name", "must be a single line without control characters")
	case isToken(name):
		c.errorf("name", "must not be a token, because names are shown in lists and in the audit trail")
	}
	return name
}

// isToken reports whether a text is a token of the gate, or a mistyped one.
func isToken(text string) bool { return keys.HasValidChecksum(text) || keys.HasBadChecksum(text) }

// displayText validates a text that is stored only to be displayed.
func (c *validator) displayText(field, text string) string {
	text = strings.TrimSpace(text)
	if !utf8.ValidString(text) || utf8.RuneCountInString(text) > maxNameRunes || strings.ContainsFunc(text, displaytext.BreaksLine) {
		c.errorf(field, "must be a single line of at most %d characters", maxNameRunes)
	}
	return text
}

// sources validates ids and returns them in canonical spelling without duplicates.
func (c *validator) sources(ids []string) []string {
	if len(ids) > maxSources {
		c.errorf("sources", "must not be more than %d, but there are %d", maxSources, len(ids))
		return nil
	}
	before := len(c.errs)
	all := make([]string, 0, len(ids))
	for i, id := range ids {
		id = strings.TrimSpace(id)
		canonical, err := c.rules.source(id)
		if isToken(id) { // it would be stored in plaintext, and the error of the rules may contain it
			err = errSourceIsToken
		}
		switch {
		case err != nil && len(ids) > 1:
			c.errorf("sources", "source %d: %v", i+1, err)
		case err != nil:
			c.errorf("sources", "%v", err)
		case !slices.Contains(all, canonical):
			all = append(all, canonical)
		}
	}
	if c.rules.CheckSources != nil && len(c.errs) == before {
		if err := c.rules.CheckSources(len(all)); err != nil {
			c.errorf("sources", "%v", err)
		}
	}
	return all
}

var errSourceIsToken = errors.New("this is a token of the gate: specify the id of a source")

var errInvalidSource = fmt.Errorf("the id of a source must have 1 to %d bytes and no control characters", maxSourceBytes)

// source validates the id of a source and returns its canonical spelling.
func (rules *Rules) source(id string) (string, error) {
	if id == "" || len(id) > maxSourceBytes || !utf8.ValidString(id) || strings.ContainsFunc(id, displaytext.BreaksLine) {
		return "", errInvalidSource
	}
	if rules.CheckSource == nil {
		return id, nil
	}
	canonical, err := rules.CheckSource(id)
	if err == nil && canonical == "" {
		err = errInvalidSource
	}
	return canonical, err
}

// oneBinding reports whether exactly one binding is specified.
func (c *validator) oneBinding(sources []string, agent, agentKey string) bool {
	var specified []string
	if len(sources) > 0 {
		specified = append(specified, "sources")
	}
	if agent != "" {
		specified = append(specified, "agent")
	}
	if agentKey != "" {
		specified = append(specified, "agent_key")
	}
	switch len(specified) {
	case 0:
		c.errorf("sources", "the binding is missing: specify either sources, agent or agent_key")
	case 1:
		return true
	default:
		for _, field := range specified[1:] {
			c.errorf(field, "%s is also specified: a key must have exactly one of sources, agent and agent_key", specified[0])
		}
	}
	return false
}

// agent validates a reference.
func (c *validator) agent(ref string) Agent {
	ref = strings.TrimSpace(ref)
	switch {
	case placeholderPattern.MatchString(ref):
		a := Agent{Placeholder: ref}
		if c.rules.Resolve != nil {
			if _, err := c.rules.resolve(a); err != nil {
				c.errorf("agent", "%v", err)
			}
		}
		return a
	case !keys.IsValidID(ref) || isToken(ref):
		c.errorf("agent", "must be {env.NAME}, {file.PATH} or the id of a key of another feed; "+
			"use agent_key for a DocsGPT key")
	case c.rules.AgentOf == nil && docsgptKeyPattern.MatchString(ref):
		// It cannot be checked whether this is an id, and a secret must not be stored in plaintext.
		c.errorf("agent", "this looks like a DocsGPT key: use agent_key for it")
	case c.rules.AgentOf != nil:
		if _, err := c.rules.resolve(Agent{Key: ref}); err != nil {
			c.errorf("agent", "%v; use agent_key for a DocsGPT key", err)
		}
		return Agent{Key: ref}
	default:
		return Agent{Key: ref}
	}
	return Agent{}
}

// agentKey validates the DocsGPT key of an agent.
func (c *validator) agentKey(key string, s *Encrypter) keys.Secret {
	key = strings.TrimSpace(key)
	switch {
	case s == nil:
		c.errorf("agent_key", "this gate cannot store DocsGPT keys: specify a reference in agent")
	case !keys.IsValidToken(key):
		c.errorf("agent_key", "must have 1 to 512 printable ASCII characters and no spaces")
	case isToken(key):
		c.errorf("agent_key", "this is a token of the gate: specify the key of DocsGPT")
	default:
		return keys.NewSecret(key)
	}
	return keys.Secret{}
}

// times validates the limits of the validity period.
func (c *validator) times(notBefore, expires time.Time) (from, until time.Time) {
	from, until = c.time("not_before", notBefore), c.time("expires", expires)
	if !from.IsZero() && !until.IsZero() && !until.After(from) {
		c.errorf("expires", "must be after not_before")
	}
	return from, until
}

func (c *validator) time(field string, t time.Time) time.Time {
	t = normalizeTime(t)
	if !t.IsZero() && (t.Unix() <= 0 || t.Year() > 9999) {
		c.errorf(field, "must be between the years 1970 and 9999")
	}
	return t
}
