package registry

import (
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/docsgate/docsgate/keys"
)

// Key returns what a record means to the gate with the rules in force. If its binding cannot be known the key is Unusable,
// and problem says why, for people; the agent of a key that is disabled or revoked is not looked at.
func (r *Registry) Key(rec *Record) (key keys.Key, problem string) {
	rules, _ := r.currentRules()
	agents := resolver{registry: r, rules: &rules, known: map[string]resolution{}}
	key, problem, _ = agents.key(rec)
	return key, problem
}

// resolver finds out what agents stand for, with the rules of one moment, once for each reference.
type resolver struct {
	registry *Registry
	rules    *Policy
	known    map[string]resolution // by Agent.Reference, or sealedReference
}

// resolution is what a reference stands for: a secret, or a problem, for people.
type resolution struct {
	secret  keys.Secret
	problem string
}

func (o resolution) equal(other resolution) bool {
	return o.problem == other.problem && o.secret.Equal(other.secret)
}

// sealedReference stands for the secret of the Sealer among references. It is neither a placeholder nor an id.
const sealedReference = "{sealed}"

// key is Registry.Key. odd tells that the rules refuse the record's sources or spell them in another way.
func (v resolver) key(rec *Record) (k keys.Key, problem string, odd bool) {
	k = keys.Key{
		ID: rec.ID, Name: rec.Name, Digest: rec.Digest, State: rec.State, NotBefore: rec.NotBefore, Expires: rec.Expires,
		PreviousTokens: rec.Old, Hint: rec.Hint, Created: rec.Created,
	}
	if rec.Agent.IsZero() {
		sources, same, err := v.rules.canonicalSources(rec.Sources)
		if k.Binding.Sources, odd = sources, err != nil || !same; err != nil {
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
	return k, problem, odd
}

// agent returns what a record's agent stands for.
func (v resolver) agent(rec *Record) resolution {
	if len(rec.Agent.Sealed) == 0 {
		return v.resolve(rec.Agent.Reference())
	}
	if v.registry.sealer == nil {
		return resolution{problem: "the DocsGPT key is sealed, and the gate has no secret to open it"}
	}
	secret, err := v.registry.sealer.open(rec.ID, rec.Agent.Sealed)
	if err != nil {
		v.resolve(sealedReference)
		return resolution{problem: err.Error()}
	}
	return resolution{secret: secret}
}

// reference is what has to stand for something else before a record's key can change, state being the key's state; "" if
// the key depends on nothing.
func (v resolver) reference(rec *Record, state keys.State) string {
	switch {
	case rec.Agent.IsZero() || rec.State != keys.Active:
		return ""
	case len(rec.Agent.Sealed) == 0:
		return rec.Agent.Reference()
	case state == keys.BindingUnavailable && v.registry.sealer != nil:
		return sealedReference
	default:
		return ""
	}
}

// resolve returns what a reference stands for. What it says of the sealed reference is only to be compared.
func (v resolver) resolve(ref string) resolution {
	o, known := v.known[ref]
	if known {
		return o
	}
	if ref == sealedReference {
		o.problem = v.registry.sealer.state()
	} else if secret, err := v.rules.resolve(agentOf(ref)); err != nil {
		o.problem = err.Error()
	} else {
		o.secret = secret
	}
	v.known[ref] = o
	return o
}

// agentOf is the agent with a reference.
func agentOf(ref string) Agent {
	if strings.HasPrefix(ref, "{") {
		return Agent{Placeholder: ref}
	}
	return Agent{Key: ref}
}

// resolve returns the DocsGPT key that a reference stands for. The error is for people and repeats no value.
func (rules *Policy) resolve(a Agent) (keys.Secret, error) {
	switch {
	case a.Key != "" && rules.AgentOf == nil:
		return keys.Secret{}, errors.New("keys of other feeds are not known here")
	case a.Key != "":
		secret, ok := rules.AgentOf(a.Key)
		if !ok || secret.IsZero() {
			return keys.Secret{}, errors.New("no other feed has a key with this id and an agent binding")
		}
		return secret, nil
	case rules.Resolve == nil:
		return keys.Secret{}, errors.New("placeholders have no value here")
	}
	value, err := rules.Resolve(a.Placeholder)
	value = strings.TrimRight(value, "\r\n") // files end in one
	switch {
	case (err != nil || value == "") && strings.HasPrefix(a.Placeholder, "{env."):
		return keys.Secret{}, fmt.Errorf("%s has no value: set the variable where the gate is started", a.Placeholder)
	case err != nil || value == "":
		return keys.Secret{}, fmt.Errorf("%s gives no value: the file must exist, be readable and not be empty", a.Placeholder)
	case !keys.IsValidToken(value):
		return keys.Secret{}, fmt.Errorf("the value of %s cannot be a DocsGPT key: "+
			"those have 1 to 512 printable ASCII characters, no blanks", a.Placeholder)
	}
	return keys.NewSecret(value), nil
}

// canonicalSources returns sources in the spelling of the rules, which may be others than when the key was made, and whether they were
// spelt like that. With an error they are as they were.
func (rules *Policy) canonicalSources(sources []string) (spelt []string, same bool, err error) {
	if len(sources) == 0 {
		return nil, true, errors.New("the key is bound to nothing")
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

// dependents are the ids of the keys that depend on each reference, with what it stood for when they were looked at last.
type dependents map[string]*referred

type referred struct {
	outcome resolution
	ids     map[string]struct{}
}

func (all dependents) add(ref, id string) {
	if all[ref] == nil {
		all[ref] = &referred{ids: map[string]struct{}{}}
	}
	all[ref].ids[id] = struct{}{}
}

// resolve looks at all references.
func (all dependents) resolve(v resolver) {
	for ref := range all {
		v.resolve(ref)
	}
}

// update takes in what references stand for now, and returns the ids of keys for which that is news.
func (all dependents) update(now map[string]resolution) (ids []string) {
	for ref, o := range now {
		r := all[ref]
		if r == nil || r.outcome.equal(o) {
			continue
		}
		r.outcome = o
		for id := range r.ids {
			ids = append(ids, id)
		}
	}
	return ids
}
