package doctorcmd

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"sync"
	"time"

	"github.com/caddyserver/caddy/v2"
	"github.com/caddyserver/caddy/v2/modules/caddyhttp"
	dto "github.com/prometheus/client_model/go"
	"github.com/prometheus/common/expfmt"
	"github.com/prometheus/common/model"

	"github.com/docsgate/docsgate/caddymodule"
	"github.com/docsgate/docsgate/cmd/commands/internal/cli"
	"github.com/docsgate/docsgate/doctor"
	"github.com/docsgate/docsgate/keys/docsgptkeys"
)

// metrics are metric families by their names.
type metrics map[string]*dto.MetricFamily

// loaded is the result of loading a configuration without starting it.
type loaded struct {
	err     error
	tls     map[string]bool // by server name: whether the server uses TLS; nil: unknown
	metrics metrics

	unknownExclusions []string // IDs, in exclude_keys

	databases  map[string]doctor.Database      // by feed name
	shared     *caddymodule.SharedLimitsServer // nil: none
	privileges map[string]func(context.Context) (docsgptkeys.Privileges, error)
	tokenUsage map[string]func(context.Context) (unreadable string, err error) // by feed name
}

// dryRun loads a configuration as "validate" does, so that every error shows, but leaves no files: logs are discarded, certificates
// go to a temporary directory, and a store that does not exist is not created. Otherwise a doctor that runs as root would create
// files that a gate that runs as another user cannot open.
func dryRun(config []byte) loaded {
	dir, err := os.MkdirTemp("", "docsgate-doctor-")
	if err != nil {
		return loaded{err: err}
	}
	defer os.RemoveAll(dir)
	config, moved, err := sandboxConfig(config, dir)
	if err != nil {
		return loaded{err: err}
	}
	cfg := new(caddy.Config)
	if err := caddy.StrictUnmarshalJSON(config, cfg); err != nil {
		return loaded{err: fmt.Errorf("decoding config: %w", err)}
	}
	registerProbe()
	probed.Lock()
	defer probed.Unlock()
	probed.loaded = loaded{}
	if err := caddy.Validate(cfg); err != nil {
		reason, _ := cli.Explain(strings.ReplaceAll(err.Error(), dir, "(temporary directory)"))
		l := loaded{err: errors.New(reason)}
		if found := unknownExclusions.FindStringSubmatch(err.Error()); found != nil {
			l.unknownExclusions = strings.Split(found[1], ", ")
		}
		return l
	}
	probed.metrics.nameStores(moved)
	return probed.loaded
}

// unknownExclusions matches docsgptkeys.UnknownExclusionsError. Caddy does not wrap errors of handlers, only their texts.
var unknownExclusions = regexp.MustCompile(`exclude_keys contains (.+), but no agent with such an id has a key`)

// sandboxConfig returns the configuration changed so that it writes nothing outside of dir, with the probe app added. moved are the paths of
// stores that do not exist, by the paths in dir that replace them.
func sandboxConfig(config []byte, dir string) (changed []byte, moved map[string]string, err error) {
	moved = map[string]string{}
	var all map[string]any
	if err := json.Unmarshal(caddy.RemoveMetaFields(config), &all); err != nil {
		return nil, nil, fmt.Errorf("the configuration is not a JSON object: %w", err)
	}
	discard := map[string]any{"output": "discard"}
	logging, _ := all["logging"].(map[string]any)
	if logging == nil {
		logging = map[string]any{}
		all["logging"] = logging
	}
	delete(logging, "sink")
	logs, _ := logging["logs"].(map[string]any)
	if logs == nil {
		logs = map[string]any{}
		logging["logs"] = logs
	}
	for _, log := range logs {
		if log, ok := log.(map[string]any); ok {
			log["writer"] = discard
		}
	}
	// The default log still writes to stderr, or Caddy would log that it was redirected; its level suppresses everything.
	initial, _ := logs["default"].(map[string]any)
	if initial == nil {
		initial = map[string]any{}
		logs["default"] = initial
	}
	initial["writer"], initial["level"] = map[string]any{"output": "stderr"}, "PANIC"
	all["storage"] = map[string]any{"module": "file_system", "root": filepath.Join(dir, "storage")}
	apps, _ := all["apps"].(map[string]any)
	if apps == nil {
		changed, err = json.Marshal(all)
		return changed, moved, err
	}
	if app, ok := apps["docsgate"].(map[string]any); ok {
		moveFeeds(app, caddymodule.DefaultStorePath(), dir, moved)
		backends, _ := app["backends"].(map[string]any)
		for name, backend := range backends {
			if backend, ok := backend.(map[string]any); ok {
				path, err := caddymodule.BackendStorePath(name)
				if err == nil { // or the configuration does not load
					moveFeeds(backend, path, filepath.Join(dir, name), moved)
				}
			}
		}
	}
	apps[probeName] = map[string]any{}
	changed, err = json.Marshal(all)
	return changed, moved, err
}

// moveFeeds is moveFiles for the feeds of a backend.
func moveFeeds(backend map[string]any, store, dir string, moved map[string]string) {
	feeds, _ := backend["feeds"].([]any)
	for _, feed := range feeds {
		moveFiles(feed, store, dir, moved)
	}
}

// moveFiles moves a store that does not exist into dir, adds that to moved, and disables the snapshot of "feed docsgpt". store is the default
// path of a store.
func moveFiles(feed any, store, dir string, moved map[string]string) {
	f, _ := feed.(map[string]any)
	switch f["feed"] {
	case "docsgpt":
		f["snapshot"] = "off"
	case "store":
		path := store
		if configured, ok := f["path"].(string); ok && configured != "" {
			path = replaced(configured)
		}
		if _, err := os.Stat(path); errors.Is(err, fs.ErrNotExist) && !caddymodule.IsDatabaseURI(path) {
			inDir := filepath.Join(dir, "keys.db")
			f["path"], moved[inDir] = inDir, path
		}
	}
}

// probeApp is a Caddy app that inspects the other apps while they are provisioned: only an app has access to a configuration that is
// not started. It is registered only when the doctor runs.
type probeApp struct{}

const probeName = "docsgate_doctor"

var (
	registerProbe = sync.OnceFunc(func() { caddy.RegisterModule(probeApp{}) })
	probed        struct {
		sync.Mutex
		loaded
	}
)

// CaddyModule returns the Caddy module information.
func (probeApp) CaddyModule() caddy.ModuleInfo {
	return caddy.ModuleInfo{ID: probeName, New: func() caddy.Module { return new(probeApp) }}
}

// Provision records the state of the other apps.
func (*probeApp) Provision(ctx caddy.Context) error {
	if app, err := ctx.AppIfConfigured("http"); err == nil {
		probed.tls = map[string]bool{}
		for name, server := range app.(*caddyhttp.App).Servers {
			probed.tls[name] = len(server.TLSConnPolicies) > 0
		}
	} else if !errors.Is(err, caddy.ErrNotConfigured) {
		return err
	}
	if app, err := ctx.AppIfConfigured("docsgate"); err == nil {
		probed.databases = map[string]doctor.Database{}
		probed.privileges = map[string]func(context.Context) (docsgptkeys.Privileges, error){}
		probed.tokenUsage = map[string]func(context.Context) (string, error){}
		probed.shared = app.(*caddymodule.App).SharedLimitsServer()
		for _, b := range app.(*caddymodule.App).AllBackends() {
			for feed, c := range b.Connections() {
				probed.databases[feedName(b.Name(), feed)] = doctor.Database{Transport: doctor.Transport(c.Transport), Hosts: c.Hosts}
			}
			for feed, read := range b.PrivilegeChecks() {
				probed.privileges[feedName(b.Name(), feed)] = read
			}
			for feed, check := range b.TokenUsageChecks() {
				probed.tokenUsage[feedName(b.Name(), feed)] = check
			}
		}
	} else if !errors.Is(err, caddy.ErrNotConfigured) {
		return err
	}
	families, err := ctx.GetMetricsRegistry().Gather()
	if err != nil {
		return nil //nolint:nilerr // the state of the keys is then unknown
	}
	probed.metrics = metrics{}
	for _, f := range families {
		probed.metrics[f.GetName()] = f
	}
	return nil
}

// Start implements caddy.App. It is never called: the configuration is not started.
func (*probeApp) Start() error { return nil }

// Stop implements caddy.App.
func (*probeApp) Stop() error { return nil }

// readMetrics parses metrics in the Prometheus text format.
func readMetrics(r io.Reader) (metrics, error) {
	parser := expfmt.NewTextParser(model.UTF8Validation)
	return parser.TextToMetricFamilies(r)
}

// each calls do with the labels and the value of each metric of a family.
func (m metrics) each(name string, do func(labels map[string]string, value float64)) {
	for _, metric := range m[name].GetMetric() {
		labels := map[string]string{}
		for _, l := range metric.GetLabel() {
			labels[l.GetName()] = l.GetValue()
		}
		do(labels, metric.GetGauge().GetValue()+metric.GetCounter().GetValue()+metric.GetUntyped().GetValue())
	}
}

// nameStores replaces the paths of stores in the names of feeds by those of the configuration.
func (m metrics) nameStores(moved map[string]string) {
	for _, family := range m {
		for _, metric := range family.GetMetric() {
			for _, l := range metric.GetLabel() {
				if path, ok := moved[strings.TrimPrefix(l.GetValue(), "store:")]; ok {
					name := "store:" + path
					l.Value = &name
				}
			}
		}
	}
}

// setKeys sets the state of the feeds and keys from metrics.
func setKeys(k *doctor.Keys, m metrics) {
	if m["caddy_docsgate_feed_keys"] == nil && m["caddy_docsgate_keys"] == nil {
		k.Err = errors.New("there are no metrics of the gate")
		return
	}
	k.States = map[string]int{}
	m.each("caddy_docsgate_keys", func(labels map[string]string, value float64) {
		k.States[labels["state"]] += int(value)
	})
	m.each("caddy_docsgate_token_limited_keys", func(_ map[string]string, value float64) { k.TokenLimited += int(value) })
	m.each("caddy_docsgate_unlimited_keys", func(_ map[string]string, value float64) { k.Unlimited += int(value) })
	k.QueueRejections = map[string]int{}
	m.each("caddy_docsgate_queue_rejections_total", func(labels map[string]string, value float64) {
		if labels["class"] == "answer" {
			k.QueueRejections[labels["reason"]] += int(value)
		}
	})
	k.Kinds = map[string]int{}
	m.each("caddy_docsgate_active_keys", func(labels map[string]string, value float64) {
		k.Kinds[labels["kind"]] += int(value)
	})
	m.each("caddy_docsgate_feed_keys", func(labels map[string]string, value float64) {
		feed := doctor.Feed{Name: feedName(labels["backend"], labels["feed"]), Keys: int(value), Age: -1}
		m.each("caddy_docsgate_feed_last_success_timestamp_seconds", func(labels map[string]string, value float64) {
			if feedName(labels["backend"], labels["feed"]) == feed.Name {
				feed.Age = max(0, time.Since(time.UnixMilli(int64(value*1e3))))
			}
		})
		m.each("caddy_docsgate_feed_up", func(labels map[string]string, value float64) {
			feed.Failing = feed.Failing || feedName(labels["backend"], labels["feed"]) == feed.Name && value == 0
		})
		k.Feeds = append(k.Feeds, feed)
	})
}

// feedName returns the name of a feed with the backend that it belongs to.
func feedName(backend, feed string) string {
	if backend == "" {
		return feed
	}
	return backend + ": " + feed
}

// readFileStart returns at most the first byte of a file, and an error if the file cannot be read.
func readFileStart(path string) ([]byte, error) {
	f, err := os.Open(path)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	start := make([]byte, 1)
	n, err := f.Read(start)
	if errors.Is(err, io.EOF) {
		err = nil
	}
	return start[:n], err
}

var (
	_ caddy.App         = (*probeApp)(nil)
	_ caddy.Provisioner = (*probeApp)(nil)
)
