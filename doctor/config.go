package doctor

import (
	"context"
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"
)

// checkConfig checks that the configuration loads and has a gate, and whether the running gate uses it.
func (x *runner) checkConfig(context.Context) {
	f := &x.input
	if f.Config == "" {
		return
	}
	if f.ConfigError != nil {
		x.fail("config.loads", fmt.Sprintf("The configuration %s does not load: %v.", f.Config, f.ConfigError),
			"Correct the error; check the result with \"docsgate validate\".")
	} else {
		x.ok("config.loads", "The configuration "+f.Config+" loads.")
	}
	switch {
	case len(f.Gates) == 0 && f.ConfigError != nil: // the error may hide the gate
	case len(f.Gates) == 0:
		x.fail("config.gate", "No site of the configuration has a docsgate directive, so nothing is protected.",
			"Add \"docsgate localhost:7091\" to the site that clients use.")
	default:
		x.ok("config.gate", fmt.Sprintf("The configuration has a gate on %s.", siteList(f.Gates)))
	}
	switch f.Running {
	case RunningThis:
		x.ok("config.running", "The running gate uses this configuration.")
	case RunningOther:
		x.note("config.running", "The running gate uses another configuration than this file.",
			"Reload the gate with \"docsgate reload\", or pass its configuration with --config.")
	case NotRunning:
		x.note("config.running",
			"The admin endpoint does not accept connections, so no gate seems to run with this configuration.",
			"Start the gate with \"docsgate run\", and run the doctor again.")
	case RunningUnknown:
	}
}

func siteList(gates []Gate) string {
	var all []string
	for i := range gates {
		all = append(all, gates[i].String())
	}
	slices.Sort(all)
	return strings.Join(slices.Compact(all), ", ")
}

// String returns the hosts of the site, or without hosts its listener addresses.
func (s *Site) String() string {
	if len(s.Hosts) > 0 {
		return strings.Join(s.Hosts, ", ")
	}
	return strings.Join(s.Listen, ", ")
}

// checkKeys checks that the feeds can be read and that there are active keys.
func (x *runner) checkKeys(context.Context) {
	k := &x.input.Keys
	if x.input.Config == "" && !k.FromGate {
		return
	}
	switch {
	case k.Configured == 0 && x.input.ConfigError != nil:
		return
	case k.Configured == 0:
		x.fail("feeds.configured", "The configuration has no feed, so there are no keys and the gate rejects every request.",
			"Add a feed to the docsgate options, such as \"feed file keys.yaml\".")
		return
	case k.Err != nil:
		x.unknown("feeds.readable", fmt.Sprintf("The state of the keys is unknown: %v.", k.Err),
			"Fix the configuration first, or start the gate.")
		return
	}
	where := "loaded by the doctor"
	if k.FromGate {
		where = "as reported by the running gate"
	}
	for _, feed := range k.Feeds {
		if feed.Failing {
			x.fail("feeds.readable",
				fmt.Sprintf("The last load of the feed %s failed; the gate uses its state of %s ago (%s).",
					feed.Name, age(feed.Age), number(feed.Keys, "key")), "Find the reason in the gate's log, and fix the file or the database.")
			continue
		}
		x.ok("feeds.readable", fmt.Sprintf("The feed %s has %s, loaded successfully %s ago (%s).",
			feed.Name, number(feed.Keys, "key"), age(feed.Age), where))
	}
	states := slices.Sorted(maps.Keys(k.States))
	counts := make([]string, 0, len(states))
	for _, state := range states {
		if k.States[state] > 0 {
			counts = append(counts, fmt.Sprintf("%d %s", k.States[state], strings.ReplaceAll(state, "_", " ")))
		}
	}
	switch all := strings.Join(counts, ", "); {
	case k.States["active"] == 0 && all == "":
		x.warn("feeds.keys",
			"There are no keys, so the gate rejects every request.",
			"Create a key with \"docsgate keys create\", or add one to a feed.")
	case k.States["active"] == 0:
		x.warn("feeds.keys",
			"No key is active, so the gate rejects every request. Keys by state: "+all+".",
			"Create or enable a key; \"docsgate keys list\" lists them.")
	case k.States["unusable"] > 0:
		x.warn("feeds.keys", "The binding of "+number(k.States["unusable"], "key")+" cannot be resolved, so the gate responds to requests with "+
			"such a key with status 503. Keys by state: "+all+".",
			"List them with \"docsgate keys list --state unusable\", and find the reason with \"docsgate keys show\".")
	default:
		x.ok("feeds.keys", "Keys by state: "+all+".")
	}
}

// number returns a count with its noun, such as "1 key" or "2 keys".
func number(n int, noun string) string {
	if n == 1 {
		return "1 " + noun
	}
	return fmt.Sprintf("%d %ss", n, noun)
}

// age returns a rounded duration; negative means unknown.
func age(d time.Duration) string {
	switch {
	case d < 0:
		return "an unknown time"
	case d < 2*time.Second:
		return "a moment"
	case d < 2*time.Minute:
		return fmt.Sprintf("%d seconds", int(d.Seconds()))
	case d < 3*time.Hour:
		return fmt.Sprintf("%d minutes", int(d.Minutes()))
	case d < 72*time.Hour:
		return fmt.Sprintf("%d hours", int(d.Hours()))
	}
	return fmt.Sprintf("%d days", int(d.Hours()/24))
}
