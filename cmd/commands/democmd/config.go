package democmd

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
)

// gateConfig holds the values that the configuration of the demo's gate is made of.
type gateConfig struct {
	dir           string // for the key file and Caddy's own storage; the caller removes it
	host, port    string // to listen on; port 0 selects a free port
	upstream      string // the address of the DocsGPT
	tokenDigest   string // SHA-256 of the page's token, in hex
	origin        string // of the page
	agent         string // placeholder of the upstream agent key, or empty
	source        string // id of the source, if there is no agent
	upstreamToken string // placeholder, or empty
	consolePort   string // of the console, on 127.0.0.1
	gateURL       string // URL of the gate for browsers, or empty if not known yet

	serverTokenDigest string // SHA-256 of the server's token, in hex
}

// pageLimit is the limit of one visitor of the page: enough to try the widgets, and soon reached with the page's button.
const pageLimit = "20/1m"

// keyFile returns the content of the key file.
func (c gateConfig) keyFile() string {
	binding := fmt.Sprintf("agent: %s", quoteYAML(c.agent))
	if c.agent == "" {
		binding = fmt.Sprintf("source: [%s]", quoteYAML(c.source))
	}
	return fmt.Sprintf(`keys:
  - id: demo
    name: Demo page
    sha256: %s
    %s
    kind: publishable
    origins: [%s]
    limits:
      visitor_requests: %s
  - id: demo-server
    name: Demo server
    sha256: %s
    %s
    kind: secret
`, c.tokenDigest, binding, quoteYAML(c.origin), pageLimit, c.serverTokenDigest, binding)
}

// caddyfile returns Caddy's configuration. It touches no file outside of c.dir.
func (c gateConfig) caddyfile() string {
	var b strings.Builder
	fmt.Fprintf(&b, `{
	admin off
	persist_config off
	grace_period 2s
	storage file_system %s
	log default {
		output stderr
		format docsgate {
			wrap console
		}
		level ERROR
	}
	docsgate {
		feed file %s
		feed store %s
`, quoteCaddyfile(filepath.Join(c.dir, "caddy")), quoteCaddyfile(c.keyFilePath()), quoteCaddyfile(filepath.Join(c.dir, "keys.db")))
	if c.upstreamToken != "" {
		fmt.Fprintf(&b, "\t\tupstream_token %s\n", quoteCaddyfile(c.upstreamToken))
	}
	fmt.Fprintf(&b, `	}
}

http://:%s {
`, c.port)
	if c.host != "" {
		fmt.Fprintf(&b, "\tbind %s\n", c.host)
	}
	fmt.Fprintf(&b, `	docsgate %s {
		endpoints widget openai health
	}
}

http://:%s {
	bind 127.0.0.1
	docsgate_console`, quoteCaddyfile(c.upstream), c.consolePort)
	if c.gateURL != "" {
		fmt.Fprintf(&b, " {\n\t\tpublic_url %s\n\t}", quoteCaddyfile(c.gateURL))
	}
	b.WriteString("\n}\n")
	return b.String()
}

func (c gateConfig) keyFilePath() string { return filepath.Join(c.dir, "keys.yaml") }

// writeKeyFile writes the key file with mode 0600.
func (c gateConfig) writeKeyFile() error {
	if err := os.WriteFile(c.keyFilePath(), []byte(c.keyFile()), 0o600); err != nil {
		return fmt.Errorf("writing the demo's key file: %w", err)
	}
	return nil
}

// quoteCaddyfile quotes a text as one Caddyfile token. The text must not contain a backquote.
func quoteCaddyfile(s string) string { return "`" + s + "`" }

func quoteYAML(s string) string { return "'" + strings.ReplaceAll(s, "'", "''") + "'" }
