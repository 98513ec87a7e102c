package doctor

import (
	"context"
	"fmt"
	"net/http"

	"github.com/docsgate/docsgate/docsgpt"
)

// unknownMessage is an ID that no message has, so canceling its answer changes nothing.
const unknownMessage = "/api/messages/00000000-0000-0000-0000-000000000000/cancel"

// checkCancel checks whether the gate can cancel answers that no client reads any longer. It asks DocsGPT to cancel the answer of a
// message that does not exist.
func (x *runner) checkCancel(ctx context.Context) {
	for _, u := range x.upstreams() {
		v, err := docsgpt.FindVersion(x.input.backend(u).Version)
		if err == nil && !v.FinishesAbandoned {
			continue
		}
		if err == nil && !v.CancelsAnswers {
			x.note("docsgpt.cancel", fmt.Sprintf("The DocsGPT at %s completes answers whose clients have disconnected, at the cost of the model: version %s "+
				"cannot cancel them.", &u, v.Name), "Upgrade DocsGPT to 1.1 if that matters to you.")
			continue
		}
		switch x.cancelAt(ctx, u) {
		case docsgpt.CancelNotFound:
			x.ok("docsgpt.cancel", fmt.Sprintf("The DocsGPT at %s lets the gate cancel answers that no client reads any longer.", &u))
		case docsgpt.CancelForbidden:
			credential := "a personal access token"
			if x.input.backend(u).Credential.Token == "" {
				credential = "the gate without upstream_token"
			}
			x.note("docsgpt.cancel", fmt.Sprintf("The DocsGPT at %s completes answers whose clients have disconnected, at the cost of the model: it does not let "+
				"%s cancel them.", &u, credential),
				"Use a session token of the account that the agents and sources belong to for upstream_token if that matters to you.")
		default: // docsgpt.reachable or docsgpt.version says why
		}
	}
}

// cancelAt returns the outcome of canceling an unknown message as the gate would: with its credential, then without.
func (x *runner) cancelAt(ctx context.Context, u Upstream) docsgpt.CancelOutcome {
	outcome := docsgpt.CancelForbidden
	for _, token := range []string{x.input.backend(u).Credential.Token, ""} {
		header := http.Header{}
		if token != "" {
			header = bearer(token)
		}
		a, err := u.target().send(ctx, x.agent, request{method: http.MethodPost, path: unknownMessage, header: header})
		if err != nil {
			return docsgpt.CancelFailed
		}
		if outcome = docsgpt.CancelOutcomeOf(a.status, a.body); outcome != docsgpt.CancelForbidden {
			break
		}
	}
	return outcome
}
