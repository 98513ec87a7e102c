package keyservice

import "github.com/docsgate/docsgate/keys"

// agentKey returns the adopted key of the agent that a key is bound to, or nil if the gate does not know the agent. Adopted keys are
// those of DocsGPT's own database, which also has the name and the sources of the agent. reference is the ID of a key, or "".
func (d *Service) agentKey(k *keys.Key, reference string) *keys.Key {
	var adopted *keys.Key
	switch {
	case !k.Binding.Agent.IsZero():
		adopted = d.Store.Lookup(keys.DigestOf(k.Binding.Agent.Reveal()))
	case reference != "": // the agent of a disabled key is not resolved
		adopted = d.Store.Get(reference)
	}
	if adopted == nil || adopted.Facts == nil {
		return nil
	}
	return adopted
}

// setAgent sets the fields about the agent.
func setAgent(v *Key, adopted *keys.Key) {
	if adopted == nil {
		return
	}
	v.AgentName = adopted.Name
	if len(v.Sources) == 0 {
		v.Sources = adopted.Facts.Sources
	}
}
