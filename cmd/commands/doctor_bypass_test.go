package commands

import (
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
)

// Here it is what a site shows to whom, or the page with the widget.
func TestDoctorBypassingSites(t *testing.T) {
	runCases(t, []faultCase{
		// What only the configuration tells.
		{"a public admin endpoint", func(w *doctorEnv) {
			w.noServer()
			w.admin = ":" + w.free()
		}, []string{"failure admin.public", "note config.running", "unknown gate.answers"}},
		{"no admin endpoint", func(w *doctorEnv) { w.admin = "off" }, []string{"note admin.public"}},
		{"a console for everybody", func(w *doctorEnv) {
			w.noServer()
			w.options += "\nfeed store " + w.path("keys.db")
			w.more = "http://keys.example.com:" + w.free() + " {\ndocsgate_console\n}"
		}, []string{"failure console.protected", "note config.running", "unknown gate.answers"}},
		{"a console in clear", func(w *doctorEnv) {
			w.noServer()
			w.options += "\nfeed store " + w.path("keys.db")
			w.more = "http://keys.example.com:" + w.free() + " {\ndocsgate_console {\nadmin_token {env.DOCTOR_ADMIN}\n}\n}"
		}, []string{"note config.running", "unknown gate.answers", "warning console.protected"}},
		{"consoles that are protected", func(w *doctorEnv) {
			w.noServer()
			w.options += "\nfeed store " + w.path("keys.db")
			w.more = "keys.example.com {\nbasic_auth {\nme $2a$14$7NVxBVCZqe9YX4BvqIBLCO4fYKo.WbHF3F4JC0pi7Z1HRZOvHqVVm\n}\ndocsgate_console\n}\n" +
				"http://:" + w.free() + " {\nbind 127.0.0.1\ndocsgate_console\n}"
		}, []string{"note config.running", "unknown gate.answers"}},
		{"a public site in clear", func(w *doctorEnv) {
			w.noServer()
			w.site, w.bind = "http://ask.example.com:"+w.port, ""
		}, []string{"failure tls.plaintext", "note config.running", "unknown gate.answers"}},
		{"every network in clear", func(w *doctorEnv) {
			w.noServer()
			w.site, w.bind = ":"+w.port, ""
		}, []string{"note config.running", "unknown gate.answers", "warning tls.plaintext"}},
		{"a public site with a certificate", func(w *doctorEnv) {
			w.noServer()
			w.site, w.bind = "ask.example.com:"+w.port, ""
		}, []string{"note config.running", "unknown gate.answers"}},
		{"a certificate that nobody trusts", func(w *doctorEnv) {
			server := httptest.NewTLSServer(http.NotFoundHandler())
			w.t.Cleanup(server.Close)
			w.page = strings.ReplaceAll(w.page, w.doctor.URL, server.URL)
			w.doctor.URL = server.URL
		}, []string{"failure tls.certificate", "unknown page.key"}},

		// The page.
		{
			"a page without a widget", func(w *doctorEnv) {
				w.page = "<p>Nothing, apart from another search: <script>find({apiKey: 'of-another'})</script>"
			},
			[]string{"unknown page.widget"},
		},
		{"a page that is not there", func(w *doctorEnv) { w.page, w.doctor.Page = "", w.doctor.URL+"/page" }, []string{"unknown page.widget"}},
		{"a widget that asks the makers' cloud", func(w *doctorEnv) {
			w.page = strings.ReplaceAll(w.page, w.doctor.URL, "https://gptcloud.arc53.com")
		}, []string{"failure page.host"}},
		{"a widget that does not say whom it asks", func(w *doctorEnv) {
			w.page = `<script>renderDocsGPTWidget("app", {apiKey: "` + gateToken + `"})</script>`
		}, []string{"failure page.host"}},
		{"a widget that asks another server", func(w *doctorEnv) {
			w.page = strings.ReplaceAll(w.page, w.doctor.URL, "http://127.0.0.1:7091/")
		}, []string{"failure page.host"}},
		{"a widget with the demo key", func(w *doctorEnv) {
			w.page = strings.ReplaceAll(w.page, gateToken, "74039c6d-bff7-44ce-ae55-2973cbf13837")
		}, []string{"failure page.key"}},
		{"a widget without a key", func(w *doctorEnv) {
			w.page = `<docsgpt-widget data-api-host="` + w.doctor.URL + `"></docsgpt-widget>`
		}, []string{"failure page.key"}},
		{"a widget with a wrong key", func(w *doctorEnv) {
			w.page = `<docsgpt-widget data-api-host="` + w.doctor.URL + `" data-api-key="wrong"></docsgpt-widget>`
		}, []string{"failure page.key"}},
	})
}
