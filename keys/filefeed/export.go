package filefeed

import "github.com/docsgate/docsgate/keys"

// Entry is one key of a key file, for importing the key elsewhere.
type Entry struct {
	Key   keys.Key // without the agent
	Agent string   // placeholder of the agent, as written in the file; empty with a source binding
	Line  int

	SignSecret bool // the file names a secret for signing, which is not part of Key.VisitorTokens
}

// Entries parses the content of a key file. Tokens are resolved, but agents stay placeholders, since only the gate that uses
// the key can resolve them. It uses only Resolve, CheckSource and CheckSources of the Options. Additional fields of an export
// are ignored. Errors are of type Faults.
func Entries(data []byte, o Options) ([]Entry, error) {
	if o.Resolve == nil {
		o.Resolve = resolveLocal
	}
	c := decoder{options: &o, partBytes: partBytes, asWritten: true}
	set, faults := c.parse(data)
	if len(faults) > 0 {
		return nil, faults
	}
	all := make([]Entry, len(set))
	for i, k := range set {
		all[i] = Entry{Key: k, Agent: k.Binding.Agent.Reveal(), Line: c.lines[i], SignSecret: c.signSecrets[k.ID]}
		all[i].Key.Binding.Agent = keys.Secret{}
	}
	return all, nil
}
