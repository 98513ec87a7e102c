// Package logencoder is the log encoder module "docsgate", which keeps tokens out of logs. It wraps another encoder and changes
// what that one receives:
//
//   - Of a request only what is listed is logged: method, protocol, addresses, host, the path of a known endpoint, the names of
//     known query parameters, the values of listed headers, and the facts about TLS.
//   - In all other texts, at any depth, what looks like a token is replaced, and what is the token of a key that the gate has.
//
// The packages that have keys register them with [redact.Register].
package logencoder

import (
	"encoding/json"
	"fmt"
	"net/http"
	"os"
	"strings"

	"github.com/caddyserver/caddy/v2"
	"github.com/caddyserver/caddy/v2/modules/logging"
	"go.uber.org/zap/buffer"
	"go.uber.org/zap/zapcore"
	"golang.org/x/term"

	"github.com/docsgate/docsgate/internal/redact"
)

func init() {
	caddy.RegisterModule(new(Encoder))
}

// Encoder keeps tokens out of a log. It wraps another encoder, which encodes the entries. It should be the outermost encoder
// of a log: an encoder around it sees entries with their tokens.
//
// The fields ts, level, logger and caller are not changed.
type Encoder struct {
	// The encoder that encodes the entries. Default: "json", or "console" if the output is a terminal.
	WrappedRaw json.RawMessage `json:"wrap,omitempty" caddy:"namespace=caddy.logging.encoders inline_key=format"`

	// Names of further request and response headers whose values are logged, except for tokens. Headers that are made for
	// credentials, such as Authorization, Cookie and X-Api-Key, are an error.
	Headers []string `json:"headers,omitempty"`

	// Further paths of requests that are logged, as a client sends them, without a query.
	Paths []string `json:"paths,omitempty"`

	object           `json:"-"`
	wrappedIsDefault bool
	ctx              caddy.Context
}

// CaddyModule returns the Caddy module information.
func (*Encoder) CaddyModule() caddy.ModuleInfo {
	return caddy.ModuleInfo{ID: "caddy.logging.encoders.docsgate", New: func() caddy.Module { return new(Encoder) }}
}

// Provision sets up the encoder.
func (e *Encoder) Provision(ctx caddy.Context) error {
	e.ctx = ctx
	rules := &rules{headers: map[string]bool{}, paths: map[string]bool{}}
	for _, name := range e.Headers {
		if redact.IsCredentialName(name) {
			return fmt.Errorf("headers: the values of %s are credentials", http.CanonicalHeaderKey(name))
		}
		rules.headers[http.CanonicalHeaderKey(name)] = true
	}
	for _, path := range e.Paths {
		if !strings.HasPrefix(path, "/") {
			return fmt.Errorf("paths: %q must begin with a slash", path)
		}
		rules.paths[path] = true
	}
	e.rules = rules
	if e.WrappedRaw == nil {
		e.wrappedIsDefault = true
		return e.wrap(new(logging.JSONEncoder))
	}
	module, err := ctx.LoadModule(e, "WrappedRaw")
	if err != nil {
		return fmt.Errorf("loading the wrapped encoder: %w", err)
	}
	e.ObjectEncoder = module.(zapcore.Encoder)
	return nil
}

// wrap provisions an encoder and wraps it.
func (e *Encoder) wrap(encoder zapcore.Encoder) error {
	if p, ok := encoder.(caddy.Provisioner); ok {
		if err := p.Provision(e.ctx); err != nil {
			return fmt.Errorf("provisioning the default encoder: %w", err)
		}
	}
	e.ObjectEncoder = encoder
	return nil
}

// ConfigureDefaultFormat wraps the console encoder if no encoder is configured and the writer is a terminal. An encoder that
// is configured gets the writer, for its own default.
func (e *Encoder) ConfigureDefaultFormat(w caddy.WriterOpener) error {
	if !e.wrappedIsDefault {
		if c, ok := e.ObjectEncoder.(caddy.ConfiguresFormatterDefault); ok {
			return c.ConfigureDefaultFormat(w)
		}
		return nil
	}
	if caddy.IsWriterStandardStream(w) && term.IsTerminal(int(os.Stderr.Fd())) {
		return e.wrap(new(logging.ConsoleEncoder))
	}
	return nil
}

// Clone implements zapcore.Encoder. A clone is not safe for concurrent use.
func (e *Encoder) Clone() zapcore.Encoder { return e.clone() }

func (e *Encoder) clone() *Encoder {
	return &Encoder{object: object{ObjectEncoder: e.ObjectEncoder.(zapcore.Encoder).Clone(), rules: e.rules, scope: e.scope}}
}

// EncodeEntry implements zapcore.Encoder.
func (e *Encoder) EncodeEntry(entry zapcore.Entry, fields []zapcore.Field) (*buffer.Buffer, error) {
	c := e.clone() // so that the fields are not in the next entry, too
	for i := range fields {
		fields[i].AddTo(c)
	}
	entry.Message = redact.Text(entry.Message)
	entry.Stack = redact.Text(entry.Stack)
	return c.ObjectEncoder.(zapcore.Encoder).EncodeEntry(entry, nil)
}

var (
	_ zapcore.Encoder                  = (*Encoder)(nil)
	_ caddy.Provisioner                = (*Encoder)(nil)
	_ caddy.ConfiguresFormatterDefault = (*Encoder)(nil)
)
