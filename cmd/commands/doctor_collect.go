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

// facts reads the configuration, loads it without starting it, and asks the running gate, if there is one.
func (o *doctorOptions) facts(ctx context.Context) (doctor.Input, error) {
	var f doctor.Input
	config, file, err := o.read()
	switch {
	case err != nil && o.unreadable():
		return f, failf(exitNothingChecked, "%w", err)
	case err != nil: // it is there, and has a mistake
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
	said, err := parseDeployment(config)
	if err != nil {
		f.ConfigError = err
		return f, nil
	}
	f.Admin = doctor.Admin{Disabled: said.Admin.Disabled, Listen: replaced(said.Admin.Listen)}
	if f.Admin.Listen == "" {
		f.Admin.Listen = caddy.DefaultAdminListen
	}
	f.Version = said.Apps.Docsgate.DocsGPT
	f.Credential.Tools = said.Apps.Docsgate.Tools
	if token := strings.TrimRight(replaced(said.Apps.Docsgate.Token), "\r\n"); !strings.ContainsAny(token, "{}") {
		f.Credential.Token = token
	}
	f.Keys.Configured = len(said.Apps.Docsgate.Feeds)

	loaded := dryRun(config)
	f.ConfigError, f.Databases = loaded.err, loaded.databases
	found := said.handlers(loaded.tls)
	f.Gates, f.Beside, f.Consoles = found.gates, found.beside, found.consoles
	f.Logs = said.logs()

	running := o.askRunning(ctx, config, file, f.Admin.Disabled)
	f.Running = running.is
	switch {
	case running.metrics != nil && running.is == doctor.RunningThis || running.metrics != nil && loaded.err != nil:
		f.Keys.FromGate = true
		keysOf(&f.Keys, running.metrics)
	case loaded.err != nil:
		f.Keys.Trouble = errors.New("the configuration does not load")
	default:
		keysOf(&f.Keys, loaded.metrics)
	}
	return f, nil
}

// unreadable tells whether the configuration's file cannot be read at all.
func (o *doctorOptions) unreadable() bool {
	file := o.config
	if file == "" {
		file = "Caddyfile"
	}
	_, err := readFileStart(file)
	return err != nil
}

// gateAnswer is what the gate that runs tells of itself.
type gateAnswer struct {
	is      doctor.Running
	metrics metrics
}

// askRunning asks the admin endpoint for its configuration and its metrics.
func (o *doctorOptions) askRunning(ctx context.Context, config []byte, file string, disabled bool) gateAnswer {
	admin := o.address
	if admin == "" {
		var err error
		if admin, err = caddycmd.DetermineAdminAPIAddress("", config, file, o.adapter); err != nil || disabled {
			return gateAnswer{}
		}
	}
	g, err := dial(ctx, admin)
	if err != nil {
		if isConnRefused(err) {
			return gateAnswer{is: doctor.NotRunning}
		}
		return gateAnswer{}
	}
	defer func() { _ = g.close() }()
	current, err := g.read(ctx, "/config/")
	if err != nil {
		return gateAnswer{}
	}
	r := gateAnswer{is: doctor.RunningOther}
	var mine, its any
	if json.Unmarshal(config, &mine) == nil && json.Unmarshal(current, &its) == nil && reflect.DeepEqual(mine, its) {
		r.is = doctor.RunningThis
	}
	if text, err := g.read(ctx, "/metrics"); err == nil {
		r.metrics, _ = readMetrics(strings.NewReader(string(text)))
	}
	return r
}

// readRunning returns the configuration of the gate whose admin endpoint was named, where there is no file.
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

// read reads a path of Caddy's own on the admin endpoint.
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

// replaced is a text of the configuration with what its placeholders stand for.
func replaced(text string) string {
	return caddy.NewReplacer().ReplaceKnown(text, "")
}
