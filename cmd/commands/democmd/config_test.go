package democmd

import (
	"net"
	"testing"

	"github.com/caddyserver/caddy/v2/caddyconfig"
)

func TestGateConfig(t *testing.T) {
	c := gateConfig{
		dir: "/tmp/the demo", host: "127.0.0.1", port: "8080", upstream: "http://127.0.0.1:7091", tokenDigest: "5e88",
		serverTokenDigest: "1a2b", origin: "http://127.0.0.1:8081",
		source: handbookID, upstreamToken: "{env.TOKEN}", consolePort: "8082", gateURL: "http://127.0.0.1:8080",
	}
	const want = "{\n\tadmin off\n\tpersist_config off\n\tgrace_period 2s\n\tstorage file_system `/tmp/the demo/caddy`\n" +
		"\tlog default {\n\t\toutput stderr\n\t\tformat docsgate {\n\t\t\twrap console\n\t\t}\n\t\tlevel ERROR\n\t}\n" +
		"\tdocsgate {\n\t\tfeed file `/tmp/the demo/keys.yaml`\n\t\tfeed store `/tmp/the demo/keys.db`\n\t\tupstream_token `{env.TOKEN}`\n\t}\n}\n\n" +
		"http://:8080 {\n\tbind 127.0.0.1\n\tdocsgate `http://127.0.0.1:7091` {\n\t\tendpoints widget openai health\n\t}\n}\n" +
		"\nhttp://:8082 {\n\tbind 127.0.0.1\n\tdocsgate_console {\n\t\tpublic_url `http://127.0.0.1:8080`\n\t}\n}\n"
	if got := c.caddyfile(); got != want {
		t.Errorf("%s\nwant\n%s", got, want)
	}
	if _, _, err := caddyconfig.GetAdapter("caddyfile").Adapt([]byte(want), nil); err != nil {
		t.Error(err)
	}
	keyFile := func(binding string) string {
		return "keys:\n  - id: demo\n    name: Demo page\n    sha256: 5e88\n    " + binding + "\n    kind: publishable\n" +
			"    origins: ['http://127.0.0.1:8081']\n    limits:\n      visitor_requests: 20/1m\n" +
			"  - id: demo-server\n    name: Demo server\n    sha256: 1a2b\n    " + binding + "\n    kind: secret\n"
	}
	if got := c.keyFile(); got != keyFile("source: ['"+handbookID+"']") {
		t.Errorf("source: %s", got)
	}
	c.source, c.agent = "", "{file./tmp/it's/agent.key}"
	if got := c.keyFile(); got != keyFile("agent: '{file./tmp/it''s/agent.key}'") {
		t.Errorf("agent: %s", got)
	}
}

func TestAddresses(t *testing.T) {
	for _, c := range []struct{ page, gateHost, gatePort, want string }{
		{"", "127.0.0.1", "8080", "127.0.0.1:8081"},
		{"", "127.0.0.1", "0", "127.0.0.1:0"},
		{"", "::1", "65535", "[::1]:0"},
		{"localhost:9000", "127.0.0.1", "8080", "localhost:9000"},
	} {
		host, port, err := pageAddress(c.page, c.gateHost, c.gatePort)
		if got := net.JoinHostPort(host, port); err != nil || got != c.want {
			t.Errorf("page %q, gate %s:%s: %s, %v", c.page, c.gateHost, c.gatePort, got, err)
		}
	}
	for host, want := range map[string]string{
		"": "http://127.0.0.1:80", "0.0.0.0": "http://127.0.0.1:80", "::": "http://127.0.0.1:80", "::1": "http://[::1]:80",
		"localhost": "http://localhost:80",
	} {
		if got := browserURL(host, "80"); got != want {
			t.Errorf("host %q: %s", host, got)
		}
	}
}
