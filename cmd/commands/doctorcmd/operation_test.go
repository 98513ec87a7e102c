package doctorcmd

import (
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/docsgate/docsgate/doctor"
	"github.com/docsgate/docsgate/internal/pgtest"
	"github.com/docsgate/docsgate/keys/pgfeed"
)

// Faults of listeners, timeouts, files and queues.
func TestOperationFaults(t *testing.T) {
	directive := func(options string) func(*env) {
		return func(e *env) {
			e.noServer()
			e.gate = "docsgate {$DOCSGPT} {\nendpoints widget openai\n" + options + "\n}"
		}
	}
	idle := []string{"note config.running", "unknown gate.answers"}
	and := func(more ...string) []string { return append(slices.Clone(idle), more...) }
	runCases(t, []faultCase{
		{"an open DocsGPT on the same name and another port", func(e *env) {
			e.hidden["/api/get_agents"] = func(out http.ResponseWriter, _ *http.Request) { sendJSON(out, "[]") }
			e.site = "http://gate.localhost:" + e.port
			e.doctor.URL, e.page = "", ""
			e.more = strings.Replace(e.secondSite("", ""), "docsgpt.localhost", "gate.localhost", 1)
		}, []string{"failure backend.exposed"}},
		{"two gates with one name", func(e *env) {
			e.site = "http://gate.localhost:" + e.port
			e.doctor.URL, e.page = "", ""
			e.more = "http://gate.localhost:" + e.free() + " {\nbind 127.0.0.1\nlog {\noutput file " + e.path("second.log") + "\n" + redacting + "}\ndocsgate {$DOCSGPT}\n}"
		}, []string{"note gate.answers"}},

		{"a local name on all addresses", func(e *env) {
			e.noServer()
			e.site, e.bind = "http://localhost:"+e.port, ""
		}, and("warning gate.listener")},
		{"a console with a local name on all addresses", func(e *env) {
			e.noServer()
			e.options += "\nfeed store " + e.path("keys.db")
			e.more = "http://localhost:" + e.free() + " {\ndocsgate_console {\nadmin_token {env.DOCTOR_ADMIN}\n}\n}"
		}, and("note gate.listener", "warning console.protected")},
		{"a name", func(e *env) {
			e.noServer()
			e.site = "http://gate.internal:" + e.port
		}, and("note gate.other_hosts")},
		{"a name, and a site without one on the same port", func(e *env) {
			e.noServer()
			e.site = "http://gate.internal:" + e.port
			e.more = "http://:" + e.port + " {\nbind 127.0.0.1\nrespond \"Unknown host\" 421\n}"
		}, idle},
		{"a name with TLS", func(e *env) {
			e.noServer()
			e.site = "https://gate.example.com:" + e.port
		}, idle},

		{"a short stream_idle_timeout", directive("stream_idle_timeout 20s"), and("warning stream.timeouts")},
		{"a short response_header_timeout", directive("response_header_timeout 30s"), and("warning stream.timeouts")},
		{"a short read_timeout of reverse_proxy", func(e *env) {
			e.noServer()
			e.gate = "docsgate\nreverse_proxy {$DOCSGPT} {\ntransport http {\nread_timeout 10s\n}\n}"
		}, and("warning stream.timeouts")},
		{"long timeouts", directive("stream_idle_timeout 5m\nresponse_header_timeout 2m"), idle},
		{"the write timeout of the server", func(e *env) {
			e.noServer()
			e.global = "servers {\ntimeouts {\nwrite 30s\n}\n}"
		}, idle},
		{"the write timeout of the web app's server", func(e *env) {
			e.noServer()
			e.global = "servers {\ntimeouts {\nwrite 30s\n}\n}"
			e.more = e.secondSite("", "bind 127.0.0.1")
		}, and("warning stream.timeouts")},
		{"no queue", directive("queue 0"), and("note gate.queue")},

		{"a key file that everyone can write", func(e *env) {
			e.noServer()
			if err := os.Chmod(e.path("keys.yaml"), 0o666); err != nil {
				e.t.Fatal(err)
			}
		}, and("failure feeds.files")},
		{"a key file that everyone can read", func(e *env) {
			e.noServer()
			if err := os.Chmod(e.path("keys.yaml"), 0o644); err != nil {
				e.t.Fatal(err)
			}
		}, idle},

		{"a key of pages without limits", func(e *env) {
			e.noServer()
			e.keyFile(1, `kind: publishable, origins: ["https://docs.example.com"], limits: {visitor_requests: off}`,
				`kind: secret, limits: {visitor_requests: off}`)
		}, and("warning feeds.limits")},
		{"a key of pages with another limit", func(e *env) {
			e.noServer()
			e.keyFile(1, `kind: publishable, origins: ["https://docs.example.com"], limits: {visitor_requests: off, requests: 600/1m}`,
				`kind: secret`)
		}, idle},

		{"a proxy whose addresses are not trusted", func(e *env) {
			e.middlebox(func(resp *http.Response) error {
				resp.Header.Set("Cf-Ray", "8f1c-FRA")
				return nil
			})
		}, []string{"warning gate.trusted_proxies", "warning stream.proxied"}},
		{"a trusted proxy", func(e *env) {
			e.global = "servers {\ntrusted_proxies static private_ranges\n}"
			e.middlebox(func(resp *http.Response) error {
				resp.Header.Set("Cf-Ray", "8f1c-FRA")
				return nil
			})
		}, []string{"warning stream.proxied"}},
	})
}

// A secret that other users can read is a finding, whether or not the gate would start with it.
func TestSecretFiles(t *testing.T) {
	e := newEnv(t)
	e.noServer()
	e.options += "\nfeed store " + e.path("keys.db")
	e.writeFile("keys.db.ids.secret", "not a secret")
	if err := os.Chmod(e.path("keys.db.ids.secret"), 0o644); err != nil {
		t.Fatal(err)
	}
	e.start()
	findings, _ := e.examine()
	if !slices.ContainsFunc(findings, func(f doctor.Finding) bool {
		return f.ID == "feeds.files" && f.Severity == doctor.Warning && strings.Contains(f.Summary, "keys.db.ids.secret") && strings.Contains(f.Fix, "chmod")
	}) {
		t.Errorf("%+v", findings)
	}
}

// docsgptDatabase creates a database of DocsGPT with a role that has the permissions of GrantSQL, and makes it a feed with further
// options.
func (e *env) docsgptDatabase(options, sql string) (role string) {
	e.t.Helper()
	database := pgtest.Database(e.t)
	role = "doctor_" + database
	schema, err := os.ReadFile(filepath.Join("..", "..", "..", "keys", "pgfeed", "testdata", "docsgpt-0.17.sql"))
	if err != nil {
		e.t.Fatal(err)
	}
	pgtest.Exec(e.t, database, string(schema)+"CREATE ROLE "+role+" LOGIN;"+pgfeed.GrantSQL(role)+strings.ReplaceAll(sql, "ROLE_NAME", role))
	e.t.Setenv("DOCTOR_POSTGRES", pgtest.URI(role, database))
	e.options += "\nfeed docsgpt {env.DOCTOR_POSTGRES} {\nsnapshot off\n" + options + "\n}"
	return role
}

func TestDatabasePrivileges(t *testing.T) {
	for name, c := range map[string]struct{ sql, want string }{
		"reads":     {"", "ok feeds.privileges"},
		"writes":    {"GRANT UPDATE ON agents TO ROLE_NAME;", "note feeds.privileges"},
		"superuser": {"ALTER ROLE ROLE_NAME SUPERUSER;", "warning feeds.privileges"},
	} {
		t.Run(name, func(t *testing.T) {
			e := newEnv(t)
			e.noServer()
			e.docsgptDatabase("", c.sql)
			e.start()
			findings, _ := e.examine()
			var got []string
			for _, f := range findings {
				if f.ID == "feeds.privileges" {
					got = append(got, string(f.Severity)+" "+f.ID)
				}
			}
			if !slices.Equal(got, []string{c.want}) {
				t.Errorf("%q, want %q", got, c.want)
			}
		})
	}
}

func TestUnknownExclusions(t *testing.T) {
	e := newEnv(t)
	e.noServer()
	e.docsgptDatabase("exclude_keys 00000000-0000-4000-8000-000000000001", "")
	e.start()
	findings, _ := e.examine()
	for _, f := range findings {
		t.Logf("%s %s: %s %s", f.Severity, f.ID, f.Summary, f.Fix)
	}
	if !slices.ContainsFunc(findings, func(f doctor.Finding) bool {
		return f.ID == "feeds.exclude_keys" && f.Severity == doctor.Failure && strings.Contains(f.Summary, "00000000-0000-4000-8000-000000000001")
	}) {
		t.Error("not found")
	}
}
