package auth

import (
	"encoding/json"
	"net/http"
	"net/url"
	"strconv"
	"time"
)

// rejection is why a request is rejected, and the error response.
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
	errUnavailable = &rejection{
		reason: Unavailable, status: http.StatusServiceUnavailable, code: "store_unavailable",
		text: "The sessions are in the key store, which is unavailable. Try again later, or send the admin token as Authorization: Bearer TOKEN.",
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

// seconds formats a duration in whole seconds, for Retry-After.
func seconds(d time.Duration) string { return strconv.Itoa(int(d.Seconds())) }

func (g *Authenticator) report(r *http.Request, rej *rejection) {
	if g.OnReject != nil {
		g.OnReject(Rejection{Reason: rej.reason, From: g.clientIP(r)})
	}
}

// reject writes the error response. Browsers without a session are redirected to the login page.
func (g *Authenticator) reject(w http.ResponseWriter, r *http.Request, rej *rejection) {
	g.report(r, rej)
	h := w.Header()
	if rej.retryAfter > 0 {
		h.Set("Retry-After", seconds(rej.retryAfter))
	}
	switch {
	case g.IsAPI(r):
		if rej.status == http.StatusUnauthorized {
			h.Set("WWW-Authenticate", `Bearer realm="docsgate"`)
		}
		h.Set("Content-Type", "application/problem+json")
		w.WriteHeader(rej.status)
		body, _ := json.Marshal(map[string]any{ // cannot fail: strings and a number
			"type": "about:blank", "title": http.StatusText(rej.status), "status": rej.status, "detail": rej.text, "code": rej.code,
		})
		_, _ = w.Write(append(body, '\n')) // the client may be gone
	case rej.reason == NoCredential && g.CanSignIn():
		to := g.Base + "/login"
		if r.Method == http.MethodGet && r.URL.RequestURI() != "/" {
			to += "?back=" + url.QueryEscape(g.Base+r.URL.RequestURI())
		}
		http.Redirect(w, r, to, http.StatusSeeOther)
	case g.ErrorPage != nil:
		g.ErrorPage(w, r, rej.status, rej.text)
	default:
		h.Set("Content-Type", "text/plain; charset=utf-8")
		w.WriteHeader(rej.status)
		_, _ = w.Write([]byte(rej.text + "\n"))
	}
}
