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

var update = flag.Bool("update", false, "write docs/versions.md anew")

// TestVersionsPage holds docs/versions.md against the table. With -update it writes the page.
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
		t.Error("docs/versions.md is not what the table says; write it anew: go test ./docsgpt -run TestVersionsPage -update")
	}
}

const pageHead = `# Versions of DocsGPT

<!-- Made from the table in docsgpt/version.go. Write it anew with: go test ./docsgpt -run TestVersionsPage -update -->

What the gate does for each version of DocsGPT, and what it knows of it. Name yours with ` + "`docsgpt_version VERSION`" + ` in the
[global options](configuration.md), by its first two numbers: the newest one here that is not newer than yours. 0.8 means
0.8.1; what is older has no keys of its own and must not stand behind the gate. Without the option the newest is assumed.

## docsgpt_version auto

With ` + "`docsgpt_version auto`" + ` the gate asks DocsGPT once, when the configuration is loaded: without a credential, with GET
only, for at most three seconds. The log says what was found, and from what. The first ` + "`docsgate`" + ` directive that
names an upstream says whom to ask; where none does, since ` + "`reverse_proxy`" + ` forwards, write the address:
` + "`docsgpt_version auto localhost:7091`" + `.

A DocsGPT that does not answer, or cannot be told, is taken for the version that was found there last time (it is kept
in Caddy's storage), and else for the newest one, with a warning in the log: the gate comes up before its DocsGPT, too.
Where two versions look alike, the older one is taken; name yours if you want what only the newer one has.

`

// versionsPage makes the page.
func versionsPage() []byte {
	var page bytes.Buffer
	page.WriteString(pageHead)
	table(&page, []string{"version", "is told by"}, func(row func(...string)) {
		for i := range versions {
			row(versions[i].Name, markOf(i))
		}
	})

	page.WriteString("\n## What differs\n\n")
	table(&page, []string{
		"version", "source ids", "one key, several sources", "source bindings need `upstream_token`", "feedback of widgets",
		"`history`", "an unknown key on `/stream`", "limits", "stream beside typed `data:` events",
	}, func(row func(...string)) {
		for i := range versions {
			v := &versions[i]
			row(v.Name, sourceIDs[v.SourceID], yes(v.ManySources), yes(v.Accounts), feedbacks[v.Feedback], historyOf(v),
				badKeys[v.BadKey], yes(v.Limits), dialectText(v.Dialect))
		}
	})

	page.WriteString("\n## Endpoints\n\nWhat is served, and for keys with which binding. A group is opened with `endpoints`; " +
		"everything else is 404. Another\nbinding is refused with 403 and a sentence.\n\n")
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

	page.WriteString("\n## Members\n\nWhat of a client's body, query or form is let through, beside its token. `allow_fields` adds " +
		"members of JSON bodies, and the group\n`attachments` adds `attachments` to questions.\n\n")
	table(&page, []string{"endpoint", "members"}, func(row func(...string)) {
		for _, e := range allEndpoints() {
			row("`"+e.Method+" "+e.Path+"`", runs(func(v *Version) string {
				if found := find(v, e.Name); found != nil {
					return membersOf(found)
				}
				return ""
			}))
		}
	})

	page.WriteString("\n## Known holes that the gate closes\n\n")
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
	m := versions[i].Mark
	switch {
	case m.Post != "":
		return "`" + m.Post + "` takes only POST, and there is no `/swagger.json`"
	case m.AbsentPath != "":
		return "`/swagger.json` has `" + m.Has + "` and not `" + m.AbsentPath + "`"
	case m.Has != "":
		return "`/swagger.json` has `" + m.Has + "`"
	default:
		return "nothing; it is taken for " + versions[i-1].Name
	}
}

var (
	sourceIDs = map[SourceForm]string{
		SourcePath: "`default` or `local/NAME/`", SourceObjectID: "24 hexadecimal digits", SourceUUID: "UUID",
	}
	feedbacks = map[FeedbackRule]string{
		FeedbackOpen: "taken", FeedbackNone: "refused by the gate: only for people who are signed in",
		FeedbackKeyed: "taken from widget 0.5 on, for agent bindings",
	}
	badKeys = map[InvalidKeyResponse]string{
		BadKeyPage: "500, a page", BadKeyNamed: "401, an event", BadKeyEvent: "400, an event",
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
		parts = append(parts, "comments in silences")
	}
	if len(parts) == 0 {
		return "nothing"
	}
	return strings.Join(parts, ", ")
}

// allEndpoints are the endpoints of all versions, one of each name, by groups.
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

// find returns the endpoint of that name as a configuration without "allow_fields" serves it.
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
		return "refused"
	}
}

func membersOf(e *Endpoint) string {
	var names []string
	for _, m := range e.Members {
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

// runs tells a fact of all versions: those in a row that share it together. Versions whose fact is empty are left out.
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

func TestHolesNameVersions(t *testing.T) {
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
		if found := versions[i].Holes(); len(found) == 0 || len(found) == len(vulnerabilities) {
			t.Errorf("%s has %d of %d holes", versions[i].Name, len(found), len(vulnerabilities))
		}
	}
}
