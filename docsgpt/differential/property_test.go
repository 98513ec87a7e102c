package differential

import (
	"bytes"
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/docsgate/docsgate/docsgpt"
)

// setup is one combination of a gate's configuration and a key's binding.
type setup struct {
	name     string
	endpoint *docsgpt.Endpoint
	in       docsgpt.Binding
	owned    bool // the conversation that the client names is its own
}

// The gate's own texts contain characters that need escaping, so that only correct quoting passes them to Python intact.
const agentKey = "5d0c\"\\/<\u00fc\u2028\U0001f511\x7f"

// setups are all combinations to test: versions that differ in what they forward, each of their endpoints with a body, and
// every kind of binding that the endpoint accepts.
var setups = func() []setup {
	var all []setup
	for _, c := range []struct{ version, one, two string }{
		{"1.1", "7d0c1f0e-2f4b-4c7a-9a55-0c9c2f1d7a10", "0e3f9a4c-11aa-4bb2-8cc3-5dd4e6ff7a88"},
		{"0.16", "65f1c0ffee5eed0123456789", "aaaaaaaaaaaaaaaaaaaaaaaa"},
		{"0.13", "65f1c0ffee5eed0123456789", ""},
		{"0.9", "local/Hand\"b\u00fcch 1/", ""},
	} {
		version, err := docsgpt.FindVersion(c.version)
		if err != nil {
			panic(err)
		}
		sources := [][]string{{c.one}}
		if c.two != "" {
			sources = append(sources, []string{c.one, c.two})
		}
		for _, e := range endpoints(version) {
			if e.Body != docsgpt.BodyJSON {
				continue
			}
			var bindings []docsgpt.Binding
			if e.Agents {
				bindings = append(bindings, docsgpt.Binding{Agent: agentKey})
			}
			if e.Sources {
				for _, ids := range sources {
					bindings = append(bindings, docsgpt.Binding{Sources: ids})
				}
			}
			for _, in := range bindings {
				for _, owned := range []bool{false, true} {
					binding := "agent"
					if in.Agent == "" {
						binding = fmt.Sprintf("%d sources", len(in.Sources))
					}
					name := fmt.Sprintf("%s %s, %s, owned %v", c.version, e.Name, binding, owned)
					all = append(all, setup{name, e, in, owned})
				}
			}
		}
	}
	return all
}()

// endpoints returns all endpoints of a version.
func endpoints(v *docsgpt.Version) []*docsgpt.Endpoint {
	var all []*docsgpt.Endpoint
	for _, group := range docsgpt.Groups() {
		if routes, err := docsgpt.NewRoutes(v, []docsgpt.Group{group}, nil); err == nil {
			all = append(all, routes.Endpoints()...)
		}
	}
	slices.SortFunc(all, func(a, b *docsgpt.Endpoint) int { return strings.Compare(a.Name, b.Name) })
	return all
}

// passed is the result of one setup that accepted a body.
type passed struct {
	forwarded    []byte
	token        string
	hasToken     bool
	conversation string
}

// gate processes a client's body as the gate does between receiving and forwarding it. ok is false if it rejects the body.
// spare is the spare capacity of the body's buffer.
func gate(s setup, client []byte, spare int) (p passed, ok bool) {
	var b docsgpt.Body
	buf := append(make([]byte, 0, len(client)+spare), client...)
	if b.Parse(s.endpoint, buf) != nil {
		return p, false
	}
	p.token, p.hasToken = b.Token()
	if b.Check(s.endpoint) != nil {
		return p, false
	}
	p.conversation = b.Conversation()
	p.forwarded = b.Rewrite(s.endpoint, s.in, s.owned)
	return p, true
}

// check checks the property for one client body with every setup, and returns the names of those that accept the body: in
// whatever is forwarded, Python reads the gate's key or sources, the allowed fields as the client wrote them, and nothing
// else.
func check(t testing.TB, client []byte) (through []string) {
	t.Helper()
	r := python(t)
	var original *view
	seen := map[string]view{} // by forwarded body; most setups forward the same
	for _, s := range setups {
		p, ok := gate(s, client, docsgpt.RewriteHeadroom)
		if tight, again := gate(s, client, 0); again != ok || !bytes.Equal(tight.forwarded, p.forwarded) {
			t.Errorf("%s: the room behind the body makes a difference: %q, %q", s.name, p.forwarded, tight.forwarded)
		}
		if !ok {
			continue
		}
		through = append(through, s.name)
		if original == nil {
			v := r.body(t, client)
			original = &v
		}
		v, ok := seen[string(p.forwarded)]
		if !ok {
			v = r.body(t, p.forwarded)
			seen[string(p.forwarded)] = v
		}
		for _, fault := range slices.Concat(agree(original, p), faults(s, original, &v)) {
			t.Errorf("%s: %s\nclient:    %q\nforwarded: %q", s.name, fault, client, p.forwarded)
		}
	}
	return through
}

// agree reports differences in how the gate and Python read the client's body.
func agree(client *view, p passed) (faults []string) {
	if client.Error != "" {
		// Python cannot read all valid JSON. A body that it cannot read was not forwarded, so that is harmless.
		if client.Error != "RecursionError" && (client.Error != "ValueError" || client.StrictError != "") {
			faults = append(faults, "Python cannot read what the gate lets through: "+client.Error)
		}
		return faults
	}
	if client.Kind != "dict" {
		faults = append(faults, "Python reads a "+client.Kind)
	}
	key, has := stringOf(client.APIKey)
	if key != p.token || has != p.hasToken {
		faults = append(faults, fmt.Sprintf("the gate reads the token %q (%v), Python %q (%v)", p.token, p.hasToken, key, has))
	}
	conversation, _ := stringOf(client.Conversation)
	if p.conversation != "" && conversation != p.conversation {
		faults = append(faults, fmt.Sprintf("the gate reads the conversation %q, Python %q", p.conversation, conversation))
	}
	return faults
}

func stringOf(v *text) (value string, ok bool) {
	if v == nil || v.Kind != "str" {
		return "", false
	}
	return v.Text, true
}

// faults returns what is wrong with a forwarded body as Python reads it.
func faults(s setup, client, forwarded *view) (faults []string) {
	wrong := func(format string, args ...any) { faults = append(faults, fmt.Sprintf(format, args...)) }
	if forwarded.Error != "" || forwarded.Kind != "dict" || forwarded.StrictError != "" {
		wrong("Python cannot read it: %s %s %s", forwarded.Error, forwarded.Kind, forwarded.StrictError)
		return faults
	}
	if !slices.Equal(forwarded.Names, forwarded.Keys) {
		wrong("a field is specified twice: %q", forwarded.Names)
	}
	if s.endpoint.Name == "completions" && !forwarded.TextOnly {
		wrong("messages hold more than text")
	}
	var names []string
	names = append(names, injected(s, forwarded, wrong)...)
	names = append(names, kept(s, client, forwarded, wrong)...)
	for _, name := range forwarded.Names {
		if !slices.Contains(names, name) {
			wrong("field %s should not be there", name)
		}
	}
	return faults
}

// injected checks the fields that the gate adds, and returns their names.
func injected(s setup, v *view, wrong func(string, ...any)) (names []string) {
	inBody := s.endpoint.Token == docsgpt.TokenBody
	switch key, ok := stringOf(v.APIKey); {
	case inBody && s.in.Agent != "":
		names = append(names, `"api_key"`)
		if !ok || key != s.in.Agent {
			wrong("api_key is %+v, not the agent's", v.APIKey)
		}
	case v.APIKey != nil:
		wrong("there is an api_key: %+v", v.APIKey)
	}
	switch docs, ok := stringOf(v.ActiveDocs); {
	case inBody && len(s.in.Sources) == 1:
		names = append(names, `"active_docs"`)
		if !ok || docs != s.in.Sources[0] {
			wrong("active_docs is %+v, not the source", v.ActiveDocs)
		}
	case inBody && len(s.in.Sources) > 1:
		names = append(names, `"active_docs"`)
		if v.ActiveDocs == nil || v.ActiveDocs.Kind != "list" || !slices.Equal(v.ActiveDocs.Items, s.in.Sources) {
			wrong("active_docs is %+v, not the sources", v.ActiveDocs)
		}
	case v.ActiveDocs != nil:
		wrong("there are active_docs: %+v", v.ActiveDocs)
	}
	return names
}

// kept checks the fields that the client may send, and returns the names that are allowed.
func kept(s setup, client, forwarded *view, wrong func(string, ...any)) (names []string) {
	unread := client.StrictError != "" // too deep for Python; then there is nothing to compare with
	for _, m := range s.endpoint.Fields {
		name := `"` + m.Name + `"`
		want, sent := client.Members[name]
		if m.Check == docsgpt.CheckHistory && (want == "null" || want == `""` || want == "[]") {
			sent = false // all count as absent
		}
		if sent {
			want = client.Cut[name]
		}
		got, there := forwarded.Members[name]
		if m.Check == docsgpt.CheckHistory && sent && !unread {
			keptHistory(client.History, forwarded.History, wrong)
			names = append(names, name)
			continue
		}
		switch {
		case unread:
		case sent && m.Check == docsgpt.CheckConversation && strings.HasPrefix(want, `"`) && !s.owned:
			if there {
				wrong("a foreign conversation is forwarded")
			}
			continue
		case sent && (!there || got != want):
			wrong("field %s is %s, but the client sent %s", name, got, want)
		case !sent && there && (m.Name != "history" || got != defaultHistory):
			wrong("field %s was not sent, but is %s", name, got)
		case !sent && m.Required:
			wrong("field %s is required, but was not sent", name)
		}
		names = append(names, name)
	}
	return names
}

// keptHistory checks that DocsGPT finds exactly the pairs of the client's history in the forwarded body.
func keptHistory(client, forwarded *history, wrong func(string, ...any)) {
	const none = "[]"
	switch {
	case forwarded == nil:
		if client.Kind != "list" || client.Pairs != none { // a list without pairs is left out
			wrong("the history %+v is lost", *client)
		}
	case client.Kind == "list" && client.Pairs == none:
		if forwarded.Pairs != none { // the version's own
			wrong("the history is %+v, but the client sent %+v", *forwarded, *client)
		}
	case forwarded.Kind != client.Kind || forwarded.Pairs != client.Pairs:
		wrong("the history is %+v, but the client sent %+v", *forwarded, *client)
	}
	if forwarded != nil && !forwarded.OnlyPairs {
		wrong("the history %+v holds more than pairs", *forwarded)
	}
}

// defaultHistory is the history that is added for versions that fail without one.
const defaultHistory = `"[]"`
