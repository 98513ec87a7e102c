package doctorcmd

import (
	"bytes"
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/caddyserver/caddy/v2/caddyconfig"
	"github.com/caddyserver/caddy/v2/modules/caddyhttp"

	"github.com/docsgate/docsgate/doctor"
)

// adapted returns the deployment of a Caddyfile.
func adapted(t *testing.T, text string) *deployment {
	t.Helper()
	config, _, err := caddyconfig.GetAdapter("caddyfile").Adapt([]byte(text), map[string]any{"filename": "Caddyfile"})
	if err != nil {
		t.Fatal(err)
	}
	d, err := parseDeployment(config)
	if err != nil {
		t.Fatal(err)
	}
	return d
}

// A gate without an upstream has the upstreams of the handlers that its requests reach.
func TestGateUpstreams(t *testing.T) {
	for name, c := range map[string]struct{ site, want string }{
		"built-in upstream":              {"docsgate a:1", "a:1"},
		"reverse_proxy":                  {"docsgate\nreverse_proxy a:1 b:2", "a:1 b:2"},
		"a reverse_proxy for some paths": {"docsgate\nreverse_proxy /v1/* a:1\nreverse_proxy b:2\nhandle_path /x* {\nreverse_proxy c:3\n}", "a:1 b:2"},
		"only for some paths":            {"docsgate\nreverse_proxy /v1/* a:1", "a:1"},
		"after a handle block":           {"handle /a* {\ndocsgate\n}\nreverse_proxy a:1", "a:1, partly"},
		"in another handle block":        {"handle /a* {\ndocsgate\n}\nhandle {\nreverse_proxy c:3\n}", "none, partly"},
		"in both handle blocks": {
			"handle /a* {\ndocsgate\nreverse_proxy a:1\n}\nhandle {\ndocsgate\nreverse_proxy b:2\n}", "a:1, partly; b:2",
		},
		"of another site":      {"docsgate\n}\nhttp://zzz.example.com {\nreverse_proxy c:3", "none"},
		"in a named route":     {"route {\ndocsgate\ninvoke proxy\n}", "a:1"},
		"forward_auth between": {"route {\ndocsgate\nforward_auth c:3 {\nuri /auth\n}\nreverse_proxy a:1\n}", "a:1"},
		"another one that takes over": {
			"docsgate\nreverse_proxy a:1 {\n@away status 502\nhandle_response @away {\nreverse_proxy b:2\n}\n}", "a:1 b:2",
		},
		"a gate in handle_response": {
			"reverse_proxy c:3 {\n@missing status 404\nhandle_response @missing {\ndocsgate a:1\n}\n}", "a:1, partly",
		},
		"a gate in intercept":     {"intercept {\nhandle_response {\ndocsgate a:1\n}\n}\nrespond ok", "a:1, partly"},
		"a gate in handle_errors": {"error 404\nhandle_errors {\ndocsgate a:1\n}", "a:1"},
	} {
		t.Run(name, func(t *testing.T) {
			d := adapted(t, "&(proxy) {\nreverse_proxy a:1\n}\nhttp://ask.example.com {\n"+c.site+"\n}\n")
			var all []string
			for _, g := range d.handlers(nil).gates {
				text := upstreamsOf(g)
				if g.Conditional {
					text += ", partly"
				}
				all = append(all, text)
			}
			if got := strings.Join(all, "; "); got != c.want {
				t.Errorf("%s, not %s", got, c.want)
			}
		})
	}
}

func upstreamsOf(g doctor.Gate) string {
	all := make([]string, 0, len(g.Upstreams))
	for _, u := range g.Upstreams {
		all = append(all, u.Address.URL.Host)
	}
	if len(all) == 0 {
		return "none"
	}
	return strings.Join(all, " ")
}

// The doctor reports a console as protected if and only if the gate starts with it.
func TestConsoles(t *testing.T) {
	const auth = "basic_auth %s{\nme $2a$14$7NVxBVCZqe9YX4BvqIBLCO4fYKo.WbHF3F4JC0pi7Z1HRZOvHqVVm\n}\n"
	for name, c := range map[string]struct {
		site string
		want bool
	}{
		"open":                     {"docsgate_console", false},
		"behind basic_auth":        {fmt.Sprintf(auth, "") + "docsgate_console", true},
		"behind it for some paths": {fmt.Sprintf(auth, "/only/* ") + "docsgate_console", true},
		"in handle_response":       {"reverse_proxy a:1 {\nhandle_response {\ndocsgate_console\n}\n}", false},
		"in intercept, behind it":  {fmt.Sprintf(auth, "") + "intercept {\nhandle_response {\ndocsgate_console\n}\n}\nrespond ok", true},
	} {
		t.Run(name, func(t *testing.T) {
			consoles := adapted(t, "http://keys.example.com {\n"+c.site+"\n}\n").handlers(nil).consoles
			if len(consoles) != 1 || consoles[0].Auth != c.want {
				t.Errorf("%+v", consoles)
			}
		})
	}
}

// Routes that invoke each other end the walk at its limits.
func TestRecursiveNamedRoutes(t *testing.T) {
	var named strings.Builder
	for i := range 8 {
		fmt.Fprintf(&named, `%s"r%d": {"handle": [`, map[bool]string{true: ","}[i > 0], i)
		for j := range 8 {
			fmt.Fprintf(&named, `{"handler": "invoke", "name": "r%d"},`, j)
		}
		named.WriteString(`{"handler": "docsgate", "upstream": "a:1"}]}`)
	}
	var server configServer
	if err := json.Unmarshal([]byte(`{"named_routes": {`+named.String()+`}}`), &server); err != nil {
		t.Fatal(err)
	}
	d := new(deployment)
	server.Routes = caddyhttp.RouteList{*server.NamedRoutes["r0"]}
	d.Apps.HTTP.Servers = map[string]*configServer{"s": &server}
	if len(d.handlers(nil).gates) == 0 {
		t.Error("no gate was found")
	}
}

// The doctor has no findings about the example configurations of this repository.
func TestExampleConfigs(t *testing.T) {
	t.Setenv("DOCSGATE_APP_PASSWORD_HASH", "$2a$14$Zkx19XLiW6VYouLHR5NmfOFU0z2GTNmpkT/5qqR7hx4IjWJPDhjvG")
	files, err := filepath.Glob("../../../examples/*/Caddyfile")
	if err != nil || len(files) == 0 {
		t.Fatalf("no examples: %v", err)
	}
	for _, file := range append(files, "../../../Caddyfile") {
		t.Run(file, func(t *testing.T) {
			text, err := os.ReadFile(file)
			if err != nil {
				t.Fatal(err)
			}
			d := adapted(t, string(bytes.TrimSpace(text)))
			gates := d.handlers(nil).gates
			for _, g := range gates {
				if len(g.Upstreams) == 0 || g.Conditional {
					t.Errorf("%+v", g)
				}
			}
			want := 1
			if strings.Contains(file, "several-docsgpts") {
				want = 2
			}
			if len(gates) != want {
				t.Errorf("%d gates, want %d", len(gates), want)
			}
			for _, l := range d.logs() {
				if !l.Redacted {
					t.Errorf("the log %q does not have the encoder docsgate", l.Name)
				}
			}
		})
	}
}
