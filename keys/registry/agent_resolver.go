package registry

import (
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/docsgate/docsgate/keys"
)

// Key converts a record to a key with the current rules. If its binding cannot be resolved, the key's state is
// BindingUnavailable, and problem is the reason, for users. The agent of a disabled or revoked key is not resolved.
func (r *Registry) Key(rec *Record) (key keys.Key, problem string) {
	rules, _ := r.currentRules()
	agents := resolver{registry: r, rules: &rules, resolved: map[string]resolution{}}
	key, problem, _ = agents.key(rec)
	return key, problem
}

// resolver resolves references to agents with one set of rules, each reference once.
type resolver struct {
	registry *Registry
	rules    *Rules
	resolved map[string]resolution // by Agent.Reference, or secretReference
}

// resolution is the result of resolving a reference: the agent's key, or the reason why there is none, for users.
type resolution struct {
	secret  keys.Secret
	problem string
}

func (o resolution) equal(other resolution) bool {
	return o.problem == other.problem && o.secret.Equal(other.secret)
}

// secretReference is the reference to the Encrypter's secret. It differs from every placeholder and id.
const secretReference = "{encrypted}"

// key is Registry.Key. nonCanonical reports whether the rules reject the record's sources or spell them differently.
func (v resolver) key(rec *Record) (k keys.Key, problem string, nonCanonical bool) {
	k = keys.Key{
		ID: rec.ID, Name: rec.Name, Digest: rec.Digest, State: rec.State, NotBefore: rec.NotBefore, Expires: rec.Expires,
		PreviousTokens: rec.PreviousTokens, Hint: rec.Hint, TokenKind: rec.TokenKind, Created: rec.Created, Policy: rec.Policy,
	}
	if rec.Agent.IsZero() {
		sources, same, err := v.rules.canonicalSources(rec.Sources)
		if k.Binding.Sources, nonCanonical = sources, err != nil || !same; err != nil {
			problem = err.Error()
		}
	} else if rec.State == keys.Active {
		o := v.agent(rec)
		k.Binding.Agent, problem = o.secret, o.problem
	}
	switch {
	case rec.State != keys.Active:
		problem = ""
	case problem != "":
		k.State = keys.BindingUnavailable
	}
	if rec.Signing != nil {
		k.VisitorTokens, _ = v.registry.verifier(rec.ID, rec.Policy, rec.Signing)
	}
	return k, problem, nonCanonical
}

// lacksSignSecret reports whether a secret for signing of a record could not be decrypted for its key, so that the key depends on
// secretReference.
func (v resolver) lacksSignSecret(rec *Record, k *keys.Key) bool {
	if rec.Signing == nil || v.registry.encrypter == nil || !acceptsVisitors(rec.Policy) {
		return false
	}
	decrypted := 0
	if k.VisitorTokens != nil {
		decrypted = len(k.VisitorTokens.Secrets)
	}
	return decrypted < len(rec.Signing.Secrets)
}

// agent resolves a record's agent.
func (v resolver) agent(rec *Record) resolution {
	if len(rec.Agent.Encrypted) == 0 {
		return v.resolve(rec.Agent.Reference())
	}
	if v.registry.encrypter == nil {
		return resolution{problem: "the DocsGPT key is encrypted, and the gate has no secret to decrypt it"}
	}
	secret, err := v.registry.encrypter.decrypt(agentKeyOf(rec.ID), rec.Agent.Encrypted)
	if err != nil {
		v.resolve(secretReference)
		return resolution{problem: err.Error()}
	}
	return resolution{secret: secret}
}

// reference returns the reference that the key of a record depends on, or "". state is the key's state.
func (v resolver) reference(rec *Record, state keys.State) string {
	switch {
	case rec.Agent.IsZero() || rec.State != keys.Active:
		return ""
	case len(rec.Agent.Encrypted) == 0:
		return rec.Agent.Reference()
	case state == keys.BindingUnavailable && v.registry.encrypter != nil:
		return secretReference
	default:
		return ""
	}
}

// resolve resolves a reference. The result for secretReference is only suitable for comparison.
func (v resolver) resolve(ref string) resolution {
	o, known := v.resolved[ref]
	if known {
		return o
	}
	if ref == secretReference {
		o.problem = v.registry.encrypter.state()
	} else if secret, err := v.rules.resolve(agentOf(ref)); err != nil {
		o.problem = err.Error()
	} else {
		o.secret = secret
	}
	v.resolved[ref] = o
	return o
}

// agentOf returns the agent with the given reference.
func agentOf(ref string) Agent {
	if strings.HasPrefix(ref, "{") {
		return Agent{Placeholder: ref}
	}
	return Agent{Key: ref}
}

// resolve returns the DocsGPT key that an agent refers to. The error is meant for users and contains no value.
func (rules *Rules) resolve(a Agent) (keys.Secret, error) {
	switch {
	case a.Key != "" && rules.AgentOf == nil:
		return keys.Secret{}, errors.New("keys of other feeds are not available here")
	case a.Key != "":
		secret, ok := rules.AgentOf(a.Key)
		if !ok || secret.IsZero() {
			return keys.Secret{}, errors.New("no other feed has a key with this id and an agent binding")
		}
		return secret, nil
	case rules.Resolve == nil:
		return keys.Secret{}, errors.New("placeholders are not supported here")
	}
	value, err := rules.Resolve(a.Placeholder)
	value = strings.TrimRight(value, "\r\n") // files end with one
	switch {
	case (err != nil || value == "") && strings.HasPrefix(a.Placeholder, "{env."):
		return keys.Secret{}, fmt.Errorf("%s has no value: set the variable where the gate is started", a.Placeholder)
	case err != nil || value == "":
		return keys.Secret{}, fmt.Errorf("%s has no value: the file must exist, be readable, and not be empty", a.Placeholder)
	case !keys.IsValidToken(value):
		return keys.Secret{}, fmt.Errorf("the value of %s is not a valid DocsGPT key: "+
			"a key has 1 to 512 printable ASCII characters and no spaces", a.Placeholder)
	}
	return keys.NewSecret(value), nil
}

// canonicalSources returns the sources in canonical spelling, and reports whether that is the same spelling. The rules may have
// changed since the key was created. If there is an error, the sources are returned unchanged.
func (rules *Rules) canonicalSources(sources []string) (spelt []string, same bool, err error) {
	if len(sources) == 0 {
		return nil, true, errors.New("the key has no binding")
	}
	spelt, same = sources, true
	for i := 0; rules.CheckSource != nil && i < len(sources); i++ {
		canonical, err := rules.source(sources[i])
		if err != nil {
			return sources, true, fmt.Errorf("source %s: %w", sources[i], err)
		}
		if canonical != sources[i] {
			if same {
				spelt, same = slices.Clone(sources), false
			}
			spelt[i] = canonical
		}
	}
	if rules.CheckSources != nil {
		if err := rules.CheckSources(len(spelt)); err != nil {
			return sources, true, fmt.Errorf("sources: %w", err)
		}
	}
	return spelt, same, nil
}

// dependents contains, by reference, the ids of the keys that depend on it, and its last resolution.
type dependents map[string]*referenceState

type referenceState struct {
	resolution resolution
	ids        map[string]struct{}
}

func (all dependents) add(ref, id string) {
	if all[ref] == nil {
		all[ref] = &referenceState{ids: map[string]struct{}{}}
	}
	all[ref].ids[id] = struct{}{}
}

// remove removes keys, and references that no key depends on any more.
func (all dependents) remove(ids []string) {
	for ref, r := range all {
		for _, id := range ids {
			delete(r.ids, id)
		}
		if len(r.ids) == 0 {
			delete(all, ref)
		}
	}
}

// resolve resolves all references.
func (all dependents) resolve(v resolver) {
	for ref := range all {
		v.resolve(ref)
	}
}

// update records new resolutions, and returns the ids of the keys whose resolution has changed.
func (all dependents) update(now map[string]resolution) (ids []string) {
	for ref, o := range now {
		r := all[ref]
		if r == nil || r.resolution.equal(o) {
			continue
		}
		r.resolution = o
		for id := range r.ids {
			ids = append(ids, id)
		}
	}
	return ids
}
