package commands

import (
	"bytes"
	"errors"
	"io"
	"io/fs"
	"net/http"
	"net/http/httptest"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/spf13/cobra"

	"github.com/docsgate/docsgate/doctor"
)

// Every way to break a deployment gives the findings that it should, and no others; the whole one gives none. DocsGPT
// writes its answers at once but where a case sets a pace: then it is not told whether they are held back.
func TestDoctorFindsWhatIsBroken(t *testing.T) {
	notFound := http.NotFound
	const tooQuick = "unknown stream.buffered"
	for _, c := range []struct {
		name   string
		breaks func(*ward)
		want   []string
	}{
		{"whole", (*ward).paced, nil},
		{"whole, with reverse_proxy", func(w *ward) {
			w.paced()
			w.gate = "docsgate {\nendpoints widget openai\n}\nreverse_proxy {$DOCSGPT}"
		}, nil},
		{"whole, with the key in a script of the page", func(w *ward) {
			w.page = `<div id=app></div><script src="/app.js"></script>`
		}, nil},
		{"whole, without --url", func(w *ward) {
			w.paced()
			w.doctor.URL, w.page = "", ""
		}, nil},
		{"whole, without a key", func(w *ward) { w.doctor.keyFile, w.doctor.Source, w.doctor.Canary = "", "", "" }, nil},

		{"whole, for some paths of a site", func(w *ward) {
			w.paced()
			w.gate = "handle /stream* {\ndocsgate {$DOCSGPT}\n}\nhandle {\nrespond <h1>Welcome</h1>\n}"
		}, nil},
		{"whole, for OpenAI clients only", func(w *ward) {
			w.paced()
			w.gate = "docsgate {$DOCSGPT} {\nendpoints openai\n}"
		}, nil},
		{"whole, with a DocsGPT that answers its own pages only", func(w *ward) { w.strict = true }, nil},
		{"whole, on two sites", func(w *ward) {
			w.more = "http://second.localhost:" + w.free() + " {\nbind 127.0.0.1\ndocsgate {$DOCSGPT}\n}"
		}, []string{"note gate.answers"}},

		// The configuration.
		{"a mistake in the Caddyfile", func(w *ward) {
			w.stay()
			w.gate = "docsgate {$DOCSGPT} {\nendpoint widget\n}"
		}, []string{"failure config.loads"}},
		{"a setting that cannot be met", func(w *ward) {
			w.stay()
			w.options = "feed file " + w.path("nowhere.yaml")
		}, []string{"failure config.loads", "note config.running", "unknown feeds.readable", "unknown gate.answers"}},
		{"no gate in it", func(w *ward) { w.gate = "respond ok" }, []string{
			"failure config.gate", "failure gate.answers", "unknown page.key",
		}},
		{"another configuration runs", func(w *ward) {
			w.edit("endpoints widget openai", "endpoints openai widget")
		}, []string{"note config.running"}},
		{"nothing runs", (*ward).stay, []string{"note config.running", "unknown gate.answers"}},
		{"nothing runs where it should", func(w *ward) { w.idle = true }, []string{
			"failure gate.answers", "note config.running", "unknown page.key",
		}},

		// DocsGPT.
		{"DocsGPT is away", func(w *ward) { w.docsgpt = "127.0.0.1:" + w.free() }, []string{
			"failure docsgpt.reachable", "failure stream.answer", "unknown canary.foreign",
		}},
		{"something else is there", func(w *ward) {
			w.hidden["/swagger.json"], w.hidden["/api/health"] = notFound, notFound
		}, []string{"failure docsgpt.reachable"}},
		{"another version", func(w *ward) { w.hidden["/swagger.json"] = describedAs("/api/user/tokens") }, []string{"failure docsgpt.version"}},
		{"a version that hides", func(w *ward) { w.hidden["/swagger.json"] = notFound }, []string{"unknown docsgpt.version"}},
		{"AUTH_TYPE unset", func(w *ward) { w.open = true }, []string{"warning docsgpt.open"}},
		{"AUTH_TYPE unset, seen by a list", func(w *ward) {
			w.hidden["/api/config"] = notFound
			w.hidden["/api/get_conversations"] = func(out http.ResponseWriter, _ *http.Request) { sendJSON(out, "[]") }
		}, []string{"warning docsgpt.open"}},
		{"AUTH_TYPE hidden", func(w *ward) { w.hidden["/api/config"] = notFound }, []string{"unknown docsgpt.open"}},
		{"its port open on this machine", func(w *ward) { w.doctor.Local = []string{"127.0.0.1"} }, []string{"failure backend.exposed"}},
		{"its port open outside", func(w *ward) {
			w.startDocsGPT("127.0.0.1")
			w.doctor.Backends = []string{w.docsgpt}
		}, []string{"failure backend.exposed"}},
		{"its port open outside, with HTTPS", func(w *ward) {
			server := httptest.NewTLSServer(describedAs("/api/answer"))
			w.t.Cleanup(server.Close)
			w.doctor.Backends = []string{server.Listener.Addr().String()}
		}, []string{"failure backend.exposed"}},
		{"the gate in place of DocsGPT's port", func(w *ward) {
			w.gate = "docsgate {$DOCSGPT} {\nendpoints widget openai health\n}"
			w.doctor.Backends = []string{"127.0.0.1:" + w.port}
		}, nil},
		{"the upstream in a placeholder that nobody sets", func(w *ward) {
			w.stay()
			w.gate = "docsgate {env.WARD_NOTHING}"
		}, []string{"failure config.loads", "note config.running", "unknown docsgpt.reachable", "unknown feeds.readable", "unknown gate.answers"}},

		// Keys.
		{"no feed", func(w *ward) { w.options = "docsgpt 1.1" }, []string{
			"failure feeds.configured", "failure key.valid", "failure page.key", "unknown canary.foreign",
		}},
		{"no keys", func(w *ward) { w.writeFile("keys.yaml", "keys: []\n") }, []string{
			"failure key.valid", "failure page.key", "unknown canary.foreign", "warning feeds.keys",
		}},
		{"a feed that fails", func(w *ward) {
			w.after = func() {
				w.writeFile("keys.yaml", "keys: {\n")
				w.until(`caddy_docsgate_feed_failing{feed="file:` + w.path("keys.yaml") + `"} 1`)
			}
		}, []string{"failure config.loads", "failure feeds.readable"}},
		{"a key that the gate does not know", func(w *ward) { w.writeFile("token", "another-token") }, []string{
			"failure key.valid", "unknown canary.foreign",
		}},

		// Past the gate.
		{"a path past the gate", func(w *ward) {
			w.open = true
			w.before = "handle /api/answer {\nreverse_proxy {$DOCSGPT}\n}"
		}, []string{
			"failure canary.foreign", "failure errors.shape", "failure gate.keyless",
			"warning docsgpt.open",
		}},
		{"DocsGPT's administration beside the gate", func(w *ward) {
			w.before = "handle /swagger.json {\nreverse_proxy {$DOCSGPT}\n}"
			w.hidden["/swagger.json"] = func(out http.ResponseWriter, r *http.Request) {
				out.Header().Set("Access-Control-Allow-Origin", "*")
				describedAs("/api/sources/defaults")(out, r)
			}
		}, []string{"failure gate.closed"}},
		{"another site past the gate, for everybody", func(w *ward) {
			w.hidden["/api/get_agents"] = func(out http.ResponseWriter, _ *http.Request) { sendJSON(out, "[]") }
			w.more = w.beside("", "")
		}, []string{"failure backend.exposed"}},
		{"another site past the gate, with DocsGPT's login", func(w *ward) { w.more = w.beside("", "") }, []string{"note backend.exposed"}},
		{"another site past the gate, with a password", func(w *ward) {
			w.more = w.beside("basic_auth {\nme $2a$14$7NVxBVCZqe9YX4BvqIBLCO4fYKo.WbHF3F4JC0pi7Z1HRZOvHqVVm\n}", "")
		}, nil},
		{"another site past the gate, for some addresses", func(w *ward) {
			w.more = w.beside("@others not remote_ip private_ranges\nabort @others", "")
		}, nil},
		{"another site past the gate, on this machine only", func(w *ward) { w.more = w.beside("", "bind 127.0.0.1") }, nil},
		{"a key bound to a foreign source", func(w *ward) { w.writeFile("token", otherToken) }, []string{"failure canary.foreign"}},
		{"a DocsGPT key that DocsGPT does not know", func(w *ward) { w.t.Setenv("WARD_AGENT", "ward-agent-key-unknown") }, []string{
			"failure stream.answer", "unknown canary.foreign",
		}},

		// In between.
		{"answers collected, with their length", func(w *ward) { w.between(collect(true)) }, []string{"failure stream.buffered"}},
		{"answers to OpenAI clients collected, with their length", func(w *ward) {
			w.gate = "docsgate {$DOCSGPT} {\nendpoints openai\n}"
			w.between(collect(true))
		}, []string{"failure stream.buffered"}},
		{"answers collected", func(w *ward) {
			w.pace = 80 * time.Millisecond
			w.doctor.Source, w.doctor.Canary = "", "" // three long answers are enough
			w.between(collect(false))
		}, []string{"failure stream.buffered"}},
		{"a server in between that does nothing", func(w *ward) {
			w.paced()
			w.between(func(*http.Response) error { return nil })
		}, nil},
		{"answers too quick to tell", func(w *ward) { w.between(collect(false)) }, []string{tooQuick}},
		{"CORS twice", func(w *ward) {
			w.between(func(r *http.Response) error {
				r.Header.Add("Access-Control-Allow-Origin", "*")
				return nil
			})
		}, []string{"failure cors.answers", "failure cors.preflight"}},
		{"CORS twice in one line", func(w *ward) { w.before = `header >Access-Control-Allow-Origin "*, *"` }, []string{
			"failure cors.answers", "failure cors.preflight",
		}},
		{"no CORS on refusals", func(w *ward) {
			w.between(func(r *http.Response) error {
				if r.StatusCode >= 400 {
					r.Header.Del("Access-Control-Allow-Origin")
				}
				return nil
			})
		}, []string{"failure cors.answers"}},
		{"preflights refused", func(w *ward) { w.before = "@preflight method OPTIONS\nrespond @preflight 405" }, []string{"failure cors.preflight"}},
		{"errors replaced", func(w *ward) {
			w.between(func(r *http.Response) error {
				if r.StatusCode >= 400 {
					r.Body = io.NopCloser(strings.NewReader("<h1>Sorry</h1>"))
					r.Header.Set("Content-Type", "text/html")
					r.Header.Del("Content-Length")
					r.ContentLength = -1
				}
				return nil
			})
		}, []string{"failure errors.shape", "note gate.answers", "unknown key.valid", "unknown page.key"}},
		{"statuses replaced", func(w *ward) {
			w.between(func(r *http.Response) error {
				if r.StatusCode == http.StatusUnauthorized {
					r.StatusCode = http.StatusBadRequest
				}
				return nil
			})
		}, []string{"failure errors.shape"}},

		// Logs.
		{"an access log without filters", func(w *ward) { w.access = "" }, []string{"failure log.written", "warning log.filter"}},
		{"a default log without filters", func(w *ward) { w.logging = "" }, []string{"warning log.filter"}},
		{"a filter that is not enough", func(w *ward) {
			w.access = "format filter {\nrequest>headers>X-Api-Key delete\n}"
		}, []string{"failure log.written", "warning log.filter"}},
		{"credentials in the log", func(w *ward) { w.global = "servers {\nlog_credentials\n}" }, []string{
			"failure log.credentials", "failure log.written",
		}},
		{"handlers in the log", func(w *ward) { w.global = "servers {\ntrace\n}" }, []string{"failure log.trace"}},
		{"the log of another gate", func(w *ward) {
			w.writeFile("other.log", "")
			w.edit("access.log", "other.log")
		}, []string{"note config.running", "unknown log.written"}},
		{"logs that cannot be read", func(w *ward) { w.edit(w.dir+"/access.log", w.dir+"/gone/access.log") }, []string{
			"note config.running", "unknown log.written",
		}},

		// What only the configuration tells.
		{"a public admin endpoint", func(w *ward) {
			w.stay()
			w.admin = ":" + w.free()
		}, []string{"failure admin.public", "note config.running", "unknown gate.answers"}},
		{"no admin endpoint", func(w *ward) { w.admin = "off" }, []string{"note admin.public"}},
		{"a console for everybody", func(w *ward) {
			w.stay()
			w.options += "\nfeed store " + w.path("keys.db")
			w.more = "http://keys.example.com:" + w.free() + " {\ndocsgate_console\n}"
		}, []string{"failure console.protected", "note config.running", "unknown gate.answers"}},
		{"a console in clear", func(w *ward) {
			w.stay()
			w.options += "\nfeed store " + w.path("keys.db")
			w.more = "http://keys.example.com:" + w.free() + " {\ndocsgate_console {\nadmin_token {env.WARD_ADMIN}\n}\n}"
		}, []string{"note config.running", "unknown gate.answers", "warning console.protected"}},
		{"consoles that are protected", func(w *ward) {
			w.stay()
			w.options += "\nfeed store " + w.path("keys.db")
			w.more = "keys.example.com {\nbasic_auth {\nme $2a$14$7NVxBVCZqe9YX4BvqIBLCO4fYKo.WbHF3F4JC0pi7Z1HRZOvHqVVm\n}\ndocsgate_console\n}\n" +
				"http://:" + w.free() + " {\nbind 127.0.0.1\ndocsgate_console\n}"
		}, []string{"note config.running", "unknown gate.answers"}},
		{"a public site in clear", func(w *ward) {
			w.stay()
			w.site, w.bind = "http://ask.example.com:"+w.port, ""
		}, []string{"failure tls.plain", "note config.running", "unknown gate.answers"}},
		{"every network in clear", func(w *ward) {
			w.stay()
			w.site, w.bind = ":"+w.port, ""
		}, []string{"note config.running", "unknown gate.answers", "warning tls.plain"}},
		{"a public site with a certificate", func(w *ward) {
			w.stay()
			w.site, w.bind = "ask.example.com:"+w.port, ""
		}, []string{"note config.running", "unknown gate.answers"}},
		{"a certificate that nobody trusts", func(w *ward) {
			server := httptest.NewTLSServer(http.NotFoundHandler())
			w.t.Cleanup(server.Close)
			w.page = strings.ReplaceAll(w.page, w.doctor.URL, server.URL)
			w.doctor.URL = server.URL
		}, []string{"failure tls.certificate", "unknown page.key"}},

		// The page.
		{
			"a page without a widget", func(w *ward) {
				w.page = "<p>Nothing, apart from another search: <script>find({apiKey: 'of-another'})</script>"
			},
			[]string{"unknown page.widget"},
		},
		{"a page that is not there", func(w *ward) { w.page, w.doctor.Page = "", w.doctor.URL+"/page" }, []string{"unknown page.widget"}},
		{"a widget that asks the makers' cloud", func(w *ward) {
			w.page = strings.ReplaceAll(w.page, w.doctor.URL, "https://gptcloud.arc53.com")
		}, []string{"failure page.host"}},
		{"a widget that does not say whom it asks", func(w *ward) {
			w.page = `<script>renderDocsGPTWidget("app", {apiKey: "` + wardToken + `"})</script>`
		}, []string{"failure page.host"}},
		{"a widget that asks another server", func(w *ward) {
			w.page = strings.ReplaceAll(w.page, w.doctor.URL, "http://127.0.0.1:7091/")
		}, []string{"failure page.host"}},
		{"a widget with the demo key", func(w *ward) {
			w.page = strings.ReplaceAll(w.page, wardToken, "74039c6d-bff7-44ce-ae55-2973cbf13837")
		}, []string{"failure page.key"}},
		{"a widget without a key", func(w *ward) {
			w.page = `<docsgpt-widget data-api-host="` + w.doctor.URL + `"></docsgpt-widget>`
		}, []string{"failure page.key"}},
		{"a widget with a wrong key", func(w *ward) {
			w.page = `<docsgpt-widget data-api-host="` + w.doctor.URL + `" data-api-key="wrong"></docsgpt-widget>`
		}, []string{"failure page.key"}},
	} {
		t.Run(c.name, func(t *testing.T) {
			w := newWard(t)
			c.breaks(w)
			w.start()
			findings, _ := w.examine()
			slices.Sort(c.want)
			got := bad(findings)
			if w.pace == 0 && !slices.Contains(c.want, tooQuick) {
				got = slices.DeleteFunc(got, func(f string) bool { return f == tooQuick })
			}
			if !slices.Equal(got, c.want) {
				t.Errorf("found %q, not %q", got, c.want)
			}
			for _, f := range findings {
				if t.Failed() {
					t.Logf("%s %s: %s %s", f.Severity, f.ID, f.What, f.Mend)
				}
			}
		})
	}
}

// collect makes a server in between send nothing until it has the whole answer.
func collect(length bool) func(*http.Response) error {
	return func(r *http.Response) error {
		whole, err := io.ReadAll(r.Body)
		if err != nil {
			return err
		}
		r.Body = io.NopCloser(bytes.NewReader(whole))
		if length {
			r.ContentLength = int64(len(whole))
			r.TransferEncoding = nil
			r.Header.Set("Content-Length", strconv.Itoa(len(whole)))
		}
		return nil
	}
}

// Looking at a configuration leaves nothing behind: files that belong to another user would stop the gate.
func TestDoctorWritesNothing(t *testing.T) {
	w := newWard(t)
	w.stay()
	w.site, w.bind = "ask.example.com", "tls internal"
	w.options += "\nfeed store " + w.path("keys.db")
	w.start()
	list := func() string {
		var all []string
		if err := filepath.WalkDir(w.dir, func(path string, _ fs.DirEntry, err error) error {
			all = append(all, path)
			return err
		}); err != nil {
			t.Fatal(err)
		}
		return strings.Join(all, "\n")
	}
	before := list()
	findings, err := w.examine()
	if err != nil || !slices.ContainsFunc(findings, func(f doctor.Finding) bool { return f.ID == "config.loads" && f.Severity == doctor.OK }) {
		t.Errorf("%v, %+v", err, findings)
	}
	if after := list(); after != before {
		t.Errorf("before:\n%s\nafter:\n%s", before, after)
	}
}

func TestDoctorRefusesWhatCannotBeMeant(t *testing.T) {
	for _, c := range []struct {
		name   string
		set    func(*doctorOptions)
		status int
		fault  string
	}{
		{"nothing to examine", func(*doctorOptions) {}, exitUnexamined, "nothing to examine"},
		{"a configuration that is not there", func(o *doctorOptions) { o.config = "nowhere/Caddyfile" }, exitUnexamined, "nowhere"},
		{"an address without a scheme", func(o *doctorOptions) { o.URL = "ask.example.com" }, exitUsage, "--url"},
		{"a password in an address", func(o *doctorOptions) { o.URL = "https://me:secret-of-mine@ask.example.com" }, exitUsage, "--url"},
		{"a query", func(o *doctorOptions) { o.URL = "https://ask.example.com?api_key=secret-of-mine" }, exitUsage, "--url"},
		{"a page that is no address", func(o *doctorOptions) { o.Page = "index.html" }, exitUsage, "--page"},
		{"a backend with a scheme", func(o *doctorOptions) { o.Backends = []string{"http://ask.example.com"} }, exitUsage, "--backend"},
		{"two keys", func(o *doctorOptions) { o.keyStdin, o.keyFile = true, "x" }, exitUsage, "exclude"},
		{"a source without a canary", func(o *doctorOptions) { o.Source = ownSource }, exitUsage, "--canary"},
		{"a canary without a key", func(o *doctorOptions) { o.Source, o.Canary = ownSource, wardCanary }, exitUsage, "key"},
		{"an adapter alone", func(o *doctorOptions) { o.adapter = "caddyfile" }, exitUsage, "--config"},
		{"no key on the standard input", func(o *doctorOptions) { o.keyStdin = true }, exitUsage, "standard input"},
		{"a key file that is not there", func(o *doctorOptions) { o.keyFile = "nowhere.txt" }, exitUsage, "reading the key"},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Chdir(t.TempDir())
			var o doctorOptions
			c.set(&o)
			cmd := new(cobra.Command)
			cmd.SetIn(strings.NewReader(""))
			err := o.run(t.Context(), cmd)
			var failed *failure
			if !errors.As(err, &failed) || failed.status != c.status || !strings.Contains(err.Error(), c.fault) {
				t.Errorf("%v", err)
			}
			if err != nil && strings.Contains(err.Error(), "secret-of-mine") {
				t.Errorf("a secret is repeated: %v", err)
			}
		})
	}
}

func TestDoctorPrintsForPeople(t *testing.T) {
	r := &doctor.Report{Findings: []doctor.Finding{
		{ID: "gate.answers", Severity: doctor.OK, What: "It answers.", More: "docs/doctor.md#gateanswers"},
		{ID: "gate.keyless", Severity: doctor.Failure, What: "It " + strings.Repeat("lets in ", 20) + "\x1b[31mall.", Mend: "Shut it.", More: "docs/doctor.md#gatekeyless"},
	}}
	var plain, coloured bytes.Buffer
	if err := errors.Join(printFindings(&plain, r, false), printFindings(&coloured, r, true)); err != nil {
		t.Fatal(err)
	}
	for _, want := range []string{
		"The gate\n  ok       It answers.\n  failure  It lets in", "\n           To mend it: Shut it.\n",
		"(gate.keyless, see docs/doctor.md#gatekeyless)", "\n1 failure, 1 check found nothing wrong.\n",
	} {
		if !strings.Contains(plain.String(), want) {
			t.Errorf("%q is not in\n%s", want, plain.String())
		}
	}
	for line := range strings.Lines(plain.String()) {
		if len(line) > foldAt+1 {
			t.Errorf("too wide: %s", line)
		}
	}
	if strings.Contains(plain.String(), "\x1b") || !strings.Contains(coloured.String(), "\x1b[31;1mfailure\x1b[0m") {
		t.Errorf("%q\n%q", plain.String(), coloured.String())
	}
	if colourful(&plain) {
		t.Error("a buffer is no terminal")
	}
}
