package filefeed

import "github.com/docsgate/docsgate/keys"

// Entry is one key of a key file, for those who bring keys elsewhere.
type Entry struct {
	Key   keys.Key // without an agent
	Agent string   // the placeholder of the agent, as it stands in the file; empty with a source binding
	Line  int
}

// Entries reads the content of a key file. Tokens are resolved, but agents stay placeholders: what they stand for belongs
// to the gate that will use them. Of Options only Resolve, CheckSource and CheckSources matter. What an export says besides
// its keys is let through. An error is of type Faults.
func Entries(data []byte, o Options) ([]Entry, error) {
	if o.Resolve == nil {
		o.Resolve = resolveHere
	}
	c := checker{options: &o, asWritten: true}
	set, faults := c.parse(data)
	if len(faults) > 0 {
		return nil, faults
	}
	all := make([]Entry, len(set))
	for i, k := range set {
		all[i] = Entry{Key: k, Agent: k.Binding.Agent.Reveal(), Line: c.lines[i]}
		all[i].Key.Binding.Agent = keys.Secret{}
	}
	return all, nil
}
