package doctor

import (
	"context"
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"
)

// checkConfig tells whether the configuration loads, has a gate, and is the one that runs.
func (x *runner) checkConfig(context.Context) {
	f := &x.facts
	if f.Config == "" {
		return
	}
	if f.ConfigError != nil {
		x.fail("config.loads", fmt.Sprintf("The configuration %s does not load: %v.", f.Config, f.ConfigError),
			"Correct what the error names; \"docsgate validate\" shows it again.")
	} else {
		x.ok("config.loads", "The configuration "+f.Config+" loads.")
	}
	switch {
	case len(f.Gates) == 0 && f.ConfigError != nil: // it may not have got that far
	case len(f.Gates) == 0:
		x.fail("config.gate", "No site of the configuration has a docsgate directive, so nothing is guarded.",
			"Put \"docsgate localhost:7091\" into the site that clients reach.")
	default:
		x.ok("config.gate", fmt.Sprintf("The gate stands on %s.", siteList(f.Gates)))
	}
	switch f.Running {
	case RunningThis:
		x.ok("config.running", "The running gate has this configuration.")
	case RunningOther:
		x.note("config.running", "The gate that runs has another configuration than this file.",
			"Reload it with \"docsgate reload\", or name the file that it runs with.")
	case NotRunning:
		x.note("config.running",
			"Nothing answers on the admin endpoint, so no gate seems to run with this configuration.",
			"Start it with \"docsgate run\", and examine it then.")
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

// String names the site for people.
func (s *Site) String() string {
	if len(s.Hosts) > 0 {
		return strings.Join(s.Hosts, ", ")
	}
	return strings.Join(s.Listen, ", ")
}

// checkKeys tells about the feeds and the keys.
func (x *runner) checkKeys(context.Context) {
	k := &x.facts.Keys
	if x.facts.Config == "" && !k.FromGate {
		return
	}
	switch {
	case k.Configured == 0 && x.facts.ConfigError != nil:
		return
	case k.Configured == 0:
		x.fail("feeds.configured", "The configuration has no feed, so there are no keys and every request is refused.",
			"Add one to the docsgate options, such as: feed file keys.yaml")
		return
	case k.Trouble != nil:
		x.unknown("feeds.readable", fmt.Sprintf("Nothing is known of the keys: %v.", k.Trouble),
			"Mend the configuration first, or start the gate.")
		return
	}
	where := "loaded for this examination"
	if k.FromGate {
		where = "as the running gate has them"
	}
	for _, feed := range k.Feeds {
		if feed.Failing {
			x.fail("feeds.readable",
				fmt.Sprintf("The last reading of the feed %s failed; what it gave %s ago is in force (%s).",
					feed.Name, age(feed.Age), number(feed.Keys, "key")), "See the gate's log for the reason, and mend the file or the database.")
			continue
		}
		x.ok("feeds.readable", fmt.Sprintf("The feed %s gives %s, read without a fault %s ago (%s).",
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
			"There are no keys, so every request is refused.",
			"Make one with \"docsgate keys create\", or add one to a feed.")
	case k.States["active"] == 0:
		x.warn("feeds.keys",
			"No key is active, so every request is refused: "+all+".",
			"Make or enable one; \"docsgate keys list\" shows them.")
	case k.States["unusable"] > 0:
		x.warn("feeds.keys", "The binding of "+number(k.States["unusable"], "key")+" cannot be read, and questions with such a key get "+
			"503. Keys by state: "+all+".",
			"\"docsgate keys list --state unusable\" names them, and \"docsgate keys show\" says why.")
	default:
		x.ok("feeds.keys", "Keys by state: "+all+".")
	}
}

// number is a number of things for people.
func number(n int, thing string) string {
	if n == 1 {
		return "1 " + thing
	}
	return fmt.Sprintf("%d %ss", n, thing)
}

// age is a time for people.
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
