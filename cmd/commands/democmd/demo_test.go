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

var curlLine = regexp.MustCompile(`(?m)^curl (-\S+) (\S+) -H 'Content-Type: application/json'(?: -H 'Origin: (\S+)')? -d '([^']*)'$`)

// runCommands sends the requests of the printed commands, in order, and returns the responses.
func runCommands(t *testing.T, output string) (statuses []int, bodies []string) {
	t.Helper()
	for _, found := range curlLine.FindAllStringSubmatch(output, -1) {
		resp, err := post(t, found[2], found[4], found[3])
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

// post sends a JSON body, with an Origin unless it is empty.
func post(t *testing.T, url, body, origin string) (*http.Response, error) {
	t.Helper()
	r, err := http.NewRequestWithContext(t.Context(), http.MethodPost, url, strings.NewReader(body))
	if err != nil {
		return nil, err
	}
	r.Header.Set("Content-Type", "application/json")
	if origin != "" {
		r.Header.Set("Origin", origin)
	}
	return http.DefaultClient.Do(r)
}

// The printed commands have the results that the demo says.
func TestSampleCommands(t *testing.T) {
	d, files := newDemo(t, options{})
	output := printed(t, d)
	for _, want := range []string{d.pageURL, d.consoleURL, d.shown.GateURL, d.shown.Token, d.shown.ServerToken, `the source "handbook"`} {
		if !strings.Contains(output, want) {
			t.Errorf("not printed: %s", want)
		}
	}
	if n := strings.Count(output, "\ncurl "); n != 5 {
		t.Fatalf("%d commands printed", n)
	}
	statuses, bodies := runCommands(t, output)
	if len(statuses) != 5 {
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
	if statuses[4] != 403 || !strings.Contains(bodies[4], "origin_not_allowed") {
		t.Errorf("the page's key on another page: %d %s", statuses[4], bodies[4])
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

	checkPageKey(t, d)
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

// checkPageKey checks what the page's key may be used for: answers on the page, and searches up to the limit of a visitor.
func checkPageKey(t *testing.T, d *runningDemo) {
	t.Helper()
	send := func(path, token, origin string) (int, string) {
		resp, err := post(t, d.shown.GateURL+path, bodyOf("question", "start", "api_key", token), origin)
		if err != nil {
			t.Fatal(err)
		}
		defer resp.Body.Close()
		text, err := io.ReadAll(resp.Body)
		if err != nil {
			t.Fatal(err)
		}
		return resp.StatusCode, string(text)
	}
	if status, text := send("/api/answer", d.shown.Token, d.pageURL); status != http.StatusOK {
		t.Errorf("the page's key: %d %s", status, text)
	}
	if status, text := send("/api/answer", d.shown.ServerToken, d.pageURL); status != http.StatusForbidden || !strings.Contains(text, "secret_key_in_browser") {
		t.Errorf("the server's key in a page: %d %s", status, text)
	}
	for n := range 100 {
		if status, text := send("/api/search", d.shown.Token, d.pageURL); status == http.StatusTooManyRequests {
			if n < 19 || !strings.Contains(text, "try again in") {
				t.Errorf("after %d searches: %s", n, text)
			}
			return
		}
	}
	t.Error("no limit was reached")
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
			if len(statuses) != 5 || statuses[3] != 401 || statuses[4] != 403 {
				t.Errorf("statuses %v", statuses)
			}
			if strings.Contains(output, agentKey) || strings.Contains(output, accessToken) {
				t.Error("a secret is printed")
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
