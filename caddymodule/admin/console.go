package admin

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

	"github.com/docsgate/docsgate/caddymodule/app"
	"github.com/docsgate/docsgate/caddymodule/caddyfileutil"
	"github.com/docsgate/docsgate/caddymodule/lifecycle"
	"github.com/docsgate/docsgate/caddymodule/logsample"
	"github.com/docsgate/docsgate/caddymodule/placeholder"
	"github.com/docsgate/docsgate/console"
	"github.com/docsgate/docsgate/console/auth"
	"github.com/docsgate/docsgate/keys"
)

func init() {
	caddy.RegisterModule(new(Console))
	httpcaddyfile.RegisterHandlerDirective("docsgate_console", parseConsole)
	// It trusts the user of basic_auth, which is ordered before it.
	httpcaddyfile.RegisterDirectiveOrder("docsgate_console", httpcaddyfile.Before, "reverse_proxy")
}

// Console is the web console and the API for keys that the gate issues. It needs a separate site, since it responds on every
// path. It needs protection, or the configuration is rejected: an admin token, an authentication handler such as basic_auth
// before it, or a server that listens on loopback addresses only.
type Console struct {
	// The admin token for the console and the API, at least 16 characters. It must be one placeholder, {env.NAME} or
	// {file.PATH}. Default: none; other protection is then required.
	AdminToken string `json:"admin_token,omitempty"`

	// The URL at which clients reach the gate, such as https://ask.example.com, for the examples in the console. Default:
	// none.
	PublicURL string `json:"public_url,omitempty"`

	// The URL of DocsGPT's web app, such as https://docsgpt.example.com, to which the pages of agents' keys link. Default: none.
	DocsGPTURL string `json:"docsgpt_url,omitempty"`

	// The references that users of the console and the API may specify as agents of keys, each one placeholder, {env.NAME}
	// or {file.PATH}. Other references are rejected; IDs of keys of other feeds and DocsGPT keys are always accepted.
	// Default: none.
	Agents []string `json:"agents,omitempty"`

	// Additional host names of the console, for when loopback addresses are its only protection. To prevent DNS rebinding,
	// it then rejects requests for other hosts than the names of this machine. Default: none.
	AllowedHosts []string `json:"allowed_hosts,omitempty"`

	// The name of the backend whose keys the console manages, of the field "backends" of the app. Default: the default backend.
	Backend string `json:"backend,omitempty"`

	ctx     caddy.Context
	app     *app.App
	backend *app.Backend
	token   keys.Secret
	local   bool                         // its server listens on loopback addresses only; set by checkProtection
	handler atomic.Pointer[http.Handler] // nil until the version of DocsGPT is resolved
	sampler logsample.Sampler            // for rejected requests
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
	return c, app.CheckBackendOption(helper, c.Backend)
}

// UnmarshalCaddyfile sets up the console from tokens:
//
//	docsgate_console {
//		admin_token {env.<name>}|{file.<path>}
//		public_url <url>
//		docsgpt_url <url>
//		agents {env.<name>}|{file.<path>}...
//		allowed_hosts <names...>
//		backend <name>
//	}
func (c *Console) UnmarshalCaddyfile(d *caddyfile.Dispenser) error {
	d.Next()
	if d.NextArg() {
		return d.ArgErr()
	}
	for nesting := d.Nesting(); d.NextBlock(nesting); {
		var err error
		switch d.Val() {
		case "backend":
			err = caddyfileutil.Text(d, &c.Backend)
		case "admin_token":
			err = caddyfileutil.Secret(d, &c.AdminToken)
		case "public_url":
			if err = caddyfileutil.Text(d, &c.PublicURL); err == nil {
				err = caddyfileutil.WrapErr(d, checkPublicURL(c.PublicURL))
			}
		case "docsgpt_url":
			if err = caddyfileutil.Text(d, &c.DocsGPTURL); err == nil {
				err = caddyfileutil.WrapErr(d, checkDocsGPTURL(c.DocsGPTURL))
			}
		case "agents":
			if len(c.Agents) > 0 {
				return caddyfileutil.AlreadySpecified(d)
			}
			if err = caddyfileutil.List(d, &c.Agents); err == nil {
				err = caddyfileutil.WrapErr(d, checkAgents(c.Agents))
			}
		case "allowed_hosts":
			if len(c.AllowedHosts) > 0 {
				return caddyfileutil.AlreadySpecified(d)
			}
			if c.AllowedHosts = d.RemainingArgs(); len(c.AllowedHosts) == 0 {
				return d.ArgErr()
			}
		default:
			err = caddyfileutil.Unrecognized(d, "admin_token", "public_url", "docsgpt_url", "agents", "allowed_hosts", "backend")
		}
		if err != nil {
			return err
		}
	}
	return nil
}

// checkAgents validates references to agents. Its error does not contain the text, which may be a key.
func checkAgents(references []string) error {
	for i, reference := range references {
		if _, known := placeholder.Parse(reference); !known {
			return fmt.Errorf("agents: number %d is not a reference: it must be {env.NAME} or {file.PATH}, with the DocsGPT key there", i+1)
		}
	}
	return nil
}

func checkPublicURL(text string) error {
	u, err := url.Parse(text)
	if err != nil || u.Scheme != "http" && u.Scheme != "https" || u.Host == "" || u.User != nil || u.RawQuery != "" ||
		u.Fragment != "" || u.Path != "" && u.Path != "/" {
		return errors.New("public_url must be the URL at which clients reach the gate, such as https://ask.example.com")
	}
	return nil
}

func checkDocsGPTURL(text string) error {
	u, err := url.Parse(text)
	if err != nil || u.Scheme != "http" && u.Scheme != "https" || u.Host == "" || u.User != nil || u.RawQuery != "" || u.Fragment != "" {
		return errors.New("docsgpt_url must be the URL of DocsGPT's web app, such as https://docsgpt.example.com")
	}
	return nil
}

// Provision resolves the admin token and registers the console with the app.
func (c *Console) Provision(ctx caddy.Context) error {
	c.ctx = ctx
	lifecycle.KeepConns(ctx)
	if c.PublicURL != "" {
		if err := checkPublicURL(c.PublicURL); err != nil {
			return err
		}
	}
	if c.DocsGPTURL != "" {
		if err := checkDocsGPTURL(c.DocsGPTURL); err != nil {
			return err
		}
	}
	if err := checkAgents(c.Agents); err != nil {
		return err
	}
	if c.AdminToken != "" {
		secret, err := placeholder.Secret(c.AdminToken)
		if err != nil {
			return fmt.Errorf("admin_token: %w", err)
		}
		if len(secret) < minAdminToken {
			return fmt.Errorf("admin_token must have at least %d characters: generate one with, for example, openssl rand -hex 20", minAdminToken)
		}
		c.token = keys.NewSecret(secret)
	}
	docsgate, err := ctx.App("docsgate")
	if err != nil {
		return err
	}
	c.app = docsgate.(*app.App)
	if c.backend, err = c.app.FindBackend(c.Backend); err != nil {
		return err
	}
	c.logger = c.backend.Logger(ctx.Logger())
	c.app.CheckServer(ctx)
	if c.PublicURL != "" {
		c.backend.SetPublicURL(c.PublicURL)
	}
	c.backend.OnStart(c.checkProtection, c.open)
	return c.backend.OnVersionResolved(func() error {
		if !c.backend.HasStore() {
			return errNoStore
		}
		return nil
	})
}

var errNoStore = errors.New("docsgate_console needs keys that the gate issues: add feed store to the docsgate options")

// minAdminToken is the minimum length of the admin token. Guessing is throttled, but an attacker may try for years.
const minAdminToken = 16

// open creates the handler, after all handlers of the configuration are provisioned.
func (c *Console) open() error {
	service := newKeyService(c.backend, c.PublicURL)
	service.Agents, service.DocsGPTURL = c.Agents, c.DocsGPTURL
	handler, err := console.New(console.Options{
		Service: service, Token: c.token, Loopback: c.local && c.token.IsZero(), Hosts: c.AllowedHosts,
		User: authenticatedUser, ClientIP: clientIPOf,
		Feeds: c.backend.FeedNames, BackupName: "keys.db", SharedState: c.backend.State().ConsoleState(),
		OnError: func(r *http.Request, err error) {
			c.logger.Error("console request failed", zap.String("path", r.URL.Path), zap.Error(err))
		},
		OnReject: c.logRejected,
	})
	if err != nil {
		return err
	}
	c.handler.Store(&handler)
	return nil
}

// logRejected logs a rejected request, at most once per interval, client IP address and reason.
func (c *Console) logRejected(rejection auth.Rejection) {
	if skipped, ok := c.sampler.Allow(string(rejection.Reason), rejection.From, time.Now()); ok {
		c.logger.Warn("admin request rejected", zap.String("reason", string(rejection.Reason)), zap.String("client_ip", rejection.From),
			zap.Int("suppressed", skipped))
	}
}

// authenticatedUser returns the user that an authentication handler before the console has authenticated. The handler docsgate
// authenticates keys, not users, although it sets the user to the ID of the key for access logs.
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

// ServeHTTP implements caddyhttp.MiddlewareHandler. It never calls the next handler.
func (c *Console) ServeHTTP(w http.ResponseWriter, r *http.Request, _ caddyhttp.Handler) error {
	c.app.AwaitStart(r.Context())
	handler := c.handler.Load()
	if handler == nil {
		return caddyhttp.Error(http.StatusServiceUnavailable, errors.New("the console is not ready"))
	}
	lifecycle.Serve(w, r, *handler)
	return nil
}

var (
	_ caddy.Provisioner           = (*Console)(nil)
	_ caddyhttp.MiddlewareHandler = (*Console)(nil)
	_ caddyfile.Unmarshaler       = (*Console)(nil)
)
