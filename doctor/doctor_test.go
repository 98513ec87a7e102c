package doctor

import (
	"crypto/tls"
	"net/http"
	"net/http/httptest"
	"net/url"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/docsgate/docsgate/upstream"
)

func TestClassifyBuffering(t *testing.T) {
	const s = time.Second
	for _, c := range []struct {
		name    string
		outside timing
		inside  *timing
		want    Severity
	}{
		{"streamed", timing{first: s, last: 3 * s, pieces: 20, events: 20}, nil, OK},
		{"streamed by HTTP/1.0 without a length", timing{first: s, last: 2 * s, pieces: 3, events: 3}, nil, OK},
		{"known length", timing{first: s, last: s, pieces: 1, events: 20, hasLength: true}, nil, Failure},
		{"an error response has a length", timing{first: s, last: s, pieces: 1, events: 1, hasLength: true}, nil, Unknown},
		{"fast", timing{first: s / 10, last: s / 10, pieces: 1, events: 30}, nil, Unknown},
		{"fast in both places", timing{first: s, last: s, pieces: 1, events: 30}, &timing{first: s, last: s + s/10, pieces: 5}, Unknown},
		{"buffered", timing{first: 4 * s, last: 4 * s, pieces: 1, events: 30}, &timing{first: s, last: 4 * s, pieces: 30}, Failure},
		{"partly buffered", timing{first: 3 * s, last: 3*s + s/2, pieces: 2, events: 30}, &timing{first: s, last: 4 * s, pieces: 30}, Unknown},
		{"long delay, then all", timing{first: 9 * s, last: 9 * s, pieces: 1, events: 30}, nil, Warning},
		{"long delay at the gate, too", timing{first: 9 * s, last: 9 * s, pieces: 1, events: 30}, &timing{first: 9 * s, last: 9 * s, pieces: 1}, Unknown},
		{"long delay, then a word", timing{first: 9 * s, last: 9 * s, pieces: 1, events: 3}, nil, Unknown},
	} {
		t.Run(c.name, func(t *testing.T) {
			if got := classifyBuffering(c.outside, c.inside); got.severity != c.want {
				t.Errorf("%s: %s", got.severity, got.summary)
			}
		})
	}
}

func TestFindWidget(t *testing.T) {
	const host, key = "https://ask.example.com", "dgk_x"
	for _, c := range []struct {
		name, page  string
		hosts, keys []string
	}{
		{"script", `<script>renderDocsGPTWidget("app", {apiHost: "` + host + `", apiKey: '` + key + `'})</script>`, []string{host}, []string{key}},
		{"JSON", `<script>var c = {"apiHost":"` + host + `","apiKey":"` + key + `"}</script>`, []string{host}, []string{key}},
		{"JSX left in a script", `<script>h(<DocsGPTWidget apiHost={"` + host + `"} apiKey="` + key + `" />)</script>`, []string{host}, []string{key}},
		{"attributes", `<docsgpt-chat data-api-host="` + host + `" data-api-key="` + key + `">`, []string{host}, []string{key}},
		{"attributes without dashes", `<div class=w data-apihost=` + host + ` data-apiKey=` + key + `>`, []string{host}, []string{key}},
		{"one setting twice", `<script>const a = {apiHost: "` + host + `"}, b = {apiHost: "` + host + `"}</script>`, []string{host}, nil},
		{"defaults in the package", `<script>renderDocsGPTWidget; ({apiHost:e="https://gptcloud.arc53.com",apiKey:n="82962c9a"})=>0</script>`, nil, nil},
		{"the key of another library", `<script>docsearch({apiKey: "of-another", indexName: "x"})</script>`, nil, nil},
		{"text that is not a script", `<p>Write apiHost: "https://example.com" and apiKey: "x"</p>`, nil, nil},
	} {
		t.Run(c.name, func(t *testing.T) {
			w := findWidget([]byte(c.page))
			if !slices.Equal(w.hosts, c.hosts) || !slices.Equal(w.keys, c.keys) {
				t.Errorf("hosts %q, keys %q", w.hosts, w.keys)
			}
		})
	}
}

func TestPageMixedContent(t *testing.T) {
	x := &runner{opts: Options{URL: "http://ask.example.com"}}
	at, _ := url.Parse("https://docs.example.com/")
	x.checkPageHosts(at, []string{"http://ask.example.com"})
	x.checkPageHosts(at, []string{"http://localhost:8080"}) // browsers allow that; it is another server
	if x.worst("page.mixed_content") != Failure || len(x.Findings) != 2 || x.Findings[1].ID != "page.host" {
		t.Errorf("found %+v", x.Findings)
	}
}

func TestPageHostOtherSiteName(t *testing.T) {
	at, _ := url.Parse("https://docs.example.com/")
	two := Gate{Site: Site{Hosts: []string{"ask.example.com", "ask.example.org"}, Listen: []string{":443"}, TLS: Yes}}
	for host, want := range map[string]Severity{
		"https://ask.example.com": OK, "https://ask.example.org": OK, "https://ask.example.org:7091": Failure, "https://ask.example.net": Failure,
	} {
		x := &runner{opts: Options{URL: "https://ask.example.com"}, input: Input{Gates: []Gate{two}}}
		x.findGate()
		x.checkPageHosts(at, []string{host})
		if got := x.worst("page.host"); got != want {
			t.Errorf("%s: %q", host, got)
		}
	}
}

// Caddy responds with an empty 200 if no site has the requested host name.
func TestGateEmptyResponse(t *testing.T) {
	server := httptest.NewServer(http.HandlerFunc(func(http.ResponseWriter, *http.Request) {}))
	defer server.Close()
	r := Examine(t.Context(), Input{}, Options{URL: server.URL})
	at := slices.IndexFunc(r.Findings, func(f Finding) bool { return f.ID == "gate.answers" && f.Severity == Failure })
	if at < 0 || !strings.Contains(r.Findings[at].Fix, "Host header") {
		t.Errorf("%+v", r.Findings)
	}
}

func TestPublicHost(t *testing.T) {
	for host, want := range map[string]bool{
		"ask.example.com": true, "ASK.Example.Com.": true, "203.0.113.5": true, "2001:db8::1": true, "*.example.com": true,
		"localhost": false, "backend": false, "docs.internal": false, "gate.local": false, "127.0.0.1": false, "::1": false,
		"10.1.2.3": false, "192.168.0.4": false, "fd00::2": false, "0.0.0.0": false, "::ffff:10.0.0.1": false,
	} {
		if got := publicHost(host); got != want {
			t.Errorf("%s: %t", host, got)
		}
	}
}

func TestListensLocally(t *testing.T) {
	for listen, want := range map[string]bool{
		"localhost:2019": true, "127.0.0.1:8080": true, "[::1]:80": true, "tcp/127.0.0.9:80": true, "unix//run/x.sock|0600": true,
		"localhost": true, ":8080": false, "0.0.0.0:80": false, "tcp/:443": false, "192.0.2.1:80": false, "example.com:80": false,
	} {
		if got := listensLocally(listen); got != want {
			t.Errorf("%s: %t", listen, got)
		}
	}
}

func TestUpstreamPlaintext(t *testing.T) {
	for address, want := range map[string]Severity{
		"http://docsgpt.example.com:7091": Warning, "https://docsgpt.example.com": "", "http://10.0.0.3:7091": "", "backend:7091": "",
		"unix//run/docsgpt.sock": "",
	} {
		parsed, err := upstream.ParseAddress(address)
		if err != nil {
			t.Fatal(err)
		}
		x := new(runner)
		x.checkPlaintext(Upstream{Address: parsed})
		if got := x.worst("docsgpt.plaintext"); got != want {
			t.Errorf("%s: %q", address, got)
		}
	}
}

func TestExposureRemoteDocsGPT(t *testing.T) {
	parsed, err := upstream.ParseAddress("http://192.0.2.9:7091")
	if err != nil {
		t.Fatal(err)
	}
	x := &runner{input: Input{Gates: []Gate{{Upstreams: []Upstream{{Address: parsed}}}}}, opts: Options{Local: []string{"192.0.2.2"}}}
	x.checkExposure(t.Context())
	if x.worst("backend.exposed") != Unknown {
		t.Errorf("found %+v", x.Findings)
	}
}

func TestResponseContains(t *testing.T) {
	for name, c := range map[string]struct {
		body string
		want bool
	}{
		"stream, in pieces": {"data: {\"type\":\"answer\",\"answer\":\"The Wal\"}\n\ndata: {\"type\":\"answer\",\"answer\":\"rus 73\"}\n\n" +
			"data: {\"type\":\"source\",\"source\":[]}\n\ndata: {\"type\":\"answer\",\"answer\":\"91.\"}\n\n", true},
		"stream, in a source": {`data: {"type":"source","source":[{"text":"x\nwalrus\t7391"}]}` + "\n\n", true},
		"JSON":                {`{"answer": "walrus\u00207391"}`, true},
		"OpenAI, in pieces": {`data: {"choices":[{"delta":{"content":"walrus "}}]}` + "\n\n" +
			`data: {"choices":[{"delta":{"content":"7391"}}]}` + "\n\ndata: [DONE]\n\n", true},
		"plain text":     {"walrus 7391", true},
		"something else": {`{"answer": "walrus 7392"}`, false},
		"nothing":        {"", false},
	} {
		t.Run(name, func(t *testing.T) {
			if got := (&response{body: []byte(c.body)}).contains("Walrus 7391"); got != c.want {
				t.Errorf("%t", got)
			}
		})
	}
}

func TestAllowProblem(t *testing.T) {
	for name, c := range map[string]struct {
		header http.Header
		fault  bool
	}{
		"star":               {http.Header{"Access-Control-Allow-Origin": {"*"}}, false},
		"the origin itself":  {http.Header{"Access-Control-Allow-Origin": {anyOrigin}}, false},
		"none":               {http.Header{}, true},
		"two":                {http.Header{"Access-Control-Allow-Origin": {"*", "*"}}, true},
		"two in one":         {http.Header{"Access-Control-Allow-Origin": {"*, *"}}, true},
		"another":            {http.Header{"Access-Control-Allow-Origin": {"https://example.com"}}, true},
		"only other origins": {http.Header{"Vary": {"Accept-Encoding, Origin"}}, true},
		"with credentials":   {http.Header{"Access-Control-Allow-Origin": {"*"}, "Access-Control-Allow-Credentials": {"true"}}, true},
	} {
		if got := allowProblem(c.header, anyOrigin); (got != "") != c.fault {
			t.Errorf("%s: %q", name, got)
		}
	}
}

func TestFindingsRedactSecrets(t *testing.T) {
	r := report{secrets: []string{"", "dgk_secret"}}
	r.fail("page.host", "asks http://dgk_secret/", "replace dgk_secret")
	if f := r.Findings[0]; strings.Contains(f.Summary+f.Fix, "secret") {
		t.Errorf("%+v", f)
	}
}

// The IDs in the code are the headings of the page that findings link to.
func TestEveryFindingIsDocumented(t *testing.T) {
	sources, err := filepath.Glob("*.go")
	if err != nil {
		t.Fatal(err)
	}
	var used []string
	inCode := regexp.MustCompile(`x\.(?:ok|note|unknown|warn|fail|add)\("([a-z]+\.[a-z_]+)"`)
	for _, name := range sources {
		text, err := os.ReadFile(name)
		if err != nil {
			t.Fatal(err)
		}
		if strings.HasSuffix(name, "_test.go") {
			continue
		}
		for _, m := range inCode.FindAllSubmatch(text, -1) {
			used = append(used, string(m[1]))
		}
	}
	text, err := os.ReadFile(filepath.Join("..", page))
	if err != nil {
		t.Fatal(err)
	}
	var documented []string
	for _, m := range regexp.MustCompile(`(?m)^### ([a-z._]+)$`).FindAllSubmatch(text, -1) {
		documented = append(documented, string(m[1]))
	}
	slices.Sort(used)
	used = slices.Compact(used)
	slices.Sort(documented)
	if !slices.Equal(used, documented) {
		t.Errorf("in the code %q, on the page %q", used, documented)
	}
	for _, id := range used {
		if !slices.Contains(areas, Finding{ID: id}.Area()) {
			t.Errorf("%s has an unknown area", id)
		}
	}
}

func TestTLSPlaintext(t *testing.T) {
	behind := Gate{Site: Site{Listen: []string{":8080"}, TLS: No}}
	named := Gate{Site: Site{Hosts: []string{"ask.example.com"}, Listen: []string{":80"}, TLS: No}}
	for _, c := range []struct {
		name, url string
		gates     []Gate
		want      Severity
	}{
		{"clients speak http", "http://ask.example.com", nil, Failure},
		{"clients speak http in a private network", "http://192.168.0.4:8080", nil, ""},
		{"a server in front terminates TLS", "https://ask.example.com", []Gate{behind}, OK},
		{"no host name, no --url", "", []Gate{behind}, Warning},
		{"a public name over plain HTTP", "", []Gate{named}, Failure},
		{"a second site over plain HTTP", "https://other.example.com", []Gate{behind, named}, Failure},
		{"with a certificate", "", []Gate{{Site: Site{Hosts: []string{"ask.example.com"}, Listen: []string{":443"}, TLS: Yes}}}, OK},
		{"this machine only", "", []Gate{{Site: Site{Listen: []string{"127.0.0.1:8080"}, TLS: No}}}, OK},
	} {
		t.Run(c.name, func(t *testing.T) {
			x := &runner{input: Input{Gates: c.gates}, opts: Options{URL: c.url}}
			x.findGate()
			x.checkTLS(t.Context())
			if got := x.worst("tls.plaintext"); got != c.want {
				t.Errorf("%q, with %+v", got, x.Findings)
			}
		})
	}
}

func TestUpstreamUnverifiedCertificate(t *testing.T) {
	parsed, err := upstream.ParseAddress("https://docsgpt.example.com")
	if err != nil {
		t.Fatal(err)
	}
	x := new(runner)
	x.checkPlaintext(Upstream{Address: parsed, TLS: &tls.Config{InsecureSkipVerify: true}})
	if x.worst("docsgpt.plaintext") != Warning {
		t.Errorf("found %+v", x.Findings)
	}
}
