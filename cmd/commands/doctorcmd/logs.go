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

// The places where clients may send keys, besides those that Caddy redacts by default. The sample Caddyfile has filters for them.
var (
	keyHeaders = []string{"X-Api-Key", "Api-Key"}
	keyParams  = []string{"api_key", "key", "token"}
)

// logs returns the logs that receive requests: access logs, and the log of failed requests.
func (d *deployment) logs() []doctor.Log {
	names := []string{"http.log.error"} // failed requests; access logs follow
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
		l := doctor.Log{Name: name, Missing: missing(log.Encoder), Access: slices.ContainsFunc(names[1:], log.takes)}
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

// missing returns the places of keys that no filter of an encoder covers.
func missing(encoder json.RawMessage) []string {
	filtered := map[string]bool{}
	collectFilters(encoder, filtered, 0)
	var left []string
	for _, name := range keyHeaders {
		if !filtered["request"] && !filtered["request>headers"] && !filtered["request>headers>"+strings.ToLower(name)] {
			left = append(left, "the header "+name)
		}
	}
	for _, name := range keyParams {
		if !filtered["request"] && !filtered["request>uri"] && !filtered["request>uri?"+name] {
			left = append(left, "the parameter "+name)
		}
	}
	return left
}

// collectFilters records which fields an encoder, or one that it wraps, filters. Any filter but "query" counts, even a regular
// expression that may not match every key.
func collectFilters(encoder json.RawMessage, into map[string]bool, depth int) {
	var e struct {
		Format string                     `json:"format"`
		Wrap   json.RawMessage            `json:"wrap"`
		Fields map[string]json.RawMessage `json:"fields"`
	}
	if len(encoder) == 0 || depth > maxDepth || json.Unmarshal(encoder, &e) != nil {
		return
	}
	collectFilters(e.Wrap, into, depth+1)
	if e.Format != "filter" {
		return
	}
	for field, raw := range e.Fields {
		var f struct {
			Filter  string `json:"filter"`
			Actions []struct {
				Parameter string `json:"parameter"`
			} `json:"actions"`
		}
		if json.Unmarshal(raw, &f) != nil {
			continue
		}
		if f.Filter != "query" {
			if name, ok := strings.CutPrefix(field, "request>headers>"); ok {
				field = "request>headers>" + strings.ToLower(name)
			}
			into[field] = true
			continue
		}
		for _, a := range f.Actions {
			into[field+"?"+a.Parameter] = true
		}
	}
}
