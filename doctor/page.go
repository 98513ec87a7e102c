package doctor

import (
	"context"
	"fmt"
	"net/http"
	"net/url"
	"slices"
	"strings"
)

// The host and the keys that published widgets use if their page sets none. They belong to the DocsGPT cloud.
const (
	defaultHost = "gptcloud.arc53.com"
	chatDemoKey = "74039c6d-bff7-44ce-ae55-2973cbf13837"
	findDemoKey = "82962c9a-aa77-4152-94e5-a4f84fd44c6a"
)

// maxScripts is the maximum number of scripts of a page that are fetched.
const maxScripts = 12

// checkPage finds the widget in a page, and checks the host and the key that it uses.
func (x *runner) checkPage(ctx context.Context) {
	if x.opts.Page == "" {
		return
	}
	at, err := url.Parse(x.opts.Page)
	if err != nil || at.Host == "" {
		x.unknown("page.widget", "The address of the page is not a URL.", "Pass it as https://www.example.com/page.")
		return
	}
	shown := (&url.URL{Scheme: at.Scheme, Host: at.Host, Path: at.Path}).String()
	html, err := x.fetch(ctx, at)
	if err != nil {
		x.unknown("page.widget",
			fmt.Sprintf("The page %s could not be read: %v.", shown, err), "Pass the URL of a page that is public.")
		return
	}
	w := findWidget(html)
	scripts := 0
	for _, src := range w.scripts {
		link, err := at.Parse(src)
		if err != nil || link.Host != at.Host || scripts == maxScripts || len(w.hosts) > 0 && len(w.keys) > 0 {
			continue
		}
		scripts++
		if text, err := x.fetch(ctx, link); err == nil {
			w.readScript(text)
		}
	}
	if !w.found() {
		x.unknown("page.widget", fmt.Sprintf("No widget was found in %s or its scripts.", shown),
			"Pass the URL of the page with the widget; if a script computes the settings, check that apiHost and apiKey are the gate's.")
		return
	}
	x.ok("page.widget", fmt.Sprintf("The page %s has the widget.", shown))
	x.checkPageHosts(at, w.hosts)
	x.checkPageKeys(ctx, w.keys)
}

func (x *runner) fetch(ctx context.Context, at *url.URL) ([]byte, error) {
	for range 4 {
		link := *at
		link.User, link.Fragment = nil, ""
		t := newTarget(at.Scheme+"://"+at.Host, nil)
		a, err := t.send(ctx, x.agent, request{method: http.MethodGet, path: link.RequestURI()})
		if err != nil {
			return nil, err
		}
		if next := a.header.Get("Location"); a.status >= 300 && a.status < 400 && next != "" {
			if at, err = at.Parse(next); err != nil || at.Scheme != "http" && at.Scheme != "https" {
				return nil, fmt.Errorf("it redirects to an unsupported address")
			}
			continue
		}
		if a.status != http.StatusOK {
			return nil, fmt.Errorf("status %d", a.status)
		}
		return a.body, nil
	}
	return nil, fmt.Errorf("too many redirects")
}

func (x *runner) checkPageHosts(at *url.URL, hosts []string) {
	if len(hosts) == 0 {
		x.fail("page.host",
			"The page does not set apiHost, so the widget uses the DocsGPT cloud.",
			"Set apiHost to the gate's address.")
		return
	}
	for _, host := range hosts {
		u, err := at.Parse(host)
		if err != nil {
			x.fail("page.host",
				"The apiHost of the page is not a URL.", "Set apiHost to the gate's address, such as https://ask.example.com")
			continue
		}
		name := u.Scheme + "://" + u.Host
		switch {
		case strings.EqualFold(u.Hostname(), defaultHost):
			x.fail("page.host",
				"The widget uses "+name+", the DocsGPT cloud.", "Set apiHost to the gate's address.")
		case at.Scheme == "https" && u.Scheme == "http" && !isLoopback(u.Hostname()):
			x.fail("page.mixed_content", "The page is served over HTTPS and its widget uses "+name+", which browsers block as mixed content.",
				"Serve the gate over HTTPS, and use https in apiHost.")
		case !x.isGate(u):
			x.fail("page.host", "The widget uses "+name+", which is not the gate.", "Set apiHost to the gate's address.")
		default:
			x.ok("page.host", "The widget uses the gate, "+name+".")
		}
	}
}

// isGate reports whether a URL is a known address of the gate. If no address is known, every URL is.
func (x *runner) isGate(u *url.URL) bool {
	if x.opts.URL != "" {
		mine, err := url.Parse(x.opts.URL)
		named := x.gate != nil && len(x.gate.Hosts) > 0 && x.gate.serves(u.Hostname()) // the site may have several host names
		return err == nil && (named || strings.EqualFold(mine.Hostname(), u.Hostname())) && portOf(mine) == portOf(u)
	}
	for i := range x.input.Gates {
		g := &x.input.Gates[i]
		if t := g.local(); g.serves(u.Hostname()) {
			if t == nil {
				return true
			}
			if mine, err := url.Parse(t.base); err == nil && portOf(mine) == portOf(u) {
				return true
			}
		}
	}
	return len(x.input.Gates) == 0
}

func portOf(u *url.URL) string {
	if u.Port() != "" {
		return u.Port()
	}
	return map[string]string{"http": "80", "https": "443"}[u.Scheme]
}

func (x *runner) checkPageKeys(ctx context.Context, keys []string) {
	if len(keys) == 0 {
		x.fail("page.key",
			"The page does not set apiKey, so the widget uses the demo key of its package.",
			"Set apiKey to the token of a key of the gate.")
		return
	}
	for _, key := range keys {
		x.secrets = append(x.secrets, key)
		if slices.Contains([]string{chatDemoKey, findDemoKey}, strings.ToLower(key)) {
			x.fail("page.key",
				"The widget uses the demo key of its package.", "Set apiKey to the token of a key of the gate.")
			continue
		}
		if x.outside == nil {
			x.unknown("page.key",
				"Whether the gate accepts the key of the page is unknown.", "See the findings about the gate.")
			continue
		}
		switch x.probeKey(ctx, key) {
		case Yes:
			x.ok("page.key", "The gate accepts the key of the page.")
		case No:
			x.fail("page.key",
				"The gate rejects the key of the page.",
				"Set apiKey to the token of an active key; list the keys with \"docsgate keys list\".")
		default:
			x.unknown("page.key",
				"Whether the gate accepts the key of the page is unknown.", "See the findings about the gate.")
		}
	}
}
