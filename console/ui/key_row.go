package ui

import (
	"fmt"
	"slices"
	"strings"
	"time"
	"unicode"

	"github.com/dustin/go-humanize"

	"github.com/docsgate/docsgate/console/keyservice"
	"github.com/docsgate/docsgate/keys/usage"
)

// row is a key in the list and on its page.
type row struct {
	keyservice.Key
	Origin string        // label of its feed
	Bound  []bindingItem // its binding; one element for an agent
	Plot   sparkline

	AgentSources []bindingItem // of the agent, as far as they are known
}

// bindingItem is a source or an agent that a key is bound to.
type bindingItem struct {
	Name string // of the source in DocsGPT, or a description of an agent; empty: only the ID is known
	ID   string // of the source, or the reference of an agent
}

// More returns the number of sources after the first.
func (r row) More() int { return len(r.Bound) - 1 }

// All lists the sources or the agent, one per line.
func (r row) All() string {
	var lines strings.Builder
	for i, b := range r.Bound {
		if i == 20 {
			fmt.Fprintf(&lines, "and %d more", len(r.Bound)-i)
			break
		}
		if b.ID == "" {
			lines.WriteString(b.Name)
		} else if b.Name != "" {
			fmt.Fprintf(&lines, "%s (%s)\n", b.Name, b.ID)
		} else {
			fmt.Fprintf(&lines, "%s\n", b.ID)
		}
	}
	return strings.TrimSpace(lines.String())
}

// PreviousTokenUsed reports whether a previous token is still valid and has been used since the rotation.
func (r row) PreviousTokenUsed() bool {
	return !r.PreviousTokenExpires.IsZero() && !r.Use.OldLastUsed.IsZero() &&
		!r.Use.OldLastUsed.Before(r.Rotated.Truncate(time.Minute))
}

// Editable reports whether the key can be changed.
func (r row) Editable() bool { return r.Issued && r.State != "revoked" }

// Deletable reports whether the key can be deleted.
func (r row) Deletable() bool { return r.Issued && r.State == "revoked" }

// DisabledHere reports whether a key of another feed is disabled by the console.
func (r row) DisabledHere() bool { return slices.Contains(r.Overrides, "state") }

func (p *Page) rowOf(k keyservice.Key, names map[string]string) row {
	r := row{Key: k, Origin: p.feedLabel(k.Feed), Plot: sparklineOf(k.Use.Requests, p.now())}
	for _, id := range k.Sources {
		r.Bound = append(r.Bound, bindingItem{Name: names[id], ID: id})
	}
	if k.Binding == "agent" {
		r.AgentSources, r.Bound = r.Bound, []bindingItem{agentItem(k.Agent)}
		if k.AgentName != "" {
			r.Bound[0].Name = k.AgentName
		}
	}
	return r
}

// agentItem describes an agent by its reference.
func agentItem(reference string) bindingItem {
	switch reference {
	case "":
		return bindingItem{Name: "unknown"}
	case "encrypted":
		return bindingItem{Name: "pasted, stored encrypted"}
	default:
		return bindingItem{ID: reference}
	}
}

// stateWord returns the label of a state.
func stateWord(state string) string {
	switch state {
	case "active":
		return "Active"
	case "disabled":
		return "Disabled"
	case "not_yet_valid":
		return "Not yet valid"
	case "expired":
		return "Expired"
	case "revoked":
		return "Revoked"
	default:
		return "Unusable"
	}
}

// invisible reports whether a text has no visible characters.
func invisible(text string) bool {
	return strings.IndexFunc(text, func(c rune) bool {
		return unicode.IsGraphic(c) && !unicode.IsSpace(c) && !unicode.Is(unicode.Cf, c) &&
			!unicode.Is(unicode.Other_Default_Ignorable_Code_Point, c) && !unicode.Is(unicode.Mn, c) && c != '\u2800'
	}) < 0
}

// sparkline is a chart of the requests of the last 24 hours.
type sparkline struct {
	Bars  []bar
	Total int
	Words string // text alternative
	Peak  int
}

// bar is one hour, in a box of 96 by 24.
type bar struct {
	X, Y, Height int
	Count        int
	Hour         string // "14:00"
}

const plotHeight = 24

func sparklineOf(requests [usage.Hours]uint32, now time.Time) sparkline {
	p := sparkline{Bars: make([]bar, 0, len(requests))}
	peak := uint32(0)
	busiest := ""
	hour := now.UTC().Truncate(time.Hour).Add(-(usage.Hours - 1) * time.Hour)
	for i, n := range requests {
		p.Total += int(n)
		label := hour.Add(time.Duration(i) * time.Hour).Format("15:04")
		if n > peak {
			peak, busiest = n, label
		}
		p.Bars = append(p.Bars, bar{X: i * 4, Count: int(n), Hour: label})
	}
	p.Peak = int(peak)
	for i := range p.Bars {
		b := &p.Bars[i]
		if b.Count > 0 { // a single request is visible next to a thousand
			b.Height = max(2, int(int64(b.Count)*plotHeight/int64(peak)))
		}
		b.Y = plotHeight - b.Height
	}
	switch p.Total {
	case 0:
		p.Words = "No requests in the last 24 hours"
	case 1:
		p.Words = fmt.Sprintf("1 request in the last 24 hours, in the hour from %s UTC", busiest)
	default:
		p.Words = fmt.Sprintf("%s requests in the last 24 hours; the most, %s, in the hour from %s UTC",
			humanize.Comma(int64(p.Total)), humanize.Comma(int64(peak)), busiest)
	}
	return p
}
