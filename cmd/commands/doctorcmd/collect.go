package doctorcmd

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"reflect"
	"slices"
	"strings"

	"github.com/caddyserver/caddy/v2"
	caddycmd "github.com/caddyserver/caddy/v2/cmd"

	"github.com/docsgate/docsgate/cmd/commands/internal/cli"
	"github.com/docsgate/docsgate/cmd/commands/internal/gateclient"
	"github.com/docsgate/docsgate/doctor"
)

// collect reads the configuration, loads it without starting it, and queries the running gate, if there is one.
func (o *options) collect(ctx context.Context) (doctor.Input, error) {
	var f doctor.Input
	config, file, err := gateclient.ReadConfig(o.config, o.adapter)
	switch {
	case err != nil && o.unreadable():
		return f, cli.Errorf(exitNothingChecked, "%w", err)
	case err != nil: // the file exists, but has an error
		f.Config, f.ConfigError = o.config, err
		if f.Config == "" {
			f.Config = gateclient.DefaultConfig
		}
		return f, nil
	case config == nil && o.address == "":
		return f, nil
	case config == nil:
		if config, err = o.readRunning(ctx); err != nil {
			return f, cli.Errorf(exitNothingChecked, "%w", err)
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
	first := parsed.Apps.Docsgate.backend()
	f.Version, f.Credential = first.Version, first.Credential
	f.Keys.Configured = len(parsed.Apps.Docsgate.Feeds)
	f.Backends = map[string]doctor.Backend{}
	for name, b := range parsed.Apps.Docsgate.Backends {
		f.Backends[name] = b.backend()
		f.Keys.Configured += len(b.Feeds)
	}

	loaded := dryRun(config)
	f.ConfigError, f.Databases = loaded.err, loaded.databases
	found := parsed.handlers(loaded.tls)
	f.Gates, f.Bypasses, f.Consoles = found.gates, found.bypasses, found.consoles
	f.Logs = parsed.logs()

	f.Keys.UnknownExclusions = loaded.unknownExclusions

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
	f.TokenUsage = checkTokenUsage(ctx, &f, &loaded)
	f.Privileges = readPrivileges(ctx, &loaded)
	f.SharedLimits = checkSharedLimits(ctx, &loaded)
	f.Files = parsed.files()
	f.Shared = sharedAddresses(&f, parsed.Apps.Docsgate.SharedPort)
	return f, nil
}

// readPrivileges reads what the database users of the feeds may do.
func readPrivileges(ctx context.Context, l *loaded) map[string]doctor.Privileges {
	all := map[string]doctor.Privileges{}
	for feed, read := range l.privileges {
		p, err := read(ctx)
		all[feed] = doctor.Privileges{User: p.User, Superuser: p.Superuser, Writes: p.Writes, Err: err}
	}
	return all
}

// checkSharedLimits connects to the server of shared_limits.
func checkSharedLimits(ctx context.Context, l *loaded) *doctor.SharedLimits {
	if l.shared == nil {
		return nil
	}
	return &doctor.SharedLimits{
		Transport: doctor.Transport(l.shared.Connection.Transport), Hosts: l.shared.Connection.Hosts, Err: l.shared.Check(ctx),
	}
}

// checkTokenUsage checks whether the tokens of answers can be read, if there are limits of tokens.
func checkTokenUsage(ctx context.Context, f *doctor.Input, l *loaded) map[string]doctor.TokenUsage {
	if f.Keys.TokenLimited == 0 && !slices.ContainsFunc(f.Gates, func(g doctor.Gate) bool { return g.TokenLimit }) {
		return nil
	}
	usage := map[string]doctor.TokenUsage{}
	for feed, check := range l.tokenUsage {
		unreadable, err := check(ctx)
		usage[feed] = doctor.TokenUsage{Unreadable: unreadable, Err: err}
	}
	return usage
}

// unreadable reports whether the configuration file cannot be read.
func (o *options) unreadable() bool {
	file := o.config
	if file == "" {
		file = gateclient.DefaultConfig
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
func (o *options) queryRunning(ctx context.Context, config []byte, file string, disabled bool) runningGate {
	admin := o.address
	if admin == "" {
		var err error
		if admin, err = caddycmd.DetermineAdminAPIAddress("", config, file, o.adapter); err != nil || disabled {
			return runningGate{}
		}
	}
	g, err := gateclient.Dial(ctx, admin)
	if err != nil {
		if gateclient.IsConnRefused(err) {
			return runningGate{state: doctor.NotRunning}
		}
		return runningGate{}
	}
	defer func() { _ = g.Close() }()
	current, err := g.Admin(ctx, "/config/")
	if err != nil {
		return runningGate{}
	}
	r := runningGate{state: doctor.RunningOther}
	var ours, theirs any
	if json.Unmarshal(config, &ours) == nil && json.Unmarshal(current, &theirs) == nil && reflect.DeepEqual(ours, theirs) {
		r.state = doctor.RunningThis
	}
	if text, err := g.Admin(ctx, "/metrics"); err == nil {
		r.metrics, _ = readMetrics(strings.NewReader(string(text)))
	}
	return r
}

// readRunning returns the configuration of the gate at --address, for use without a configuration file.
func (o *options) readRunning(ctx context.Context) ([]byte, error) {
	g, err := gateclient.Dial(ctx, o.address)
	if err != nil {
		return nil, err
	}
	defer func() { _ = g.Close() }()
	config, err := g.Admin(ctx, "/config/")
	if err != nil {
		return nil, fmt.Errorf("reading the configuration of %s: %w", g.Name, err)
	}
	return config, nil
}

// replaced returns a text of the configuration with the known placeholders resolved.
func replaced(text string) string {
	return caddy.NewReplacer().ReplaceKnown(text, "")
}
