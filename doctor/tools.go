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

// Credential is the gate's credential at DocsGPT for keys that are bound to sources.
type Credential struct {
	Token string // upstream_token; empty: none, or it cannot be resolved
	Tools string // upstream_tools: empty, "none" or "allow"
}

const toolsFix = "Set DEFAULT_CHAT_TOOLS=none in DocsGPT, and use a separate account without tools for upstream_token."

// checkTools checks that DocsGPT does not offer the model tools of the account of upstream_token. It asks no question: it uses
// DocsGPT's list of that account's tools, and the responses of the other checks.
func (x *runner) checkTools(ctx context.Context) {
	if x.toolCalled {
		x.fail("docsgpt.tools", "The model called a tool of the account of upstream_token for a question with the key. The gate aborted the answer, "+
			"but DocsGPT had executed the call.", toolsFix)
		return
	}
	allowed := map[string]bool{} // by backend
	for _, u := range x.upstreams() {
		c := x.input.backend(u).Credential
		v, err := docsgpt.FindVersion(x.input.backend(u).Version)
		switch {
		case c.Token == "" || err == nil && !v.Accounts:
			continue
		case c.Tools == "allow" && !allowed[u.Backend]:
			allowed[u.Backend] = true
			x.note("docsgpt.tools", "Keys that are bound to sources can use the tools of the account of upstream_token, as configured: they share all data "+
				"that the tools store.", "If that is not intended, remove \"upstream_tools allow\".")
			continue
		case c.Tools == "allow":
			continue
		}
		tools, err := x.toolsAt(ctx, u)
		switch {
		case err == nil && len(tools) > 0:
			x.fail("docsgpt.tools", fmt.Sprintf("The DocsGPT at %s offers the model tools of the account of upstream_token, which all keys bound to sources "+
				"share: %s.", &u, strings.Join(tools, ", ")), toolsFix)
		case err == nil:
			x.ok("docsgpt.tools", fmt.Sprintf("The DocsGPT at %s does not offer the model tools of the account of upstream_token.", &u))
		case c.Tools == "none":
			x.note("docsgpt.tools", fmt.Sprintf("The configuration says that the DocsGPT at %s does not offer tools with upstream_token; that could not be checked: "+
				"%v.", &u, err), "Give upstream_token the scope tools:read if you want the doctor to check it.")
		default:
			x.unknown("docsgpt.tools", fmt.Sprintf("Whether the DocsGPT at %s offers the model tools of the account of upstream_token is unknown: %v. By default these "+
				"are scheduled tasks and a memory that all clients share.", &u, err),
				toolsFix+" Then set \"upstream_tools none\" in the docsgate options.")
		}
	}
}

// toolsAt returns the names of the tools that DocsGPT offers the model in chats of the credential's account, sorted.
func (x *runner) toolsAt(ctx context.Context, u Upstream) ([]string, error) {
	a, err := u.target().send(ctx, x.agent, request{
		method: http.MethodGet, path: "/api/get_tools", header: bearer(x.input.backend(u).Credential.Token),
	})
	switch {
	case err != nil:
		return nil, err
	case a.status == http.StatusForbidden:
		return nil, fmt.Errorf("the credential may not read the list of tools (status %d)", a.status)
	case a.status != http.StatusOK:
		return nil, fmt.Errorf("DocsGPT does not list the tools (status %d)", a.status)
	}
	var list struct {
		Tools *[]struct {
			Name    string `json:"name"`
			Status  bool   `json:"status"`
			InChat  *bool  `json:"in_chat"` // set by newer versions
			Default bool   `json:"default"`
			BuiltIn bool   `json:"builtin"` // offered to agents only, unless it is also a default
		} `json:"tools"`
	}
	if err := json.Unmarshal(a.body, &list); err != nil || list.Tools == nil {
		return nil, errors.New("cannot decode DocsGPT's list of tools")
	}
	var names []string
	for _, t := range *list.Tools {
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

// endedForTool reports whether the gate aborted an answer because the model called a tool, and records it. a may be nil.
func (x *runner) endedForTool(a *response) bool {
	ended := a != nil && bytes.Contains(a.body, []byte(`"code":"`+docsgpt.CodeToolsNotAllowed+`"`))
	x.toolCalled = x.toolCalled || ended
	return ended
}
