package doctor

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"slices"
	"strings"

	"github.com/docsgate/docsgate/docsgpt"
)

// Credential is what the gate asks DocsGPT with for keys that are bound to sources.
type Credential struct {
	Token string // empty: there is none, or it cannot be read
	Tools string // upstream_tools: empty, "none" or "allow"
}

const toolsMend = "Set DEFAULT_CHAT_TOOLS=none in DocsGPT, and give upstream_token an account of its own that has no tools."

// checkTools tells whether the model may be offered tools of the account that questions with source-bound keys run as. It
// costs nothing: it asks DocsGPT for the list of that account's tools, and looks at the answers that other checks got.
func (x *runner) checkTools(ctx context.Context) {
	c := x.facts.Credential
	v, err := docsgpt.FindVersion(x.facts.Version)
	switch {
	case x.toolCalled:
		x.fail("docsgpt.tools", "To answer a question with the key the model called a tool of the account of upstream_token. The gate ended the "+
			"answer, but DocsGPT carried the call out.", toolsMend)
		return
	case c.Token == "" || err == nil && !v.Accounts:
		return
	case c.Tools == "allow":
		x.note("docsgpt.tools", "Keys that are bound to sources may use the tools of the account of upstream_token, as configured: what the tools "+
			"keep is shared by all of them.", "Remove upstream_tools allow if that is not meant.")
		return
	}
	for _, u := range x.upstreams() {
		tools, err := x.toolsAt(ctx, u)
		switch {
		case err == nil && len(tools) > 0:
			x.fail("docsgpt.tools", fmt.Sprintf("The DocsGPT at %s offers the model tools of the account of upstream_token, which all keys that are bound "+
				"to sources share: %s.", &u, strings.Join(tools, ", ")), toolsMend)
		case err == nil:
			x.ok("docsgpt.tools", fmt.Sprintf("The DocsGPT at %s offers the model no tools of the account of upstream_token.", &u))
		case c.Tools == "none":
			x.note("docsgpt.tools", fmt.Sprintf("The configuration says that the DocsGPT at %s offers no tools with upstream_token; that could not be checked: "+
				"%v.", &u, err), "A credential that may read the account's tools (scope tools:read) tells.")
		default:
			x.unknown("docsgpt.tools", fmt.Sprintf("It could not be told whether the DocsGPT at %s offers the model tools of the account of upstream_token, by "+
				"default a memory that all clients share and scheduled tasks: %v.", &u, err),
				toolsMend+" Then write upstream_tools none into the docsgate options.")
		}
	}
}

// toolsAt returns the names of the tools that DocsGPT offers the model in chats of the credential's account, sorted.
func (x *runner) toolsAt(ctx context.Context, u Upstream) ([]string, error) {
	a, err := u.target().send(ctx, x.agent, request{
		method: http.MethodGet, path: "/api/get_tools", header: bearer(x.facts.Credential.Token),
	})
	switch {
	case err != nil:
		return nil, err
	case a.status == http.StatusForbidden:
		return nil, fmt.Errorf("the credential may not read the list of tools (status %d)", a.status)
	case a.status != http.StatusOK:
		return nil, fmt.Errorf("DocsGPT does not list the tools (status %d)", a.status)
	}
	var said struct {
		Tools *[]struct {
			Name    string `json:"name"`
			Status  bool   `json:"status"`
			InChat  *bool  `json:"in_chat"` // newer versions
			Default bool   `json:"default"`
			BuiltIn bool   `json:"builtin"` // for agents only, unless it is a default one too
		} `json:"tools"`
	}
	if err := json.Unmarshal(a.body, &said); err != nil || said.Tools == nil {
		return nil, errors.New("what DocsGPT says of the tools is not understood")
	}
	var names []string
	for _, t := range *said.Tools {
		offered := t.Status && (t.Default || !t.BuiltIn)
		if t.InChat != nil {
			offered = *t.InChat
		}
		if offered && !slices.Contains(names, t.Name) {
			names = append(names, t.Name)
		}
	}
	slices.Sort(names)
	return names, nil
}

// endedForTool reports whether the gate ended an answer for a call of a tool, and remembers it. a may be nil.
func (x *runner) endedForTool(a *response) bool {
	ended := a != nil && bytes.Contains(a.body, []byte(`"code":"`+docsgpt.CodeToolsNotAllowed+`"`))
	x.toolCalled = x.toolCalled || ended
	return ended
}
