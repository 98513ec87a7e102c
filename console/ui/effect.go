package ui

import (
	"fmt"
	"strings"
	"time"

	"github.com/dustin/go-humanize"

	"github.com/docsgate/docsgate/policy"
	"github.com/docsgate/docsgate/ratelimit"
)

// Effect summarizes what the key can be used for, in one sentence.
func (r row) Effect() string {
	parts := []string{"Answers from " + r.origin()}
	p := r.Policy
	if p == nil {
		p = new(policy.Policy)
	}
	switch {
	case p.Kind == policy.Secret:
		parts = append(parts, "only for servers")
	case len(p.Origins) > 0:
		parts = append(parts, "on "+pagesOf(p.Origins))
	default:
		parts = append(parts, "on any page and for servers")
	}
	switch p.Visitors {
	case policy.VisitorsRequired:
		parts = append(parts, "only for signed visitors")
	case policy.VisitorsOptional:
		parts = append(parts, "for signed visitors, too")
	case policy.VisitorsOff:
	}
	if len(p.IPs) > 0 {
		parts = append(parts, "for clients in "+enumerate(strings.Split(joinLines(p.IPs), "\n")))
	}
	if len(p.Endpoints) > 0 {
		parts = append(parts, "at "+enumerate(p.Endpoints))
	}
	limits := limitsEffect(&p.Limits)
	if len(limits) == 0 {
		limits = []string{"with the limits of the site"}
	}
	return strings.Join(append(parts, limits...), ", ") + "."
}

// origin describes what the answers come from.
func (r row) origin() string {
	names := make([]string, len(r.Bound))
	for i, b := range r.Bound {
		if names[i] = b.Name; names[i] == "" {
			names[i] = b.ID
		}
	}
	switch {
	case r.Binding != "agent":
		return enumerate(names)
	case r.AgentName == "":
		return "an agent"
	default:
		return "the agent " + r.AgentName
	}
}

func pagesOf(origins []policy.Origin) string {
	var hosts []string
	for _, origin := range origins {
		if origin.IsAny() {
			return "any page"
		}
		text := origin.String()
		if _, host, found := strings.Cut(text, "://"); found {
			text = host
		}
		hosts = append(hosts, text)
	}
	return "pages of " + enumerate(hosts)
}

// enumerate returns a list as text. Of long lists, it contains only the first entries.
func enumerate(list []string) string {
	const most = 3
	switch n := len(list); {
	case n == 0:
		return "no source"
	case n == 1:
		return list[0]
	case n > most:
		return fmt.Sprintf("%s and %d more", strings.Join(list[:most], ", "), n-most)
	default:
		return strings.Join(list[:n-1], ", ") + " and " + list[n-1]
	}
}

// limitsEffect describes the limits that are set.
func limitsEffect(l *policy.Limits) (parts []string) {
	for _, limit := range []struct {
		name, text string // the text contains the limit; a rate has its own unit
	}{
		{"visitor_requests", "%s per visitor"},
		{"requests", "%s in total"},
		{"visitor_streams", "%s answers at a time per visitor"},
		{"streams", "%s answers at a time in total"},
		{"questions_per_day", "%s questions a day"},
		{"questions_per_month", "%s questions a month"},
		{"tokens_per_day", "%s model tokens a day"},
		{"question_chars", "%s characters per question"},
		{"history_turns", "%s turns of history"},
		{"weight", "weight %s in the queue"},
	} {
		value, _ := l.Get(limit.name)
		switch {
		case !value.Rate().IsZero():
			parts = append(parts, fmt.Sprintf(limit.text, rateWords(value.Rate())))
		case value.Count() > 0:
			parts = append(parts, fmt.Sprintf(limit.text, humanize.Comma(int64(value.Count()))))
		case !value.IsZero():
			parts = append(parts, strings.ReplaceAll(limit.name, "_", " ")+" not limited")
		}
	}
	return parts
}

// rateWords returns a rate such as "20 requests a minute".
func rateWords(r ratelimit.Rate) string {
	per := map[time.Duration]string{time.Second: "a second", time.Minute: "a minute", time.Hour: "an hour", day: "a day"}[r.Per]
	if per == "" {
		_, span, _ := strings.Cut(r.String(), "/")
		per = "per " + span
	}
	if r.Count == 1 {
		return "1 request " + per
	}
	return humanize.Comma(int64(r.Count)) + " requests " + per
}
