package doctorcmd

import (
	"encoding/json"
	"maps"
	"path/filepath"
	"slices"
	"strings"

	"github.com/docsgate/docsgate/doctor"
)

type configLog struct {
	Writer struct {
		Output   string `json:"output"`
		Filename string `json:"filename"`
	} `json:"writer"`
	Encoder json.RawMessage `json:"encoder"`
	Include []string        `json:"include"`
	Exclude []string        `json:"exclude"`
	Level   string          `json:"level"`
}

// requestLoggers are the loggers that write about requests of any site: failed requests, panics in handlers, and, at the level DEBUG,
// what handlers do.
var requestLoggers = []string{"http.log.error", "http.stdlib", "http.handlers"}

// logs returns the logs that receive requests: access logs, and those of requestLoggers.
func (d *deployment) logs() []doctor.Log {
	names := slices.Clone(requestLoggers) // access logs follow
	for _, server := range d.Apps.HTTP.Servers {
		if server.Logs == nil {
			continue
		}
		names = append(names, loggerName(server.Logs.Default))
		for _, raw := range server.Logs.Names {
			var one string
			var many []string
			if json.Unmarshal(raw, &one) == nil {
				many = []string{one}
			} else {
				_ = json.Unmarshal(raw, &many)
			}
			for _, name := range many {
				names = append(names, loggerName(name))
			}
		}
	}
	logs := map[string]*configLog{"default": {}} // Caddy's default
	for name, log := range d.Logging.Logs {
		if log != nil {
			logs[name] = log
		}
	}
	var all []doctor.Log
	for _, name := range slices.Sorted(maps.Keys(logs)) {
		log := logs[name]
		if log.Writer.Output == "discard" || !slices.ContainsFunc(names, log.takes) {
			continue
		}
		l := doctor.Log{Name: name, Redacted: redacts(log.Encoder), Access: slices.ContainsFunc(names[len(requestLoggers):], log.takes)}
		if log.Writer.Output == "file" {
			l.File, _ = filepath.Abs(replaced(log.Writer.Filename))
		}
		all = append(all, l)
	}
	return all
}

func loggerName(name string) string {
	if name == "" {
		return "http.log.access"
	}
	return "http.log.access." + name
}

// takes reports whether the log receives the entries of a logger. As in Caddy, the longest matching name decides.
func (l *configLog) takes(logger string) bool {
	longest := func(list []string) int {
		n := 0
		for _, name := range list {
			if strings.HasPrefix(logger+".", name+".") {
				n = max(n, len(name))
			}
		}
		return n
	}
	in, out := longest(l.Include), longest(l.Exclude)
	if len(l.Include) > 0 && in == 0 {
		return false
	}
	return out == 0 || in > out
}

// redacts reports whether an encoder, or one that it wraps, is docsgate.
func redacts(encoder json.RawMessage) bool {
	for range maxDepth {
		var e struct {
			Format string          `json:"format"`
			Wrap   json.RawMessage `json:"wrap"`
		}
		if len(encoder) == 0 || json.Unmarshal(encoder, &e) != nil {
			return false
		}
		if e.Format == "docsgate" {
			return true
		}
		encoder = e.Wrap
	}
	return false
}
