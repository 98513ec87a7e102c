package auth

import (
	"encoding/json"
	"net/http"
	"net/url"
	"strconv"
	"time"
)

// rejection is why a request may not pass, and what its sender is told.
type rejection struct {
	reason     Reason
	status     int
	code       string
	text       string
	retryAfter time.Duration
}

var (
	errNoCredential = &rejection{
		reason: NoCredential, status: http.StatusUnauthorized, code: "unauthorized",
		text: "The admin token is required, as Authorization: Bearer TOKEN.",
	}
	errWrongToken = &rejection{
		reason: WrongToken, status: http.StatusUnauthorized, code: "unauthorized", text: "This is not the admin token.",
	}
	errCrossSite = &rejection{
		reason: CrossSite, status: http.StatusForbidden, code: "cross_site_request",
		text: "The request came from a page of another site and was rejected.",
	}
	errProxied = &rejection{
		reason: Proxied, status: http.StatusForbidden, code: "proxied_request",
		text: "The request came through a proxy, so its origin on this machine cannot be verified. " +
			"Configure an admin token, or an authentication handler before the console.",
	}
	errNotLoopback = &rejection{
		reason: NotLoopback, status: http.StatusForbidden, code: "not_loopback",
		text: "The console accepts requests from this machine only. To use it from elsewhere, configure an admin token, " +
			"or an authentication handler before it.",
	}
	errHostNotAllowed = &rejection{
		reason: HostNotAllowed, status: http.StatusForbidden, code: "host_not_allowed",
		text: "The console does not accept this host name. Use localhost or a loopback address, " +
			"or add the name to allowed_hosts in its configuration.",
	}
)

func errRateLimited(wait time.Duration) *rejection {
	return &rejection{
		reason: Throttled, status: http.StatusTooManyRequests, code: "too_many_failures",
		text: "Too many wrong tokens from this address. Wait " + seconds(wait) + " seconds.", retryAfter: wait,
	}
}

// seconds is a time in whole seconds, as Retry-After has it.
func seconds(d time.Duration) string { return strconv.Itoa(int(d.Seconds())) }

func (g *Authenticator) report(r *http.Request, no *rejection) {
	if g.OnReject != nil {
		g.OnReject(Rejection{Reason: no.reason, From: g.clientIP(r)})
	}
}

// reject answers a request that may not pass. Browsers that have not signed in are led to where they can.
func (g *Authenticator) reject(w http.ResponseWriter, r *http.Request, no *rejection) {
	g.report(r, no)
	h := w.Header()
	if no.retryAfter > 0 {
		h.Set("Retry-After", seconds(no.retryAfter))
	}
	switch {
	case g.IsAPI(r):
		if no.status == http.StatusUnauthorized {
			h.Set("WWW-Authenticate", `Bearer realm="docsgate"`)
		}
		h.Set("Content-Type", "application/problem+json")
		w.WriteHeader(no.status)
		body, _ := json.Marshal(map[string]any{ // texts and a number: it cannot fail
			"type": "about:blank", "title": http.StatusText(no.status), "status": no.status, "detail": no.text, "code": no.code,
		})
		_, _ = w.Write(append(body, '\n')) // a client that is gone has no use for it
	case no.reason == NoCredential && g.CanSignIn():
		to := g.Base + "/login"
		if r.Method == http.MethodGet && r.URL.RequestURI() != "/" {
			to += "?back=" + url.QueryEscape(g.Base+r.URL.RequestURI())
		}
		http.Redirect(w, r, to, http.StatusSeeOther)
	case g.ErrorPage != nil:
		g.ErrorPage(w, r, no.status, no.text)
	default:
		h.Set("Content-Type", "text/plain; charset=utf-8")
		w.WriteHeader(no.status)
		_, _ = w.Write([]byte(no.text + "\n"))
	}
}

// setSecurityHeaders sets the headers of all answers. A page may set others: its own policy, or that it can be kept. The policy on
// referrers must not be stricter: without a referrer browsers leave out the origin of forms too, by which those of other
// sites are told.
func setSecurityHeaders(h http.Header) {
	h.Set("Content-Security-Policy", "default-src 'none'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'")
	h.Set("X-Content-Type-Options", "nosniff")
	h.Set("X-Frame-Options", "DENY")
	h.Set("Referrer-Policy", "same-origin")
	h.Set("Cross-Origin-Opener-Policy", "same-origin")
	h.Set("Cross-Origin-Resource-Policy", "same-origin")
	h.Set("Cache-Control", "no-store")
}
