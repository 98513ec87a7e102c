package initcmd

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"github.com/docsgate/docsgate/docsgpt/discovery"
)

// quickStart is the page that the next steps refer to.
const quickStart = "https://github.com/docsgate/docsgate/blob/main/docs/quick-start.md"

// nextSteps returns what to do with the written files, as text for a terminal. program is the name of this command for a shell.
func (c *config) nextSteps(f files, program string) string {
	var b strings.Builder
	step := 0
	next := func(text string) {
		step++
		fmt.Fprintf(&b, "\n%d. %s\n", step, text)
	}
	command := func(text string) { fmt.Fprintf(&b, "     %s\n", text) }
	config := ""
	if filepath.Clean(f.dir) != "." || c.adminPort != 0 {
		config = " --config " + quoted(f.caddyfile)
	}
	b.WriteString("\nNext steps\n")

	next("Run the gate:")
	run := program + " run --config " + quoted(f.caddyfile)
	if c.postgresURI != "" {
		run += " --envfile " + quoted(f.env)
	}
	command(run)
	if c.site.https && c.site.bind == "" {
		fmt.Fprintf(&b, "   The name %s must point to this machine. The gate needs ports 80 and 443, which this command allows:\n", c.site.host)
		command("sudo setcap cap_net_bind_service=+ep \"$(command -v " + program + ")\"")
	}

	adopted, store := slices.Contains(c.feeds, feedDocsGPT), slices.Contains(c.feeds, feedStore)
	switch {
	case adopted && store:
		next("Choose a key. Those that DocsGPT has created work unchanged. For a page, create one that can be revoked here:")
		command(program + " keys list" + config)
		command(program + " keys create --name \"Docs site\" --agent agent_ID" + config)
	case adopted:
		next("Choose a key. Those that DocsGPT has created work unchanged:")
		command(program + " keys list" + config)
	default:
		next("Create a key. It is bound to an agent of DocsGPT, whose key is read from the terminal:")
		command(program + " keys create --name \"Docs site\" --agent-key-stdin" + config)
	}
	if store {
		fmt.Fprintf(&b, "   The console does the same: http://localhost:%d\n", c.consolePort)
	}

	next("Ask:")
	command("curl " + c.site.url + "/api/answer -H 'Content-Type: application/json' \\")
	command("  -d '{\"question\": \"What is this about?\", \"api_key\": \"YOUR_KEY\"}'")

	next("Check the running gate:")
	check := program + " doctor --config " + quoted(f.caddyfile)
	if c.postgresURI != "" {
		check += " --envfile " + quoted(f.env)
	}
	command(check)

	next("In a page, only the host and the key of the widget change:")
	command("renderDocsGPTWidget(\"app\", {apiHost: \"" + c.site.url + "\", apiKey: \"YOUR_KEY\"});")

	next("Run the gate as a service, with a database role that can only read keys, and close DocsGPT's own ports:")
	command(quickStart)
	if c.noDatabase != "" {
		b.WriteString("\nTo use the keys that DocsGPT has created, ")
		if file := overrideFile(c.settings); file != "" {
			fmt.Fprintf(&b, "publish its database on this machine only. Write this to %s:\n", file)
			fmt.Fprintf(&b, "     services:\n       %s:\n         ports: [\"127.0.0.1:5432:5432\"]\n", c.settings.Database.Service)
			b.WriteString("   Then run \"docker compose up -d\" in that folder, ")
		} else {
			b.WriteString("make its database reachable, ")
		}
		b.WriteString("remove the new Caddyfile, and run this command again.\n")
	}
	return b.String()
}

// overrideFile returns the file that Docker Compose adds to DocsGPT's compose file automatically, in which the database can be published. It is
// empty if the file exists, or if Compose does not add one.
func overrideFile(s *discovery.Settings) string {
	if s == nil || s.Database.Service == "" || !plain(s.Database.Service) {
		return ""
	}
	dir, name := filepath.Split(s.File)
	stem := strings.TrimSuffix(name, filepath.Ext(name))
	isDefault := stem == "compose" || stem == "docker-compose"
	file := filepath.Join(dir, stem+".override"+filepath.Ext(name))
	if _, err := os.Lstat(file); !isDefault || filepath.Clean(dir) != filepath.Clean(s.Dir) || !errors.Is(err, fs.ErrNotExist) {
		return ""
	}
	return file
}

// quoted returns a text as one word for a shell.
func quoted(text string) string {
	if text != "" && !strings.ContainsFunc(text, func(r rune) bool {
		return (r < '0' || r > '9') && (r < 'A' || r > 'Z') && (r < 'a' || r > 'z') && !strings.ContainsRune("/._-+@", r)
	}) {
		return text
	}
	return "'" + strings.ReplaceAll(text, "'", `'\''`) + "'"
}
