package commands

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"time"

	"github.com/caddyserver/caddy/v2"
	"github.com/caddyserver/caddy/v2/modules/caddyhttp"
	dto "github.com/prometheus/client_model/go"
	"github.com/prometheus/common/expfmt"
	"github.com/prometheus/common/model"

	"github.com/docsgate/docsgate/caddymodule"
	"github.com/docsgate/docsgate/doctor"
)

// metrics are metric families by name.
type metrics map[string]*dto.MetricFamily

// loaded is a configuration that was loaded, and not started.
type loaded struct {
	err     error
	tls     map[string]bool // servers that speak TLS, by name; nil: not known
	metrics metrics

	databases map[string]doctor.Database // by the names of their feeds
}

// dryRun loads a configuration as "validate" does, so that each mistake shows, and writes nothing: logs go nowhere,
// certificates to a folder that is removed, and a store that does not exist is not made. Files that a doctor makes as root
// would be in the way of a gate that runs as somebody else.
func dryRun(config []byte) loaded {
	dir, err := os.MkdirTemp("", "docsgate-doctor-")
	if err != nil {
		return loaded{err: err}
	}
	defer os.RemoveAll(dir)
	config, err = sandboxConfig(config, dir)
	if err != nil {
		return loaded{err: err}
	}
	cfg := new(caddy.Config)
	if err := caddy.StrictUnmarshalJSON(config, cfg); err != nil {
		return loaded{err: fmt.Errorf("decoding config: %w", err)}
	}
	registerWitness()
	witnessed.Lock()
	defer witnessed.Unlock()
	witnessed.loaded = loaded{}
	if err := caddy.Validate(cfg); err != nil {
		return loaded{err: errors.New(strings.ReplaceAll(err.Error(), dir, "(a folder of the doctor's)"))}
	}
	return witnessed.loaded
}

// sandboxConfig is a configuration that writes nothing outside of dir, and that has the witness in it.
func sandboxConfig(config []byte, dir string) ([]byte, error) {
	var all map[string]any
	if err := json.Unmarshal(caddy.RemoveMetaFields(config), &all); err != nil {
		return nil, fmt.Errorf("the configuration is no JSON object: %w", err)
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
	// The default log stays where it is, or Caddy would tell that it moved; but nothing is written to it.
	initial, _ := logs["default"].(map[string]any)
	if initial == nil {
		initial = map[string]any{}
		logs["default"] = initial
	}
	initial["writer"], initial["level"] = map[string]any{"output": "stderr"}, "PANIC"
	all["storage"] = map[string]any{"module": "file_system", "root": filepath.Join(dir, "storage")}
	apps, _ := all["apps"].(map[string]any)
	if apps == nil {
		return json.Marshal(all)
	}
	if app, ok := apps["docsgate"].(map[string]any); ok {
		feeds, _ := app["feeds"].([]any)
		for _, feed := range feeds {
			moveFiles(feed, dir)
		}
	}
	apps[witnessName] = map[string]any{}
	return json.Marshal(all)
}

// moveFiles gives a store that does not exist yet another place, and has adopted keys kept nowhere.
func moveFiles(feed any, dir string) {
	f, _ := feed.(map[string]any)
	switch f["feed"] {
	case "docsgpt":
		f["snapshot"] = "off"
	case "store":
		path := caddymodule.DefaultStorePath()
		if said, ok := f["path"].(string); ok && said != "" {
			path = replaced(said)
		}
		if _, err := os.Stat(path); errors.Is(err, fs.ErrNotExist) {
			f["path"] = filepath.Join(dir, "keys.db")
		}
	}
}

// probeApp is an app that looks at the others while they are loaded: Caddy gives nobody else a configuration that does not
// start. It is only known to Caddy while the doctor runs.
type probeApp struct{}

const witnessName = "docsgate_doctor"

var (
	registerWitness = sync.OnceFunc(func() { caddy.RegisterModule(probeApp{}) })
	witnessed       struct {
		sync.Mutex
		loaded
	}
)

// CaddyModule returns the Caddy module information.
func (probeApp) CaddyModule() caddy.ModuleInfo {
	return caddy.ModuleInfo{ID: witnessName, New: func() caddy.Module { return new(probeApp) }}
}

// Provision notes what there is.
func (*probeApp) Provision(ctx caddy.Context) error {
	if app, err := ctx.AppIfConfigured("http"); err == nil {
		witnessed.tls = map[string]bool{}
		for name, server := range app.(*caddyhttp.App).Servers {
			witnessed.tls[name] = len(server.TLSConnPolicies) > 0
		}
	} else if !errors.Is(err, caddy.ErrNotConfigured) {
		return err
	}
	if app, err := ctx.AppIfConfigured("docsgate"); err == nil {
		witnessed.databases = map[string]doctor.Database{}
		for feed, c := range app.(*caddymodule.App).Connections() {
			witnessed.databases[feed] = doctor.Database{Transport: doctor.Transport(c.Transport), Hosts: c.Hosts}
		}
	} else if !errors.Is(err, caddy.ErrNotConfigured) {
		return err
	}
	families, err := ctx.GetMetricsRegistry().Gather()
	if err != nil {
		return nil //nolint:nilerr // then nothing is known of the keys
	}
	witnessed.metrics = metrics{}
	for _, f := range families {
		witnessed.metrics[f.GetName()] = f
	}
	return nil
}

// Start implements caddy.App. It is never called.
func (*probeApp) Start() error { return nil }

// Stop implements caddy.App.
func (*probeApp) Stop() error { return nil }

// readMetrics reads the text form of metrics.
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

// keysOf tells what metrics say about keys.
func keysOf(k *doctor.Keys, m metrics) {
	if m["caddy_docsgate_feed_keys"] == nil && m["caddy_docsgate_keys"] == nil {
		k.Trouble = errors.New("there are no metrics of the gate")
		return
	}
	k.States = map[string]int{}
	m.each("caddy_docsgate_keys", func(labels map[string]string, value float64) {
		k.States[labels["state"]] += int(value)
	})
	m.each("caddy_docsgate_feed_keys", func(labels map[string]string, value float64) {
		feed := doctor.Feed{Name: labels["feed"], Keys: int(value), Age: -1}
		m.each("caddy_docsgate_feed_last_success_timestamp_seconds", func(labels map[string]string, value float64) {
			if labels["feed"] == feed.Name {
				feed.Age = max(0, time.Since(time.UnixMilli(int64(value*1e3))))
			}
		})
		m.each("caddy_docsgate_feed_up", func(labels map[string]string, value float64) {
			feed.Failing = feed.Failing || labels["feed"] == feed.Name && value == 0
		})
		k.Feeds = append(k.Feeds, feed)
	})
}

// readFileStart tells whether a file can be read.
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
