package ui

import (
	"net/http"
	"net/http/httptest"
	"net/url"
	"regexp"
	"strings"
	"testing"

	"github.com/docsgate/docsgate/console/ui/internal/fixtures"
)

const contentPolicy = "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; connect-src 'self'; " +
	"form-action 'self'; base-uri 'none'; frame-ancestors 'none'"

var (
	values  = regexp.MustCompile(`"[^"]*"|&[^;]+;[^<]*`)                                // of attributes, and text after a quote
	inline  = regexp.MustCompile(`(?i)<style|<script(\s+type=)?>|\sstyle=|\son[a-z]+=`) // once those are gone
	foreign = regexp.MustCompile(`(?i)\b(src|href|action)="(https?:)?//`)
	refs    = regexp.MustCompile(`(?:src|href)="(/assets/[^"]+)"`)
)

func TestSecurityHeaders(t *testing.T) {
	w := newTestServer(t, func(o *Options) {
		o.SignIn = func(http.ResponseWriter, *http.Request, string) error { return nil }
	})
	if err := w.desk.Fill(t.Context()); err != nil {
		t.Fatal(err)
	}
	id, _ := w.makeUsual()
	revoked, _ := w.makeRevoked("Revoked")
	deleted, _ := w.makeRevoked("Deleted")
	w.leadsTo(w.post("/keys/"+deleted+"/delete"), "/?deleted="+deleted)
	for name, tc := range map[string]struct {
		path   string
		status int
	}{
		"the list":               {"/", 200},
		"a search":               {"/?q=docs&state=active", 200},
		"a search for nothing":   {"/?q=no-such-key", 200},
		"Create key":             {"/new", 200},
		"a key":                  {"/keys/" + id, 200},
		"a key of another feed":  {"/keys/status-page", 200},
		"rotating":               {"/keys/" + id + "/rotate", 200},
		"revoking":               {"/keys/" + id + "/revoke", 200},
		"deleting":               {"/keys/" + revoked + "/delete", 200},
		"a deleted key":          {"/keys/" + deleted, 404},
		"the list, afterwards":   {"/?deleted=" + deleted, 200},
		"the audit trail":        {"/audit", 200},
		"the trail of a key":     {"/audit?key=" + id, 200},
		"the login page":         {"/login", 200},
		"a key that isn't there": {"/keys/no", 404},
		"nothing":                {"/no/such/page", 404},
		"an asset of old":        {"/assets/page.000000000000.css", 404},
	} {
		t.Run(name, func(t *testing.T) {
			a := w.get(tc.path)
			if a.Code != tc.status {
				t.Fatalf("status %d, want %d", a.Code, tc.status)
			}
			h := a.Header()
			if h.Get("Content-Security-Policy") != contentPolicy || h.Get("Cache-Control") != "no-store" ||
				h.Get("X-Content-Type-Options") != "nosniff" || h.Get("Content-Type") != "text/html; charset=utf-8" {
				t.Errorf("headers %v", h)
			}
			if found := inline.FindString(values.ReplaceAllString(a.body, "")); found != "" {
				t.Errorf("what the policy forbids is in the page: %q", found)
			}
			if found := foreign.FindString(a.body); found != "" {
				t.Errorf("the page leads to another host: %q", found)
			}
			for _, ref := range refs.FindAllStringSubmatch(a.body, -1) {
				if got := w.get(ref[1]); got.Code != http.StatusOK {
					t.Errorf("%s: status %d", ref[1], got.Code)
				}
			}
			if !strings.Contains(a.body, `<html lang="en"`) || !strings.Contains(a.body, `<main id="main"`) {
				t.Error("it is not in the frame of all pages")
			}
		})
	}
}

func TestAssetsImmutable(t *testing.T) {
	w := newTestServer(t)
	for file, kind := range map[string]string{
		"page.css": "text/css; charset=utf-8", "copy.js": "text/javascript; charset=utf-8", "mark.svg": "image/svg+xml",
	} {
		a := w.get("/assets/" + assetsByFile[file].name)
		if a.Code != 200 || a.Header().Get("Cache-Control") != "public, max-age=31536000, immutable" ||
			a.Header().Get("Content-Type") != kind {
			t.Errorf("%s: status %d, headers %v", file, a.Code, a.Header())
		}
	}
}

func TestMethods(t *testing.T) {
	w := newTestServer(t)
	id, _ := w.makeUsual()
	for path, allow := range map[string]string{
		"/":                        "GET, HEAD, POST",
		"/new":                     "GET, HEAD, POST",
		"/keys/" + id:              "GET, HEAD, POST",
		"/keys/" + id + "/rotate":  "GET, HEAD, POST",
		"/audit":                   "GET, HEAD, POST",
		"/assets/page.css":         "GET, HEAD",
		"/keys/" + id + "/delete":  "GET, HEAD, POST",
		"/keys/" + id + "/disable": "POST",
		"/try":                     "POST",
		"/theme":                   "POST",
	} {
		a := w.do(httptest.NewRequest(http.MethodDelete, path, nil))
		if a.Code != http.StatusMethodNotAllowed || a.Header().Get("Allow") != allow {
			t.Errorf("DELETE %s: status %d, Allow %q", path, a.Code, a.Header().Get("Allow"))
		}
		if !strings.Contains(a.body, "Method not allowed") {
			t.Errorf("DELETE %s: no page of the usual look", path)
		}
	}
}

func TestFormContentType(t *testing.T) {
	w := newTestServer(t)
	r := httptest.NewRequest(http.MethodPost, "/new", strings.NewReader(`{"name":"x"}`))
	r.Header.Set("Content-Type", "application/json")
	w.want(w.do(r), http.StatusUnsupportedMediaType)
	w.want(w.post("/new", "name", strings.Repeat("x", maxForm)), http.StatusRequestEntityTooLarge, "too large")
	if w.count() != 0 {
		t.Error("a key was made")
	}
}

func TestHostileNamesEscaped(t *testing.T) {
	w := newTestServer(t)
	if err := w.desk.FillHostile(t.Context()); err != nil {
		t.Fatal(err)
	}
	found, err := w.desk.List(catalogAll(w))
	if err != nil {
		t.Fatal(err)
	}
	paths := []string{"/", "/audit"}
	for _, k := range found.Keys {
		if k.Issued {
			paths = append(paths, "/keys/"+k.ID, "/keys/"+k.ID+"/rotate", "/keys/"+k.ID+"/revoke", "/audit?key="+k.ID)
		}
	}
	long := strings.Repeat("<b>x", 2500)
	for _, bad := range append(fixtures.Hostile, long) {
		for _, field := range []string{"q", "source", "feed", "state", "after"} {
			paths = append(paths, "/?"+url.Values{field: {bad}}.Encode())
		}
		paths = append(paths, "/audit?"+url.Values{"key": {bad}}.Encode(), "/keys/"+url.PathEscape(bad))
	}
	for _, path := range paths {
		a := w.get(path)
		for _, raw := range []string{"<script>document", "<img src=x", "<b>x"} {
			if strings.Contains(a.body, raw) {
				t.Errorf("%.80s: %q is in the page", path, raw)
			}
		}
		if found := inline.FindString(values.ReplaceAllString(a.body, "")); found != "" {
			t.Errorf("%.80s: %q is in the page", path, found)
		}
		if found := regexp.MustCompile(`(?i)(href|src|action)="\s*javascript:`).FindString(a.body); found != "" {
			t.Errorf("%.80s: %q is in the page", path, found)
		}
		if a.Code >= 500 {
			t.Errorf("%.80s: status %d", path, a.Code)
		}
	}
	list := w.get("/")
	w.want(list, 200, `<script>document.title = "broken"</script>`, "(invisible name)")
	if !strings.Contains(list.body, "<bdi>\u202eevil reversed name") {
		t.Error("a name that turns the direction of text is not isolated")
	}
}

func TestTheme(t *testing.T) {
	for name, tc := range map[string]struct {
		theme, cookie, back, to string
	}{
		"dark":                      {"dark", "dark", "/audit?key=x", "/audit?key=x"},
		"light":                     {"light", "light", "/", "/"},
		"the system's again":        {"system", "", "/", "/"},
		"what is none":              {"<script>", "", "/", "/"},
		"not to another host":       {"dark", "dark", "https://other.example/", "/"},
		"nor without the scheme":    {"dark", "dark", "//other.example/x", "/"},
		"nor with a backslash":      {"dark", "dark", `/\other.example`, "/"},
		"nor with a line in header": {"dark", "dark", "/x\r\nSet-Cookie: a=b", "/"},
	} {
		t.Run(name, func(t *testing.T) {
			w := newTestServer(t)
			a := w.post("/theme", "theme", tc.theme, "back", tc.back)
			if a.Code != http.StatusSeeOther || a.Header().Get("Location") != tc.to {
				t.Errorf("status %d to %q, want %q", a.Code, a.Header().Get("Location"), tc.to)
			}
			cookie := a.Result().Cookies()[0]
			if cookie.Value != tc.cookie || !cookie.HttpOnly {
				t.Errorf("cookie %v", cookie)
			}
			r := httptest.NewRequest(http.MethodGet, "/", nil)
			r.AddCookie(cookie)
			if got := strings.Contains(w.do(r).body, `data-theme="`+tc.theme+`"`); got != (tc.cookie != "") {
				t.Errorf("the page has the theme: %t", got)
			}
		})
	}
}

func TestBase(t *testing.T) {
	w := newTestServer(t, func(o *Options) { o.Base = "/console" })
	for _, ref := range regexp.MustCompile(`(?:src|href|action)="([^"#]+)"`).FindAllStringSubmatch(w.get("/").body, -1) {
		if !strings.HasPrefix(ref[1], "/console/") {
			t.Errorf("%s leads out of the console", ref[1])
		}
	}
}
