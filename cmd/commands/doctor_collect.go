package commands

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"reflect"
	"strings"

	"github.com/caddyserver/caddy/v2"
	caddycmd "github.com/caddyserver/caddy/v2/cmd"

	"github.com/docsgate/docsgate/doctor"
)

// collect reads the configuration, loads it without starting it, and queries the running gate, if there is one.
func (o *doctorOptions) collect(ctx context.Context) (doctor.Input, error) {
	var f doctor.Input
	config, file, err := o.read()
	switch {
	case err != nil && o.unreadable():
		return f, failf(exitNothingChecked, "%w", err)
	case err != nil: // the file exists, but has an error
		f.Config, f.ConfigError = o.config, err
		if f.Config == "" {
			f.Config = "Caddyfile"
		}
		return f, nil
	case config == nil && o.address == "":
		return f, nil
	case config == nil:
		if config, err = o.readRunning(ctx); err != nil {
			return f, failf(exitNothingChecked, "%w", err)
		}
		file = "of the running gate"
	}
	f.Config = file
	parsed, err := parseDeployment(config)
	if err != nil {
		f.ConfigError = err
		return f, nil
	}
	f.Admin = doctor.Admin{Disabled: parsed.Admin.Disabled, Listen: replaced(parsed.Admin.Listen)}
	if f.Admin.Listen == "" {
		f.Admin.Listen = caddy.DefaultAdminListen
	}
	f.Version = parsed.Apps.Docsgate.DocsGPT
	f.Credential.Tools = parsed.Apps.Docsgate.Tools
	if token := strings.TrimRight(replaced(parsed.Apps.Docsgate.Token), "\r\n"); !strings.ContainsAny(token, "{}") {
		f.Credential.Token = token
	}
	f.Keys.Configured = len(parsed.Apps.Docsgate.Feeds)

	loaded := dryRun(config)
	f.ConfigError, f.Databases = loaded.err, loaded.databases
	found := parsed.handlers(loaded.tls)
	f.Gates, f.Bypasses, f.Consoles = found.gates, found.bypasses, found.consoles
	f.Logs = parsed.logs()

	running := o.queryRunning(ctx, config, file, f.Admin.Disabled)
	f.Running = running.state
	switch {
	case running.metrics != nil && running.state == doctor.RunningThis || running.metrics != nil && loaded.err != nil:
		f.Keys.FromGate = true
		setKeys(&f.Keys, running.metrics)
	case loaded.err != nil:
		f.Keys.Err = errors.New("the configuration does not load")
	default:
		setKeys(&f.Keys, loaded.metrics)
	}
	return f, nil
}

// unreadable reports whether the configuration file cannot be read.
func (o *doctorOptions) unreadable() bool {
	file := o.config
	if file == "" {
		file = "Caddyfile"
	}
	_, err := readFileStart(file)
	return err != nil
}

// runningGate is the state of the running gate.
type runningGate struct {
	state   doctor.Running
	metrics metrics
}

// queryRunning reads the running gate's configuration and metrics from the admin endpoint.
func (o *doctorOptions) queryRunning(ctx context.Context, config []byte, file string, disabled bool) runningGate {
	admin := o.address
	if admin == "" {
		var err error
		if admin, err = caddycmd.DetermineAdminAPIAddress("", config, file, o.adapter); err != nil || disabled {
			return runningGate{}
		}
	}
	g, err := dial(ctx, admin)
	if err != nil {
		if isConnRefused(err) {
			return runningGate{state: doctor.NotRunning}
		}
		return runningGate{}
	}
	defer func() { _ = g.close() }()
	current, err := g.read(ctx, "/config/")
	if err != nil {
		return runningGate{}
	}
	r := runningGate{state: doctor.RunningOther}
	var ours, theirs any
	if json.Unmarshal(config, &ours) == nil && json.Unmarshal(current, &theirs) == nil && reflect.DeepEqual(ours, theirs) {
		r.state = doctor.RunningThis
	}
	if text, err := g.read(ctx, "/metrics"); err == nil {
		r.metrics, _ = readMetrics(strings.NewReader(string(text)))
	}
	return r
}

// readRunning returns the configuration of the gate at --address, for use without a configuration file.
func (o *doctorOptions) readRunning(ctx context.Context) ([]byte, error) {
	g, err := dial(ctx, o.address)
	if err != nil {
		return nil, err
	}
	defer func() { _ = g.close() }()
	config, err := g.read(ctx, "/config/")
	if err != nil {
		return nil, fmt.Errorf("reading the configuration of %s: %w", g.name, err)
	}
	return config, nil
}

// read returns the response to a GET request for a path of Caddy's own admin API.
func (g *client) read(ctx context.Context, path string) ([]byte, error) {
	r, err := http.NewRequestWithContext(ctx, http.MethodGet, strings.TrimSuffix(g.base, adminPrefix)+path, nil)
	if err != nil {
		return nil, err
	}
	if g.origin != "" {
		r.Header.Set("Origin", g.origin)
	}
	resp, err := g.client.Do(r)
	if err != nil {
		return nil, err
	}
	defer resp.Body.Close()
	if resp.StatusCode != http.StatusOK {
		return nil, fmt.Errorf("status %d", resp.StatusCode)
	}
	return io.ReadAll(io.LimitReader(resp.Body, 64<<20))
}

// replaced returns a text of the configuration with the known placeholders resolved.
func replaced(text string) string {
	return caddy.NewReplacer().ReplaceKnown(text, "")
}
