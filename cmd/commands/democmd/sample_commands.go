package democmd

import (
	"encoding/json"
	"fmt"
	"io"
	"strings"

	"github.com/docsgate/docsgate/demo"
)

// bodyOf returns a JSON object with fields given as name, value pairs, in that order.
func bodyOf(fields ...any) string {
	var b strings.Builder
	for i := 0; i < len(fields); i += 2 {
		value, err := json.Marshal(fields[i+1])
		if err != nil {
			panic(err) // the values are strings and lists of strings
		}
		if i > 0 {
			b.WriteByte(',')
		}
		fmt.Fprintf(&b, "%q:%s", fields[i], value)
	}
	return "{" + b.String() + "}"
}

// crossSourceFields returns the body of a request that names another source in every field that any version of DocsGPT or of its
// widget uses for it.
func crossSourceFields(token, other string) string {
	return bodyOf("question", "Who earns what?", "history", "[]", "api_key", token,
		"active_docs", other, "selectDocs", other, "selectedDocs", other, "source", other, "sources", []string{other},
		"extra_source_ids", []string{other}, "retriever", "classic")
}

// sampleCommands are the commands that the demo prints and shows on its page. All but the last have the server's key: the page's
// works only with the page's origin.
func sampleCommands(gate, pageToken, token string, u *upstream) []demo.Command {
	curl := func(flags, path, body string) string {
		return fmt.Sprintf("curl %s %s%s -H 'Content-Type: application/json' -d '%s'", flags, gate, path, body)
	}
	ask := bodyOf("question", "How do I start?", "history", "[]", "api_key", token)
	ignored := "The answer still says source=handbook: the gate removes these fields and sets the source that the key is bound to."
	rejected := "The gate rejects it. The backend never sees it."
	ofPage := bodyOf("question", "How do I start?", "history", "[]", "api_key", pageToken)
	if u.backend == nil {
		ignored = "The answer comes from what the key is bound to: the gate removes these fields."
		rejected = "The gate rejects it. DocsGPT never sees it."
	}
	return []demo.Command{
		{Title: "Ask", Text: curl("-sS", "/api/answer", ask)},
		{Title: "Ask, and stream the answer", Text: curl("-sSN", "/stream", ask)},
		{Title: "Try to read another source", Shows: ignored, Text: curl("-sS", "/api/answer", crossSourceFields(token, u.other))},
		{Title: "Try without a key", Shows: rejected, Text: curl("-sS", "/api/answer",
			bodyOf("question", "Who earns what?", "history", "[]", "active_docs", u.other))},
		{
			Title: "Try the page's key on another page", Shows: "The gate rejects it: the key belongs to the page of this demo.",
			Text: strings.Replace(curl("-sS", "/api/answer", ofPage), " -d ", " -H 'Origin: https://other.example' -d ", 1),
		},
	}
}

// printDemo prints the addresses, the key and the commands to try.
func printDemo(w io.Writer, page demo.Page, pageURL, consoleURL string) error {
	upstream := "DocsGPT"
	if page.Backend != nil {
		upstream = "built-in backend"
	}
	var b strings.Builder
	fmt.Fprintf(&b, "\nOpen     %s   a page with the DocsGPT widget\n", pageURL)
	fmt.Fprintf(&b, "Console  %s   the console: create a key, try it, revoke it\n", consoleURL)
	fmt.Fprintf(&b, "Gate     %s   in front of the %s at %s\n", page.GateURL, upstream, page.Upstream)
	fmt.Fprintf(&b, "Keys     %s   of the page: only with its origin, at most %s per visitor\n", page.Token, page.Limit)
	fmt.Fprintf(&b, "         %s   for servers: in the commands below, never in a page\n", page.ServerToken)
	fmt.Fprintf(&b, "         Both are bound to %s.\n", page.Binding)
	for _, command := range page.Commands {
		fmt.Fprintf(&b, "\n# %s.", command.Title)
		if command.Shows != "" {
			fmt.Fprintf(&b, " %s", command.Shows)
		}
		fmt.Fprintf(&b, "\n%s\n", command.Text)
	}
	b.WriteString("\nCtrl-C ends the demo. Its keys are valid for this run only.\n")
	_, err := io.WriteString(w, b.String())
	return err
}
