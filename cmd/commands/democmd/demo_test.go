package democmd

import (
	"bufio"
	"encoding/json"
	"io"
	"maps"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/caddyserver/caddy/v2/caddyconfig"
	_ "github.com/caddyserver/caddy/v2/modules/standard"
	"github.com/spf13/cobra"

	"github.com/docsgate/docsgate/internal/docsgpttest"
)

// newDemo starts a demo on free ports and stops it with the test. Its files are in a temporary directory of the test.
func newDemo(t *testing.T, o options) (d *runningDemo, files string) {
	t.Helper()
	files = t.TempDir()
	t.Setenv("TMPDIR", files)
	o.listen = "127.0.0.1:0"
	d, err := startDemo(t.Context(), o)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(d.close)
	return d, files
}

// printed returns the output of the demo.
func printed(t *testing.T, d *runningDemo) string {
	t.Helper()
	var out strings.Builder
	if err := printDemo(&out, d.shown, d.pageURL, d.consoleURL); err != nil {
		t.Fatal(err)
	}
	return out.String()
}

var curlLine = regexp.MustCompile(`(?m)^curl (-\S+) (\S+) -H 'Content-Type: application/json' -d '([^']*)'$`)

// runCommands sends the requests of the printed commands, in order, and returns the responses.
func runCommands(t *testing.T, output string) (statuses []int, bodies []string) {
	t.Helper()
	for _, found := range curlLine.FindAllStringSubmatch(output, -1) {
		resp, err := http.Post(found[2], "application/json", strings.NewReader(found[3]))
		if err != nil {
			t.Fatal(err)
		}
		body, err := io.ReadAll(resp.Body)
		_ = resp.Body.Close()
		if err != nil {
			t.Fatal(err)
		}
		statuses, bodies = append(statuses, resp.StatusCode), append(bodies, string(body))
	}
	return statuses, bodies
}

// The printed commands have the results that the demo says.
func TestSampleCommands(t *testing.T) {
	d, files := newDemo(t, options{})
	output := printed(t, d)
	for _, want := range []string{d.pageURL, d.consoleURL, d.shown.GateURL, d.shown.Token, `the source "handbook"`} {
		if !strings.Contains(output, want) {
			t.Errorf("not printed: %s", want)
		}
	}
	if n := strings.Count(output, "\ncurl "); n != 4 {
		t.Fatalf("%d commands printed", n)
	}
	statuses, bodies := runCommands(t, output)
	if len(statuses) != 4 {
		t.Fatalf("%d of the printed commands are understood", len(statuses))
	}
	const fromHandbook = "source=handbook (" + handbookID + ") turns=1 asked="
	for i, name := range []string{"ask", "stream", "theft"} {
		said := bodies[i]
		if name == "stream" {
			said = joined(t, said)
		}
		if statuses[i] != 200 || !strings.Contains(said, fromHandbook) || strings.Contains(said, payrollID) {
			t.Errorf("%s: %d %s", name, statuses[i], said)
		}
	}
	if statuses[3] != 401 || !strings.Contains(bodies[3], `"message"`) {
		t.Errorf("without a key: %d %s", statuses[3], bodies[3])
	}
	for _, call := range d.shown.Backend.Calls() {
		holds := func(secret string) bool { return strings.Contains(string(call.Body), secret) }
		if call.Method == "POST" && !slices.ContainsFunc(slices.Collect(maps.Keys(d.shown.Secrets)), holds) {
			t.Errorf("the backend received a request without its own key: %s", call.Body)
		}
	}
	for secret := range d.shown.Secrets {
		if strings.Contains(output, secret) || strings.Contains(strings.Join(bodies, ""), secret) {
			t.Error("the backend's key is shown")
		}
	}
	if n := len(d.shown.Backend.Calls()); n != 3 {
		t.Errorf("the backend got %d requests", n)
	}

	page, err := http.Get(d.pageURL)
	if err != nil {
		t.Fatal(err)
	}
	html, _ := io.ReadAll(page.Body)
	_ = page.Body.Close()
	if page.StatusCode != 200 || !strings.Contains(string(html), d.shown.Token) ||
		!strings.Contains(page.Header.Get("Content-Security-Policy"), d.shown.GateURL) {
		t.Errorf("page: %d", page.StatusCode)
	}

	checkConsole(t, d)

	d.close()
	if left, _ := filepath.Glob(filepath.Join(files, "*")); len(left) > 0 {
		t.Errorf("files left: %v", left)
	}
	for _, url := range []string{d.pageURL, d.consoleURL, d.shown.GateURL, d.shown.Upstream} {
		if conn, err := net.Dial("tcp", strings.TrimPrefix(url, "http://")); err == nil {
			_ = conn.Close()
			t.Errorf("%s still listens", url)
		}
	}
}

// checkConsole creates a key as the console does, for a source that DocsGPT lists, and asks a question with it.
func checkConsole(t *testing.T, d *runningDemo) {
	t.Helper()
	read := func(resp *http.Response, err error) string {
		if err != nil {
			t.Fatal(err)
		}
		defer resp.Body.Close()
		text, err := io.ReadAll(resp.Body)
		if err != nil {
			t.Fatal(err)
		}
		return string(text)
	}
	if form := read(http.Get(d.consoleURL + "/new")); !strings.Contains(form, payrollID) {
		t.Error("the console does not offer the sources")
	}
	var created struct{ Token string }
	body := read(http.Post(d.consoleURL+"/v1/keys", "application/json", strings.NewReader(bodyOf("name", "Mine", "source", payrollID))))
	if err := json.Unmarshal([]byte(body), &created); err != nil || created.Token == "" {
		t.Fatalf("no key was created: %s", body)
	}
	answer := read(http.Post(d.shown.GateURL+"/api/answer", "application/json",
		strings.NewReader(bodyOf("question", "Who?", "history", "[]", "api_key", created.Token))))
	if !strings.Contains(answer, "("+payrollID+")") {
		t.Errorf("the new key: %s", answer)
	}
}

// joined returns the text of a streamed answer.
func joined(t *testing.T, stream string) (said string) {
	t.Helper()
	for line := range strings.SplitSeq(stream, "\n") {
		if line == "" {
			continue
		}
		data, found := strings.CutPrefix(line, "data: ")
		if !found {
			t.Fatalf("a line that the published widgets cannot read: %q", line)
		}
		var event struct{ Answer string }
		if err := json.Unmarshal([]byte(data), &event); err != nil {
			t.Fatal(err)
		}
		said += event.Answer
	}
	return said
}

// The demo works with an existing DocsGPT, for a key that is bound to an agent or to a source.
func TestExistingDocsGPT(t *testing.T) {
	const agentKey, accessToken = "11111111-2222-3333-4444-555555555555", "dgpt_pat_of-the-test"
	docsgpt := httptest.NewServer(docsgpttest.New(docsgpttest.Options{
		Label:   "other",
		Keys:    map[string][]string{agentKey: {handbookID}},
		Tokens:  map[string][]string{accessToken: {handbookID}},
		Sources: map[string]string{handbookID: "handbook", payrollID: "payroll"},
	}))
	t.Cleanup(docsgpt.Close)
	t.Setenv("TEST_AGENT_KEY", agentKey)
	t.Setenv("TEST_ACCESS_TOKEN", accessToken)
	for name, o := range map[string]options{
		"agent":  {docsgpt: docsgpt.URL, agentKeyEnv: "TEST_AGENT_KEY"},
		"source": {docsgpt: docsgpt.Listener.Addr().String(), source: handbookID, upstreamTokenEnv: "TEST_ACCESS_TOKEN"},
	} {
		t.Run(name, func(t *testing.T) {
			d, _ := newDemo(t, o)
			output := printed(t, d)
			statuses, bodies := runCommands(t, output)
			for i := range 3 {
				if i < len(statuses) && (statuses[i] != 200 || !strings.Contains(bodies[i], "other") ||
					!strings.Contains(bodies[i], handbookID)) {
					t.Errorf("command %d: %d %s", i+1, statuses[i], bodies[i])
				}
			}
			if len(statuses) != 4 || statuses[3] != 401 {
				t.Errorf("statuses %v", statuses)
			}
			if strings.Contains(output, agentKey) || strings.Contains(output, accessToken) {
				t.Error("a secret is printed")
			}
		})
	}
}

// A demo that cannot start returns an error that says what to do and contains no secret, and leaves no files.
func TestErrors(t *testing.T) {
	t.Setenv("TEST_AGENT_KEY", "some-agent-key")
	t.Setenv("TEST_EMPTY", "")
	const unused = "127.0.0.1:1"
	noDocsGPT := httptest.NewServer(http.NotFoundHandler())
	t.Cleanup(noDocsGPT.Close)
	for _, c := range []struct {
		name string
		o    options
		want string
	}{
		{"no address", options{listen: "nowhere"}, "--listen: write host:port"},
		{"no port for the page", options{page: "127.0.0.1:99999"}, "--page-listen: write host:port"},
		{"source without DocsGPT", options{source: handbookID}, "require --docsgpt"},
		{"no binding", options{docsgpt: unused, agentKeyEnv: "TEST_EMPTY"}, "environment variable TEST_EMPTY (--agent-key-env takes another name)"},
		{"no source id", options{docsgpt: unused, source: "nope"}, "--source: "},
		{"no token", options{docsgpt: unused, source: handbookID}, "needs --upstream-token-env"},
		{"empty token", options{docsgpt: unused, source: handbookID, upstreamTokenEnv: "TEST_EMPTY"}, "TEST_EMPTY is empty"},
		{"token without a source", options{docsgpt: unused, upstreamTokenEnv: "TEST_AGENT_KEY"}, "requires --source"},
		{"address with a path", options{docsgpt: "http://" + unused + "/path"}, "without a path"},
		{"address with a password", options{docsgpt: "http://name:hunter2@" + unused}, "without a name or password"},
		{"address of another protocol", options{docsgpt: "ftp://" + unused}, "http://host:port"},
		{"nothing listens", options{docsgpt: unused}, "DocsGPT does not respond at http://127.0.0.1:1: "},
		{"another server", options{docsgpt: noDocsGPT.URL}, "/api/health has status 404"},
	} {
		t.Run(c.name, func(t *testing.T) {
			files := t.TempDir()
			t.Setenv("TMPDIR", files)
			if c.o.listen == "" {
				c.o.listen = "127.0.0.1:0"
			}
			if c.o.agentKeyEnv == "" {
				c.o.agentKeyEnv = "TEST_AGENT_KEY"
			}
			d, err := startDemo(t.Context(), c.o)
			if err == nil {
				d.close()
				t.Fatal("the demo started")
			}
			if !strings.Contains(err.Error(), c.want) {
				t.Errorf("error %v\nwant %s", err, c.want)
			}
			if strings.Contains(err.Error(), "hunter2") || strings.Contains(err.Error(), "some-agent-key") {
				t.Errorf("the error contains a secret: %v", err)
			}
			if left, _ := os.ReadDir(files); len(left) > 0 {
				t.Errorf("files left: %v", left)
			}
		})
	}
}

// An interrupt ends the demo without an error, and leaves no files.
func TestInterrupt(t *testing.T) {
	files := t.TempDir()
	t.Setenv("TMPDIR", files)
	cmd := &cobra.Command{}
	setUp(cmd)
	cmd.SetArgs([]string{"--listen", "127.0.0.1:0"})
	output, printed := io.Pipe()
	cmd.SetOut(printed)
	ended := make(chan error, 1)
	go func() {
		ended <- cmd.ExecuteContext(t.Context())
		_ = printed.Close()
	}()
	lines := bufio.NewScanner(output)
	for lines.Scan() && !strings.HasPrefix(lines.Text(), "Ctrl-C") {
	}
	if left, _ := os.ReadDir(files); len(left) != 1 {
		t.Errorf("files while it runs: %v", left)
	}
	self, err := os.FindProcess(os.Getpid())
	if err != nil {
		t.Fatal(err)
	}
	if err := self.Signal(os.Interrupt); err != nil {
		t.Fatal(err)
	}
	if err := <-ended; err != nil {
		t.Errorf("the demo returned %v", err)
	}
	if left, _ := os.ReadDir(files); len(left) > 0 {
		t.Errorf("files left: %v", left)
	}
}

func TestPortInUse(t *testing.T) {
	taken, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = taken.Close() })
	files := t.TempDir()
	t.Setenv("TMPDIR", files)
	for flag, o := range map[string]options{
		"--listen":      {listen: taken.Addr().String(), page: "127.0.0.1:0"},
		"--page-listen": {listen: "127.0.0.1:0", page: taken.Addr().String()},
	} {
		d, err := startDemo(t.Context(), o)
		if err == nil {
			d.close()
			t.Fatalf("%s: started on a taken port", flag)
		}
		if want := "the address " + taken.Addr().String() + " is already in use: choose another with " + flag; !strings.Contains(err.Error(), want) {
			t.Errorf("%s: %v", flag, err)
		}
	}
	if left, _ := os.ReadDir(files); len(left) > 0 {
		t.Errorf("files left: %v", left)
	}
}

func TestGateConfig(t *testing.T) {
	c := gateConfig{
		dir: "/tmp/the demo", host: "127.0.0.1", port: "8080", upstream: "http://127.0.0.1:7091", tokenDigest: "5e88",
		source: handbookID, upstreamToken: "{env.TOKEN}", consolePort: "8082", gateURL: "http://127.0.0.1:8080",
	}
	const want = "{\n\tadmin off\n\tpersist_config off\n\tgrace_period 2s\n\tstorage file_system `/tmp/the demo/caddy`\n" +
		"\tlog default {\n\t\toutput stderr\n\t\tformat console\n\t\tlevel ERROR\n\t}\n" +
		"\tdocsgate {\n\t\tfeed file `/tmp/the demo/keys.yaml`\n\t\tfeed store `/tmp/the demo/keys.db`\n\t\tupstream_token `{env.TOKEN}`\n\t}\n}\n\n" +
		"http://:8080 {\n\tbind 127.0.0.1\n\tdocsgate `http://127.0.0.1:7091` {\n\t\tendpoints widget openai health\n\t}\n}\n" +
		"\nhttp://:8082 {\n\tbind 127.0.0.1\n\tdocsgate_console {\n\t\tpublic_url `http://127.0.0.1:8080`\n\t}\n}\n"
	if got := c.caddyfile(); got != want {
		t.Errorf("%s\nwant\n%s", got, want)
	}
	if _, _, err := caddyconfig.GetAdapter("caddyfile").Adapt([]byte(want), nil); err != nil {
		t.Error(err)
	}
	head := "keys:\n  - id: demo\n    name: Demo page\n    sha256: 5e88\n"
	if got := c.keyFile(); got != head+"    source: ['"+handbookID+"']\n" {
		t.Errorf("source: %s", got)
	}
	c.source, c.agent = "", "{file./tmp/it's/agent.key}"
	if got := c.keyFile(); got != head+"    agent: '{file./tmp/it''s/agent.key}'\n" {
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

// The body is one JSON object with the token and the other source, and can be put into single quotes in a shell.
func TestCrossSourceFields(t *testing.T) {
	body := crossSourceFields("dgk_x", payrollID)
	var fields map[string]any
	if err := json.Unmarshal([]byte(body), &fields); err != nil {
		t.Fatal(err)
	}
	for _, name := range []string{"active_docs", "selectDocs", "source"} {
		if fields[name] != payrollID {
			t.Errorf("%s is %v", name, fields[name])
		}
	}
	if fields["api_key"] != "dgk_x" || strings.Contains(body, "'") {
		t.Error(body)
	}
}
