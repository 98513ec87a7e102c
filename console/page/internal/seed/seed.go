// Package seed makes a console's desk with keys in memory, for the tests of the page and for looking at it.
package seed

import (
	"context"
	"errors"
	"fmt"
	"io"
	"math"
	"path/filepath"
	"strings"
	"time"

	"github.com/docsgate/docsgate/console/view"
	"github.com/docsgate/docsgate/keys"
	"github.com/docsgate/docsgate/keys/catalog"
	"github.com/docsgate/docsgate/keys/registry"
	"github.com/docsgate/docsgate/keys/registry/memstorage"
	"github.com/docsgate/docsgate/keys/usage"
)

// By is who makes the keys of a seed.
var By = registry.Actor{Who: "alice", From: "192.0.2.7"}

// Desk is a view.Desk, and what lies below it.
type Desk struct {
	view.Desk
	Storage *memstorage.Storage
	Clock   *Clock

	reload func(context.Context) error
}

// Clock is a time that is moved by hand. It is not safe for concurrent use.
type Clock struct{ At time.Time }

// Now returns the time.
func (c *Clock) Now() time.Time { return c.At }

// Other are keys of a feed that cannot be changed here.
type Other []keys.Key

// Name implements keys.Feed.
func (Other) Name() string { return "file:keys.yaml" }

// Load implements keys.Feed.
func (o Other) Load(context.Context) ([]keys.Key, error) { return o, nil }

// Watch implements keys.Feed.
func (Other) Watch(ctx context.Context, _ func()) error {
	<-ctx.Done()
	return nil
}

// New returns a desk without keys but those of the other feed. Its sealer keeps its secret in dir.
func New(ctx context.Context, dir string, start time.Time, other Other) (*Desk, error) {
	d := &Desk{Storage: memstorage.New(), Clock: &Clock{At: start}}
	meter := usage.NewMeter()
	reg, err := registry.New(registry.Options{
		Storage: d.Storage, Sealer: registry.NewSealer(filepath.Join(dir, "keys.db.secret")), Usage: meter, Now: d.Clock.Now,
	})
	if err != nil {
		return nil, err
	}
	reg.SetRules(registry.Rules{Resolve: func(string) (string, error) { return "0c1f7a4e-93b8-4d59-a53c-5d1e2b7f6a90", nil }})
	feed := reg.Feed()
	d.Desk = view.Desk{
		Registry: reg, Catalog: catalog.New(), Store: keys.NewStore(), Usage: meter, Feed: feed.Name(), Now: d.Clock.Now,
		GateURL: "https://ask.example.com", Agents: []string{"{env.SUPPORT_AGENT_KEY}", "{file./run/secrets/sales_agent}"}, Sources: sources, Ask: ask,
	}
	d.Store.Listen(d.Catalog)
	syncer := keys.NewSyncer(d.Store, []keys.Feed{feed, other}, nil)
	if err := syncer.LoadAll(ctx); err != nil {
		return nil, err
	}
	d.reload = syncer.Reload
	reg.OnChange(func(ctx context.Context) error { return syncer.Sync(ctx, feed.Name()) })
	return d, nil
}

func sources(context.Context) ([]view.Source, error) {
	return []view.Source{
		{ID: "66a1f0c2d4b5e6f708192a3b", Name: "Handbook"},
		{ID: "66a1f0c2d4b5e6f708192a3c", Name: "API reference"},
		{ID: "66a1f0c2d4b5e6f708192a3d", Name: "Release notes"},
		{ID: "66a1f0c2d4b5e6f708192a3e", Name: "Service manual for the older devices, with all drawings and part numbers"},
		{ID: "66a1f0c2d4b5e6f708192a3f", Name: `<img src=x onerror="document.title='broken'">`},
		{ID: "66a1f0c2d4b5e6f708192a40", Name: "\u202egnirts desrever a"},
	}, nil
}

// ask answers as a gate does.
func ask(_ context.Context, token, question string, w io.Writer) (int, error) {
	if !keys.Issued(token) || strings.Contains(question, "refuse") {
		_, err := io.WriteString(w, `data: {"type": "error", "error": "The API key is missing or not valid. Please check the key."}`+"\n\n")
		return 401, err
	}
	for word := range strings.FieldsSeq("Hold the power button for ten seconds until the light turns blue, then let go.") {
		if _, err := fmt.Fprintf(w, "data: {\"type\": \"answer\", \"answer\": \"%s \"}\n\n", word); err != nil {
			return 200, err
		}
	}
	_, err := io.WriteString(w, `data: {"type": "source", "source": [{"title": "Handbook", "text": "..."}]}`+"\n\n"+
		`data: {"type": "id", "id": "None"}`+"\n\n"+`data: {"type": "end"}`+"\n\n")
	return 200, err
}

// Digest is a digest that no other text gives.
func Digest(text string) keys.Digest { return keys.DigestOf("seed " + text) }

// FileKeys are keys as a key file may have them.
func FileKeys(now time.Time) Other {
	return Other{
		{ID: "status-page", Name: "status-page", Digest: Digest("1"), Binding: keys.Binding{Sources: []string{"66a1f0c2d4b5e6f708192a3d"}}},
		{
			ID: "partner.2025", Name: "partner.2025", Digest: Digest("2"), Expires: now.Add(-30 * 24 * time.Hour),
			Binding: keys.Binding{Agent: keys.NewSecret("an agent's key")},
		},
	}
}

// Fill makes keys of all kinds, as a team might have them after some months.
func (d *Desk) Fill(ctx context.Context) error {
	now := d.Clock.At
	handbook, api, notes := "66a1f0c2d4b5e6f708192a3b", "66a1f0c2d4b5e6f708192a3c", "66a1f0c2d4b5e6f708192a3d"
	d.Registry.SetRules(registry.Rules{Resolve: func(string) (string, error) { return "0c1f7a4e-93b8-4d59-a53c-5d1e2b7f6a90", nil }})
	type step = func(id string) error
	change := func(e registry.Edit) step {
		return func(id string) error {
			_, err := d.Registry.Change(ctx, By, id, e)
			return err
		}
	}
	disabled := keys.Disabled
	for _, one := range []struct {
		age   time.Duration // since when it is there
		draft registry.Draft
		peak  int // requests in its busiest hour
		then  []step
	}{
		{200, registry.Draft{Name: "docs.example.com", Sources: []string{handbook, api}}, 480, []step{func(id string) error {
			d.Clock.At = now.Add(-5 * time.Hour)
			_, err := d.Registry.Rotate(ctx, By, id, 7*24*time.Hour)
			d.Usage.Count(id, true, now.Add(-20*time.Minute))
			return err
		}}},
		{180, registry.Draft{Name: "Support chat (production)", Agent: "{env.SUPPORT_AGENT_KEY}"}, 1320, nil},
		{150, registry.Draft{Name: "Help centre search", Sources: []string{handbook}}, 60, nil},
		{120, registry.Draft{Name: "Mobile app, iOS and Android", Sources: []string{handbook, api, notes}}, 210, nil},
		{95, registry.Draft{Name: "Contractor access", Sources: []string{api}, Expires: now.Add(-4 * 24 * time.Hour)}, 0, nil},
		{80, registry.Draft{Name: "Old intranet", Sources: []string{handbook}}, 0, []step{func(id string) error {
			d.Clock.At = now.Add(-48 * time.Hour)
			_, err := d.Registry.Revoke(ctx, By, id)
			return err
		}}},
		{60, registry.Draft{Name: "Load test", Sources: []string{api}}, 0, []step{change(registry.Edit{State: &disabled})}},
		{40, registry.Draft{Name: "Sales demo", AgentKey: "6f9619ff-8b86-4011-b42d-00c04fc964ff", Expires: now.Add(12 * 24 * time.Hour)}, 14, nil},
		{21, registry.Draft{Name: "Slack bot", Agent: "{env.FORMER_AGENT_KEY}"}, 3, nil},
		{9, registry.Draft{Name: "Trade fair, booth 12", Sources: []string{notes}, NotBefore: now.Add(18 * 24 * time.Hour), Expires: now.Add(23 * 24 * time.Hour)}, 0, nil},
		{2, registry.Draft{Name: "CI: broken-link checker", Sources: []string{api}, Expires: now.Add(88 * 24 * time.Hour)}, 1, nil},
	} {
		d.Clock.At = now.Add(-one.age * 24 * time.Hour)
		made, err := d.Registry.Create(ctx, By, one.draft)
		if err != nil {
			return fmt.Errorf("making %s: %w", one.draft.Name, err)
		}
		for _, do := range one.then {
			d.Clock.At = d.Clock.At.Add(time.Hour)
			if err := do(made.Record.ID); err != nil {
				return fmt.Errorf("changing %s: %w", one.draft.Name, err)
			}
		}
		d.use(made.Record.ID, one.peak, now)
	}
	d.Clock.At = now
	d.Registry.SetRules(registry.Rules{Resolve: func(placeholder string) (string, error) {
		if placeholder == "{env.FORMER_AGENT_KEY}" {
			return "", errors.New("it is not set any more")
		}
		return "0c1f7a4e-93b8-4d59-a53c-5d1e2b7f6a90", nil
	}})
	return d.reload(ctx)
}

// use counts requests over a day, with its peak in working hours.
func (d *Desk) use(id string, peak int, now time.Time) {
	for back := range usage.Hours {
		at := now.Add(-time.Duration(usage.Hours-1-back) * time.Hour)
		high := math.Exp(-math.Pow(float64(at.UTC().Hour())-13.5, 2) / 18)
		for range int(float64(peak) * high) {
			d.Usage.Count(id, false, at)
		}
	}
}

// Hostile are names that mean a page no good.
var Hostile = []string{
	`<script>document.title = "broken"</script>`,
	`"><img src=x onerror=alert(1)>{{.Base}}</title>`,
	"\u202eevil reversed name\u202d and \u2066more",
	strings.Repeat("W", 200),
	strings.Repeat("no break ", 22),
	"\u200b\u200d\u2060",
	"\U0001F600\U0001F3F4\u200d\u2620\ufe0f emoji \U0001F469\u200d\U0001F469\u200d\U0001F467",
	"Z\u0351\u0368\u0301\u0357\u0344a\u0340\u0357\u0357l\u0351\u0301\u0368g\u0344\u0351\u0357o\u0301\u0351\u0368 marks",
	"\u0645\u0641\u062a\u0627\u062d \u0627\u0644\u0645\u0648\u0642\u0639 (docs.example.com)",
	"javascript:alert(1)",
}

// FillHostile makes a key for each hostile name, with sources of the same kind.
func (d *Desk) FillHostile(ctx context.Context) error {
	now := d.Clock.At
	for i, name := range Hostile {
		d.Clock.At = now.Add(-time.Duration(i) * time.Hour)
		bad := []string{strings.Map(func(c rune) rune {
			if c < ' ' {
				return -1
			}
			return c
		}, name)}
		if i == 3 {
			for n := range 40 {
				bad = append(bad, fmt.Sprintf("%s%d", strings.Repeat("s", 200), n))
			}
		}
		made, err := d.Registry.Create(ctx, registry.Actor{Who: name, From: "192.0.2.7"}, registry.Draft{Name: name, Sources: bad})
		if err != nil {
			return fmt.Errorf("making hostile key %d: %w", i, err)
		}
		d.use(made.Record.ID, 400_000/(i*1000+1), now)
		d.Usage.Count(made.Record.ID, false, now)
	}
	d.Clock.At = now
	return nil
}
