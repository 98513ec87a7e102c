package doctorcmd

import (
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
)

// Faults of sites, of their protection, and of the page with the widget. Faults of the configuration are in TestConfigFaults.
func TestBypassingSites(t *testing.T) {
	runCases(t, []faultCase{
		// Protection, by the configuration alone.
		{"a public admin endpoint", func(e *env) {
			e.noServer()
			e.admin = ":" + e.free()
		}, []string{"failure admin.public", "note config.running", "unknown gate.answers"}},
		{"no admin endpoint", func(e *env) { e.admin = "off" }, []string{"note admin.public"}},
		{"an unprotected console", func(e *env) {
			e.noServer()
			e.options += "\nfeed store " + e.path("keys.db")
			e.more = "http://keys.example.com:" + e.free() + " {\ndocsgate_console\n}"
		}, []string{"failure console.protected", "note config.running", "unknown gate.answers"}},
		{"a console over plain HTTP", func(e *env) {
			e.noServer()
			e.options += "\nfeed store " + e.path("keys.db")
			e.more = "http://keys.example.com:" + e.free() + " {\ndocsgate_console {\nadmin_token {env.DOCTOR_ADMIN}\n}\n}"
		}, []string{"note config.running", "unknown gate.answers", "warning console.protected"}},
		{"protected consoles", func(e *env) {
			e.noServer()
			e.options += "\nfeed store " + e.path("keys.db")
			e.more = "keys.example.com {\nbasic_auth {\nme $2a$14$7NVxBVCZqe9YX4BvqIBLCO4fYKo.WbHF3F4JC0pi7Z1HRZOvHqVVm\n}\ndocsgate_console\n}\n" +
				"http://:" + e.free() + " {\nbind 127.0.0.1\ndocsgate_console\n}"
		}, []string{"note config.running", "unknown gate.answers"}},
		{"a public site over plain HTTP", func(e *env) {
			e.noServer()
			e.site, e.bind = "http://ask.example.com:"+e.port, ""
		}, []string{"failure tls.plaintext", "note config.running", "note gate.other_hosts", "unknown gate.answers"}},
		{"plain HTTP on all networks", func(e *env) {
			e.noServer()
			e.site, e.bind = ":"+e.port, ""
		}, []string{"note config.running", "unknown gate.answers", "warning tls.plaintext"}},
		{"a public site with a certificate", func(e *env) {
			e.noServer()
			e.site, e.bind = "ask.example.com:"+e.port, ""
		}, []string{"note config.running", "unknown gate.answers"}},
		{"an untrusted certificate", func(e *env) {
			server := httptest.NewTLSServer(http.NotFoundHandler())
			e.t.Cleanup(server.Close)
			e.page = strings.ReplaceAll(e.page, e.doctor.URL, server.URL)
			e.doctor.URL = server.URL
		}, []string{"failure tls.certificate", "unknown page.key"}},

		// The page.
		{
			"a page without a widget", func(e *env) {
				e.page = "<p>Nothing, apart from another search: <script>find({apiKey: 'of-another'})</script>"
			},
			[]string{"unknown page.widget"},
		},
		{"a missing page", func(e *env) { e.page, e.doctor.Page = "", e.doctor.URL+"/page" }, []string{"unknown page.widget"}},
		{"a widget with the DocsGPT cloud", func(e *env) {
			e.page = strings.ReplaceAll(e.page, e.doctor.URL, "https://gptcloud.arc53.com")
		}, []string{"failure page.host"}},
		{"a widget without a host", func(e *env) {
			e.page = `<script>renderDocsGPTWidget("app", {apiKey: "` + gateToken + `"})</script>`
		}, []string{"failure page.host"}},
		{"a widget with another server", func(e *env) {
			e.page = strings.ReplaceAll(e.page, e.doctor.URL, "http://127.0.0.1:7091/")
		}, []string{"failure page.host"}},
		{"a widget with the demo key", func(e *env) {
			e.page = strings.ReplaceAll(e.page, gateToken, "74039c6d-bff7-44ce-ae55-2973cbf13837")
		}, []string{"failure page.key"}},
		{"a widget without a key", func(e *env) {
			e.page = `<docsgpt-widget data-api-host="` + e.doctor.URL + `"></docsgpt-widget>`
		}, []string{"failure page.key"}},
		{"a widget with a wrong key", func(e *env) {
			e.page = `<docsgpt-widget data-api-host="` + e.doctor.URL + `" data-api-key="wrong"></docsgpt-widget>`
		}, []string{"failure page.key"}},
	})
}
