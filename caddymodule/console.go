package caddymodule

import (
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"sync/atomic"
	"time"

	"github.com/caddyserver/caddy/v2"
	"github.com/caddyserver/caddy/v2/caddyconfig/caddyfile"
	"github.com/caddyserver/caddy/v2/caddyconfig/httpcaddyfile"
	"github.com/caddyserver/caddy/v2/modules/caddyhttp"
	"go.uber.org/zap"

	"github.com/docsgate/docsgate/console"
	"github.com/docsgate/docsgate/console/auth"
	"github.com/docsgate/docsgate/keys"
)

func init() {
	caddy.RegisterModule(new(Console))
	httpcaddyfile.RegisterHandlerDirective("docsgate_console", parseConsole)
	// After basic_auth, whose user it trusts.
	httpcaddyfile.RegisterDirectiveOrder("docsgate_console", httpcaddyfile.Before, "reverse_proxy")
}

// Console is the web page and the API for keys that the gate issues. It belongs on a site of its own: it answers every
// path there. It refuses to start without protection: an admin token, an authentication handler such as basic_auth before
// it, or a listener that only this machine reaches.
type Console struct {
	// The token that opens the page and the API: one placeholder, {env.NAME} or {file.PATH}, of at least 16 characters.
	// Without it there must be another protection.
	AdminToken string `json:"admin_token,omitempty"`

	// Where clients reach the gate, such as https://ask.example.com: the examples that the page shows use it.
	Gate string `json:"public_url,omitempty"`

	// The references that keys made on the page and over its API may name as their agents, each one placeholder, {env.NAME} or
	// {file.PATH}. Others are rejected. Default: none; keys of other feeds can be named by their ids without it, and a DocsGPT
	// key can be given itself.
	Agents []string `json:"agents,omitempty"`

	// Further host names of this console. Only needed without other protection than a local listener, where only names
	// of this machine are answered: else a web page could reach the console through a name that its owner points here.
	Hosts []string `json:"allowed_hosts,omitempty"`

	app     *App
	token   keys.Secret
	local   bool                         // its server is reached from this machine only; set before it opens
	handler atomic.Pointer[http.Handler] // nil until the app knows the version of DocsGPT
	trouble logSampler                   // with whom was not let in
	logger  *zap.Logger
}

// CaddyModule returns the Caddy module information.
func (*Console) CaddyModule() caddy.ModuleInfo {
	return caddy.ModuleInfo{ID: "http.handlers.docsgate_console", New: func() caddy.Module { return new(Console) }}
}

func parseConsole(helper httpcaddyfile.Helper) (caddyhttp.MiddlewareHandler, error) {
	c := new(Console)
	if err := c.UnmarshalCaddyfile(helper.Dispenser); err != nil {
		return nil, err
	}
	return c, nil
}

// UnmarshalCaddyfile sets up the console from tokens:
//
//	docsgate_console {
//		admin_token {env.<name>}|{file.<path>}
//		public_url <url>
//		agents {env.<name>}|{file.<path>}...
//		allowed_hosts <names...>
//	}
func (c *Console) UnmarshalCaddyfile(d *caddyfile.Dispenser) error {
	d.Next()
	if d.NextArg() {
		return d.ArgErr()
	}
	for nesting := d.Nesting(); d.NextBlock(nesting); {
		var err error
		switch d.Val() {
		case "admin_token":
			if err = unmarshalOnce(d, &c.AdminToken); err == nil {
				if _, known := placeholderOf(c.AdminToken); !known {
					err = d.Err(errClearSecret.Error())
				}
			}
		case "public_url":
			if err = unmarshalOnce(d, &c.Gate); err == nil {
				err = wrapAt(d, checkGateURL(c.Gate))
			}
		case "agents":
			if len(c.Agents) > 0 {
				return alreadySpecified(d)
			}
			if err = unmarshalList(d, &c.Agents); err == nil {
				err = wrapAt(d, checkAgents(c.Agents))
			}
		case "allowed_hosts":
			if len(c.Hosts) > 0 {
				return alreadySpecified(d)
			}
			if c.Hosts = d.RemainingArgs(); len(c.Hosts) == 0 {
				return d.ArgErr()
			}
		default:
			err = unrecognized(d, "admin_token", "public_url", "agents", "allowed_hosts")
		}
		if err != nil {
			return err
		}
	}
	return nil
}

// checkAgents refuses what is no reference, without repeating it: it may be a key.
func checkAgents(references []string) error {
	for i, reference := range references {
		if _, known := placeholderOf(reference); !known {
			return fmt.Errorf("agents: number %d is no reference: write {env.NAME} or {file.PATH}, and the DocsGPT key there", i+1)
		}
	}
	return nil
}

func wrapAt(d *caddyfile.Dispenser, err error) error {
	if err == nil {
		return nil
	}
	return d.WrapErr(err)
}

func checkGateURL(text string) error {
	u, err := url.Parse(text)
	if err != nil || u.Scheme != "http" && u.Scheme != "https" || u.Host == "" || u.User != nil || u.RawQuery != "" ||
		u.Fragment != "" || u.Path != "" && u.Path != "/" {
		return errors.New("public_url is the address that clients ask, such as https://ask.example.com")
	}
	return nil
}

// Provision reads the token and joins the app.
func (c *Console) Provision(ctx caddy.Context) error {
	c.logger = ctx.Logger()
	keepConns(ctx)
	if c.Gate != "" {
		if err := checkGateURL(c.Gate); err != nil {
			return err
		}
	}
	if err := checkAgents(c.Agents); err != nil {
		return err
	}
	if c.AdminToken != "" {
		secret, err := resolveSecret(c.AdminToken)
		if err != nil {
			return fmt.Errorf("admin_token: %w", err)
		}
		if len(secret) < minAdminToken {
			return fmt.Errorf("admin_token has fewer than %d characters: make one with, say, openssl rand -hex 20", minAdminToken)
		}
		c.token = keys.NewSecret(secret)
	}
	app, err := ctx.App("docsgate")
	if err != nil {
		return err
	}
	c.app = app.(*App)
	c.app.consoles = append(c.app.consoles, c)
	return c.app.onVersionResolved(func() error {
		if c.app.storeFeed == nil {
			return errNoStore
		}
		return nil
	})
}

var errNoStore = errors.New("docsgate_console is for keys that the gate issues: add to the docsgate options the line: feed store")

// minAdminToken is the length of the shortest admin token: guessing is throttled, but a page of this kind is worth years.
const minAdminToken = 16

// open makes the handler, when all gates of the configuration are known.
func (c *Console) open() error {
	desk := c.app.keyService(c.Gate)
	desk.Agents = c.Agents
	handler, err := console.New(console.Options{
		Service: desk, Token: c.token, Loopback: c.local && c.token.IsZero(), Hosts: c.Hosts,
		User: authenticatedUser, ClientIP: clientIPOf,
		Feeds: c.app.feedNames, BackupName: "keys.db", SharedState: c.app.state.issued.memory,
		OnError: func(r *http.Request, err error) {
			c.logger.Error("console", zap.String("path", r.URL.Path), zap.Error(err))
		},
		OnReject: c.logRejected,
	})
	if err != nil {
		return err
	}
	c.handler.Store(&handler)
	return nil
}

// logRejected logs who was not let in, not more than once for each address and reason in some seconds: it costs nothing to ask.
func (c *Console) logRejected(no auth.Rejection) {
	if skipped, ok := c.trouble.allow(sampleKey{string(no.Reason), no.From}, time.Now()); ok {
		c.logger.Warn("admin request rejected", zap.String("reason", string(no.Reason)), zap.String("client_ip", no.From),
			zap.Int("suppressed", skipped))
	}
}

// authenticatedUser returns who an authentication handler before the console let in. A gate there lets keys in, not people: it gives
// the key's ID as the user, for access logs.
func authenticatedUser(r *http.Request) (name string, ok bool) {
	repl, ok := r.Context().Value(caddy.ReplacerCtxKey).(*caddy.Replacer)
	if !ok {
		return "", false
	}
	if _, gated := repl.Get("docsgate.key.id"); gated {
		return "", false
	}
	return repl.GetString("http.auth.user.id")
}

func clientIPOf(r *http.Request) string {
	ip, _ := caddyhttp.GetVar(r.Context(), caddyhttp.ClientIPVarKey).(string)
	return ip
}

// ServeHTTP answers every request by itself.
func (c *Console) ServeHTTP(w http.ResponseWriter, r *http.Request, _ caddyhttp.Handler) error {
	handler := c.handler.Load()
	if handler == nil {
		return caddyhttp.Error(http.StatusServiceUnavailable, errors.New("the console is not ready"))
	}
	serveTracked(w, r, *handler)
	return nil
}

var (
	_ caddy.Provisioner           = (*Console)(nil)
	_ caddyhttp.MiddlewareHandler = (*Console)(nil)
	_ caddyfile.Unmarshaler       = (*Console)(nil)
)
