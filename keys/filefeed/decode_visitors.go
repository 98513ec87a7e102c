package filefeed

import (
	"crypto/ed25519"
	"strconv"
	"strings"

	"github.com/docsgate/docsgate/keys"
	"github.com/docsgate/docsgate/policy"
	"github.com/docsgate/docsgate/visitortoken"
)

// maxSignKeys is the number of secrets, and of public keys, of one key. Two are needed while one replaces the other.
const maxSignKeys = 4

const clearSecret = `a secret for signing must not be in plaintext: put it into an environment variable and write "{env.NAME}", ` +
	`or into a file and write "{file.PATH}"`

// visitors decodes the field visitors.
func (c *decoder) visitors(n *node) policy.Visitors {
	if n == nil {
		return policy.VisitorsOff
	}
	text, ok := n.text, true
	if n.kind == scalarNode && text == "false" {
		text = "off" // YAML 1.1 reads off as false
	} else {
		text, ok = c.text(n, "visitors")
	}
	v, err := policy.ParseVisitors(text)
	if ok && err != nil {
		c.errorf(n.position, "%s", err)
	}
	return v
}

// visitorTokens decodes the fields that verify the signed tokens of visitors. It returns nil if there are none.
func (c *decoder) visitorTokens(m fieldValues, k *keys.Key) *visitortoken.Settings {
	if !c.asWritten && m.get("sign_secret") == nil && m.get("sign_public_key") == nil && m.get("generation") == nil && m.get("visitors") == nil {
		return nil
	}
	var s visitortoken.Settings
	for _, item := range c.signKeys(m.get("sign_secret"), "sign_secret") {
		if secret, ok := c.signSecret(item, k); ok {
			s.Secrets = append(s.Secrets, secret)
		}
	}
	for _, item := range c.signKeys(m.get("sign_public_key"), "sign_public_key") {
		if key, ok := c.signPublicKey(item); ok {
			s.PublicKeys = append(s.PublicKeys, key)
		}
	}
	if n := m.get("generation"); n != nil {
		s.Generation = c.generation(n)
	}
	at, signs := m.get("sign_secret"), true
	switch {
	case at != nil:
	case m.get("sign_public_key") != nil:
		at = m.get("sign_public_key")
	default:
		at, signs = m.get("visitors"), false
	}
	accepts := k.Policy != nil && k.Policy.Visitors != policy.VisitorsOff
	switch {
	case !signs && accepts:
		c.errorf(at.position, `sign_secret or sign_public_key is required with visitors: add "sign_secret: \"{env.NAME}\""`)
	case signs && m.get("visitors") == nil:
		c.errorf(at.position, `visitors is missing: add "visitors: optional" or "visitors: required"`)
	}
	if s.IsZero() && !c.asWritten { // otherwise the generation counts, too
		return nil
	}
	return &s
}

// signKeys returns the entries of a field with one text or a list of texts.
func (c *decoder) signKeys(n *node, what string) []*node {
	switch {
	case n == nil:
		return nil
	case n.kind != listNode:
		return []*node{n}
	case len(n.items) == 0 || len(n.items) > maxSignKeys:
		c.errorf(n.position, "%s must have 1 to %d entries", what, maxSignKeys)
		return nil
	}
	return n.items
}

func (c *decoder) signSecret(n *node, k *keys.Key) (visitortoken.Secret, bool) {
	if c.asWritten {
		if c.signSecrets == nil {
			c.signSecrets = make(map[string]bool)
		}
		c.signSecrets[k.ID] = true
		_, _ = c.placeholder(n, "sign_secret", clearSecret)
		return visitortoken.Secret{}, false
	}
	text, ok := c.secret(n, "sign_secret", clearSecret)
	if !ok {
		return visitortoken.Secret{}, false
	}
	if strings.EqualFold(text, k.Digest.Hex()) || keys.DigestOf(text) == k.Digest {
		c.errorf(n.position, "the secret for signing must be neither the token of the key nor its digest: generate another one")
		return visitortoken.Secret{}, false
	}
	secret, err := visitortoken.NewSecret(text)
	if err != nil {
		c.errorf(n.position, "%s", err)
	}
	return secret, err == nil
}

func (c *decoder) signPublicKey(n *node) (ed25519.PublicKey, bool) {
	text, ok := c.text(n, "sign_public_key")
	if !ok {
		return nil, false
	}
	key, err := visitortoken.ParsePublicKey(strings.TrimSpace(text))
	if err != nil {
		c.errorf(n.position, "sign_public_key %s", err)
	}
	return key, err == nil
}

func (c *decoder) generation(n *node) uint32 {
	number, err := strconv.ParseUint(n.text, 10, 31)
	if n.kind != scalarNode || err != nil {
		c.errorf(n.position, "generation must be a number from 0 to %d", visitortoken.MaxGeneration)
	}
	return uint32(number)
}
