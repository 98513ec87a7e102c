package docsgpt

import (
	"bytes"
	"flag"
	"fmt"
	"os"
	"slices"
	"strings"
	"testing"
)

var update = flag.Bool("update", false, "regenerate docs/versions.md")

// TestVersionsPage compares docs/versions.md with the table. With -update it writes the page.
func TestVersionsPage(t *testing.T) {
	const name = "../docs/versions.md"
	want := versionsPage()
	if *update {
		if err := os.WriteFile(name, want, 0o600); err != nil {
			t.Fatal(err)
		}
		return
	}
	got, err := os.ReadFile(name)
	if err != nil {
		t.Fatal(err)
	}
	if !bytes.Equal(got, want) {
		t.Error("docs/versions.md is out of date; regenerate it: go test ./docsgpt -run TestVersionsPage -update")
	}
}

const pageHead = `# Versions of DocsGPT

<!-- Generated from the table in docsgpt/version.go. To regenerate it: go test ./docsgpt -run TestVersionsPage -update -->

What the gate does for each version of DocsGPT, and what it knows about it. Set yours with ` + "`docsgpt_version VERSION`" + ` in the
[global options](configuration.md), by its first two numbers: the newest one here that is not newer than yours. 0.8 means
0.8.1; older versions have no keys and do not work behind the gate. Without the option the newest version is assumed.

## docsgpt_version auto

With ` + "`docsgpt_version auto`" + ` the gate asks DocsGPT once, when the configuration is loaded: without a credential, with GET
only, for at most three seconds. The log has the version and the evidence for it. The gate asks the upstream of the first
` + "`docsgate`" + ` directive that has one. If none does, since ` + "`reverse_proxy`" + ` forwards the requests, add the address:
` + "`docsgpt_version auto localhost:7091`" + `.

If DocsGPT does not answer, or its version cannot be detected, the gate assumes the version that it detected last (it is
kept in Caddy's storage), or else the newest one, and logs a warning: the gate can start before DocsGPT. If two versions
cannot be distinguished, the gate assumes the older one. Set yours if you need what only the newer one has.

`

// versionsPage generates the page.
func versionsPage() []byte {
	var page bytes.Buffer
	page.WriteString(pageHead)
	table(&page, []string{"version", "detected by"}, func(row func(...string)) {
		for i := range versions {
			row(versions[i].Name, markOf(i))
		}
	})

	page.WriteString("\n## What differs\n\n")
	table(&page, []string{
		"version", "source ids", "one key, several sources", "source bindings need `upstream_token`", "feedback of widgets",
		"`history`", "an unknown key on `/stream`", "limits", "answers can be canceled", "in the stream, besides typed `data:` events",
	}, func(row func(...string)) {
		for i := range versions {
			v := &versions[i]
			row(v.Name, sourceIDs[v.SourceID], yes(v.ManySources), yes(v.Accounts), feedbacks[v.Feedback], historyOf(v),
				badKeys[v.InvalidKey], yes(v.Limits), yes(v.CancelsAnswers), dialectText(v.Dialect))
		}
	})

	page.WriteString("\n## Endpoints\n\nThe endpoints that are served, and the bindings that keys need for them. The option `endpoints` enables groups; " +
		"everything else is\n404. A key with another binding is rejected with 403.\n\n")
	table(&page, []string{"group", "endpoint", "versions and bindings"}, func(row func(...string)) {
		for _, e := range allEndpoints() {
			row(string(e.Group), "`"+e.Method+" "+e.Path+"`", runs(func(v *Version) string {
				if found := find(v, e.Name); found != nil {
					return bindingsOf(found)
				}
				return ""
			}))
		}
	})

	page.WriteString("\n## Fields\n\nThe fields of a client's body, query or form that are forwarded, besides its token. `allow_fields` adds " +
		"fields of JSON bodies, and the\ngroup `attachments` adds `attachments` to questions.\n\n")
	table(&page, []string{"endpoint", "fields"}, func(row func(...string)) {
		for _, e := range allEndpoints() {
			row("`"+e.Method+" "+e.Path+"`", runs(func(v *Version) string {
				if found := find(v, e.Name); found != nil {
					return fieldsOf(found)
				}
				return ""
			}))
		}
	})

	page.WriteString("\n## Known vulnerabilities that the gate mitigates\n\n")
	table(&page, []string{"versions", "DocsGPT", "the gate"}, func(row func(...string)) {
		for _, h := range vulnerabilities {
			row(fromTo(h.First, h.Last), h.Description, h.Mitigation)
		}
	})
	return page.Bytes()
}

func table(page *bytes.Buffer, head []string, fill func(row func(...string))) {
	row := func(cells ...string) { fmt.Fprintf(page, "| %s |\n", strings.Join(cells, " | ")) }
	row(head...)
	page.WriteString(strings.Repeat("|---", len(head)) + "|\n")
	fill(row)
}

func markOf(i int) string {
	m := versions[i].Fingerprint
	switch {
	case m.Post != "":
		return "`" + m.Post + "` accepts only POST, and there is no `/swagger.json`"
	case m.AbsentPath != "":
		return "`/swagger.json` has `" + m.Has + "` but not `" + m.AbsentPath + "`"
	case m.Has != "":
		return "`/swagger.json` has `" + m.Has + "`"
	default:
		return "nothing; it is detected as " + versions[i-1].Name
	}
}

var (
	sourceIDs = map[SourceForm]string{
		SourcePath: "`default` or `local/NAME/`", SourceObjectID: "24 hexadecimal digits", SourceUUID: "UUID",
	}
	feedbacks = map[FeedbackRule]string{
		FeedbackOpen: "accepted", FeedbackNone: "rejected by the gate: only for users who are signed in",
		FeedbackKeyed: "accepted from widget 0.5 on, for agent bindings",
	}
	badKeys = map[InvalidKeyResponse]string{
		InvalidKeyPage: "500, a page", InvalidKeyNamed: "401, an event", InvalidKeyEvent: "400, an event",
	}
)

func yes(b bool) string {
	if b {
		return "yes"
	}
	return "no"
}

func historyOf(v *Version) string {
	text := "JSON text"
	if v.ArrayHistory {
		text = "JSON text; an array on `/api/answer`"
	}
	switch {
	case v.StreamHistory != "" && v.AnswerHistory != "":
		text += "; added where missing"
	case v.StreamHistory != "":
		text += "; added where missing on `/stream`"
	case v.AnswerHistory != "":
		text += "; added where missing on `/api/answer`"
	}
	return text
}

func dialectText(d Dialect) string {
	var parts []string
	if !d.Typed {
		parts = append(parts, "text without a type")
	}
	if d.Numbered {
		parts = append(parts, "`id:` lines")
	}
	if d.Keepalives {
		parts = append(parts, "comments while nothing is sent")
	}
	if len(parts) == 0 {
		return "nothing"
	}
	return strings.Join(parts, ", ")
}

// allEndpoints returns the endpoints of all versions, one of each name, ordered by group.
func allEndpoints() []Endpoint {
	var all []Endpoint
	for _, group := range Groups() {
		for i := len(versions) - 1; i >= 0; i-- {
			for _, e := range versions[i].endpoints() {
				known := slices.ContainsFunc(all, func(other Endpoint) bool { return other.Name == e.Name })
				if e.Group == group && !known {
					all = append(all, e)
				}
			}
		}
	}
	return all
}

// find returns the endpoint of that name, as served without "allow_fields", or nil.
func find(v *Version, name string) *Endpoint {
	for _, e := range v.endpoints() {
		if e.Name != name {
			continue
		}
		routes, err := NewRoutes(v, []Group{e.Group}, nil)
		if err != nil {
			panic(err)
		}
		for _, served := range routes.Endpoints() {
			if served.Name == name {
				return served
			}
		}
	}
	return nil
}

func bindingsOf(e *Endpoint) string {
	switch {
	case e.Token == TokenNone:
		return "no key"
	case e.Agents && e.Sources:
		return "agent, source"
	case e.Agents:
		return "agent"
	case e.Sources:
		return "source"
	default:
		return "rejected"
	}
}

func fieldsOf(e *Endpoint) string {
	var names []string
	for _, m := range e.Fields {
		names = append(names, "`"+m.Name+"`")
	}
	for _, p := range e.Params {
		names = append(names, "`"+p.Name+"`")
	}
	if len(names) == 0 {
		return "none"
	}
	return strings.Join(names, " ")
}

// runs lists a fact of all versions, grouped into ranges that share it. Versions whose fact is empty are left out.
func runs(fact func(*Version) string) string {
	var parts []string
	for i := 0; i < len(versions); {
		text, first := fact(&versions[i]), i
		for i < len(versions) && fact(&versions[i]) == text {
			i++
		}
		if text != "" {
			parts = append(parts, fromTo(versions[first].Name, versions[i-1].Name)+": "+text)
		}
	}
	return strings.Join(parts, "; ")
}

func fromTo(first, last string) string {
	if first == last {
		return first
	}
	return first + " to " + last
}

func TestVulnerabilitiesAreComplete(t *testing.T) {
	names := VersionNames()
	for _, h := range vulnerabilities {
		if first, last := slices.Index(names, h.First), slices.Index(names, h.Last); first < 0 || last < first {
			t.Errorf("%s to %s: %s", h.First, h.Last, h.Description)
		}
		if !strings.HasSuffix(h.Description, ".") || !strings.HasSuffix(h.Mitigation, ".") || strings.Contains(h.Description+h.Mitigation, "|") {
			t.Errorf("not a sentence: %s %s", h.Description, h.Mitigation)
		}
	}
	for i := range versions {
		if found := vulnerabilitiesOf(&versions[i]); len(found) == 0 || len(found) == len(vulnerabilities) {
			t.Errorf("%s has %d of %d vulnerabilities", versions[i].Name, len(found), len(vulnerabilities))
		}
	}
}
