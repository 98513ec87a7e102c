package keyservice

import (
	"net/url"
	"strings"

	"github.com/docsgate/docsgate/keys"
	"github.com/docsgate/docsgate/keys/docsgptkeys"
)

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
func (d *Service) setAgent(v *Key, adopted *keys.Key) {
	if adopted == nil {
		return
	}
	v.AgentName, v.LogsURL = adopted.Name, d.logsURL(adopted)
	if len(v.Sources) == 0 {
		v.Sources = adopted.Facts.Sources
	}
}

// logsURL returns the page of DocsGPT's web app with the Logs of an agent, or "". The web app has no such page for a source or an account.
func (d *Service) logsURL(adopted *keys.Key) string {
	id, known := strings.CutPrefix(adopted.ID, docsgptkeys.KeyID(""))
	if d.DocsGPTURL == "" || !known || id == "" {
		return ""
	}
	return strings.TrimSuffix(d.DocsGPTURL, "/") + "/agents/logs/" + url.PathEscape(id)
}
