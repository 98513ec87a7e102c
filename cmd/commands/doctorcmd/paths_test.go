package doctorcmd

import (
	"testing"

	"github.com/docsgate/docsgate/doctor"
)

// A gate has the path prefix that its site removes before it.
func TestGatePaths(t *testing.T) {
	for name, c := range map[string]struct {
		site, path string
		unknown    bool
	}{
		"none":               {"docsgate a:1", "", false},
		"handle_path":        {"handle_path /docs/* {\ndocsgate a:1\n}", "/docs", false},
		"two of them":        {"handle_path /a/* {\nhandle_path /b/* {\ndocsgate a:1\n}\n}", "/a/b", false},
		"uri strip_prefix":   {"uri strip_prefix /docs\ndocsgate a:1", "/docs", false},
		"in a handle block":  {"handle /docs/* {\nuri strip_prefix /docs\ndocsgate a:1\n}", "/docs", false},
		"of other requests":  {"handle_path /docs/* {\nrespond x\n}\nhandle {\ndocsgate a:1\n}", "", false},
		"a rewrite":          {"rewrite * /v1{uri}\ndocsgate a:1", "", true},
		"a rewritten query":  {"rewrite * ?a=b\ndocsgate a:1", "", false},
		"uri replace":        {"uri replace /docs /\ndocsgate a:1", "", true},
		"rewritten for some": {"rewrite /x /y\ndocsgate a:1", "", false},
	} {
		t.Run(name, func(t *testing.T) {
			gates := adapted(t, "http://ask.example.com {\n"+c.site+"\n}\n").handlers(nil).gates
			if len(gates) != 1 || gates[0].Path != c.path || gates[0].PathUnknown != c.unknown {
				t.Errorf("%+v", gates)
			}
		})
	}
}

// A gate below handle_path is found there.
func TestGateBelowHandlePath(t *testing.T) {
	e := newEnv(t)
	e.slowAnswers()
	e.gate = "handle_path /docs/* {\ndocsgate {$DOCSGPT}\n}"
	e.page = ""
	e.start()
	findings, err := e.examine()
	for _, f := range findings {
		if f.Severity == doctor.Failure || f.ID == "gate.answers" && f.Severity != doctor.OK {
			t.Errorf("%v: %+v", err, f)
		}
	}
}

// The scheme of a site is known even if the configuration does not load.
func TestSchemeOfUnloadedConfig(t *testing.T) {
	for site, want := range map[string]doctor.Tristate{
		"ask.example.com": doctor.Yes, "http://ask.example.com": doctor.No, ":8080": doctor.No, ":443": doctor.Yes,
		"ask.example.com:8443": doctor.Yes, "localhost": doctor.Yes, "http://localhost:8080": doctor.No,
	} {
		gates := adapted(t, site+" {\ndocsgate {env.DOCTOR_NOTHING}\n}\n").handlers(nil).gates
		if len(gates) != 1 || gates[0].TLS != want {
			t.Errorf("%s: %+v", site, gates)
		}
	}
}
