package commands

import (
	"encoding/json"
	"fmt"
	"io"
	"strings"

	"github.com/docsgate/docsgate/demo"
)

// bodyOf is the JSON of a question: members as name, value pairs, in that order.
func bodyOf(members ...any) string {
	var b strings.Builder
	for i := 0; i < len(members); i += 2 {
		value, err := json.Marshal(members[i+1])
		if err != nil {
			panic(err) // the values are strings and lists of strings
		}
		if i > 0 {
			b.WriteByte(',')
		}
		fmt.Fprintf(&b, "%q:%s", members[i], value)
	}
	return "{" + b.String() + "}"
}

// crossSourceFields asks for another source in every way that a version of DocsGPT or of its widget knows.
func crossSourceFields(token, other string) string {
	return bodyOf("question", "Who earns what?", "history", "[]", "api_key", token,
		"active_docs", other, "selectDocs", other, "selectedDocs", other, "source", other, "sources", []string{other},
		"extra_source_ids", []string{other}, "retriever", "classic")
}

// tries are the commands that the demo prints and shows on its page.
func tries(gate, token string, u *demoUpstream) []demo.Command {
	curl := func(flags, path, body string) string {
		return fmt.Sprintf("curl %s %s%s -H 'Content-Type: application/json' -d '%s'", flags, gate, path, body)
	}
	ask := bodyOf("question", "How do I start?", "history", "[]", "api_key", token)
	stays := "The answer still says source=handbook: the gate takes these members out and asks for what the key is bound to."
	refused := "The gate refuses it. The backend never sees it."
	if u.backend == nil {
		stays = "The answer is made from what the key is bound to: the gate takes these members out."
		refused = "The gate refuses it. DocsGPT never sees it."
	}
	return []demo.Command{
		{Title: "Ask", Text: curl("-sS", "/api/answer", ask)},
		{Title: "Ask, and see the answer being written", Text: curl("-sSN", "/stream", ask)},
		{Title: "Try to take another source", Shows: stays, Text: curl("-sS", "/api/answer", crossSourceFields(token, u.other))},
		{Title: "Try it without a key", Shows: refused, Text: curl("-sS", "/api/answer",
			bodyOf("question", "Who earns what?", "history", "[]", "active_docs", u.other))},
	}
}

// printDemo tells what runs where and what to try.
func printDemo(w io.Writer, page demo.Page, pageURL, consoleURL string) error {
	what := "DocsGPT"
	if page.Backend != nil {
		what = "built-in answer backend"
	}
	var b strings.Builder
	fmt.Fprintf(&b, "\nOpen     %s   a page with the DocsGPT widget\n", pageURL)
	fmt.Fprintf(&b, "Keys     %s   the page for keys: make one, try it, revoke it\n", consoleURL)
	fmt.Fprintf(&b, "Gate     %s   in front of the %s at %s\n", page.GateURL, what, page.Upstream)
	fmt.Fprintf(&b, "Key      %s   bound to %s\n", page.Token, page.Binding)
	for _, command := range page.Commands {
		fmt.Fprintf(&b, "\n# %s.", command.Title)
		if command.Shows != "" {
			fmt.Fprintf(&b, " %s", command.Shows)
		}
		fmt.Fprintf(&b, "\n%s\n", command.Text)
	}
	b.WriteString("\nCtrl-C ends the demo. Keys are good for this run only.\n")
	_, err := io.WriteString(w, b.String())
	return err
}
