package initcmd

import (
	"errors"
	"fmt"
	"os"
	"slices"
	"strings"

	"github.com/caddyserver/caddy/v2/caddyconfig"

	"github.com/docsgate/docsgate/cmd/commands/doctorcmd"
	"github.com/docsgate/docsgate/cmd/commands/internal/cli"
)

// caddyfile returns the configuration in the format of "docsgate fmt". It contains no secrets.
func (c *config) caddyfile() string {
	var b strings.Builder
	b.WriteString("# The gate in front of a DocsGPT that already runs, written by \"docsgate init\".\n{\n")
	if c.adminPort != 0 {
		fmt.Fprintf(&b, "\t# Port 2019, Caddy's default, was in use. Commands find this one by the configuration: --config.\n\tadmin localhost:%d\n\n", c.adminPort)
	}
	b.WriteString("\tdocsgate {\n")
	if slices.Contains(c.feeds, feedDocsGPT) {
		fmt.Fprintf(&b, "\t\t# The keys that DocsGPT has created, unchanged. See docs/adopting.md.\n\t\tfeed docsgpt {env.%s}\n", uriVariable)
	}
	if slices.Contains(c.feeds, feedStore) {
		b.WriteString("\t\t# Keys that the gate issues: \"docsgate keys create\", or the console. Those that are bound to sources need a credential\n" +
			"\t\t# for DocsGPT, such as a personal access token, and then also \"upstream_token {env.DOCSGPT_TOKEN}\".\n\t\tfeed store\n")
	}
	b.WriteString(`		docsgpt_version auto
	}

	# Requests can have keys anywhere, so each log needs this format. This is the error log; the site's access log is below.
	log default {
		format docsgate
	}
}

`)
	if c.site.bind != "" {
		b.WriteString("# The address for clients, on this machine only. For others write a domain name here, and remove \"bind\".\n")
	} else {
		b.WriteString("# The address for clients: widgets, scripts, OpenAI clients.\n")
	}
	fmt.Fprintf(&b, "%s {\n", c.site.text)
	if c.site.bind != "" {
		fmt.Fprintf(&b, "\tbind %s\n", c.site.bind)
	}
	fmt.Fprintf(&b, `	log {
		format docsgate
	}
	docsgate %s {
		endpoints widget openai
	}
}
`, c.upstream)
	if c.site.anyName != "" {
		fmt.Fprintf(&b, "\n# Without this site, requests with another Host would get an empty page.\n%s {\n\tlog {\n\t\tformat docsgate\n\t}\n\trespond ", c.site.anyName)
		b.WriteString("`The host name \"{http.request.host}\" is not that of a site. Let the proxy in front pass on the original Host header.` 421\n}\n")
	}
	if !slices.Contains(c.feeds, feedStore) {
		return b.String() // the console needs the store
	}
	fmt.Fprintf(&b, `
# The console, a web page for keys, on this machine only.
http://localhost:%[1]d {
	bind 127.0.0.1
	docsgate_console {
		public_url %[2]s
	}
}

# The console accepts only its own name. Without this site, other names would get an empty page.
http://:%[1]d {
	bind 127.0.0.1
	respond `, c.consolePort, c.site.url)
	b.WriteString("`Open the console as http://localhost:{http.request.local.port}. The host name \"{http.request.host}\" is not its own.` 421\n}\n")
	return b.String()
}

// envFile returns the content of the env file, or "" if the configuration needs none.
func (c *config) envFile() string {
	if c.postgresURI == "" {
		return ""
	}
	return fmt.Sprintf("# The variables of the Caddyfile, written by \"docsgate init\". The address may contain the password of DocsGPT's database.\n%s=\"%s\"\n",
		uriVariable, escapeForEnvFile(c.postgresURI))
}

// validate loads the configuration as "docsgate validate" does, and sets the variable of the env file for this process.
func (c *config) validate(caddyfile, name string) error {
	if c.postgresURI != "" {
		if err := os.Setenv(uriVariable, escapeForEnvFile(c.postgresURI)); err != nil {
			return err
		}
	}
	adapter := caddyconfig.GetAdapter("caddyfile")
	if adapter == nil {
		return errors.New("\"init\" needs Caddy's standard modules, but this binary was built without them")
	}
	adapted, _, err := adapter.Adapt([]byte(caddyfile), map[string]any{"filename": name})
	if err != nil {
		return fmt.Errorf("adapting the new configuration: %w", err)
	}
	if err := doctorcmd.Validate(adapted); err != nil {
		reason, fix := cli.Explain(err.Error())
		if fix != "" {
			reason += ". " + strings.TrimSuffix(fix, ".")
		}
		return fmt.Errorf("the new configuration does not load, so it was not written: %s", reason)
	}
	return nil
}
