package shares

import (
	"context"
	_ "embed"
	"encoding/json"
	"errors"
	"fmt"
	"net/url"
	"time"

	"github.com/redis/go-redis/v9"

	"github.com/docsgate/docsgate/inflight"
)

//go:embed share.lua
var source string

// script divides the limits of one class at one upstream. Its key is a hash with the shares of all gates.
var script = redis.NewScript(source)

// maxKeys is the number of keys with shares. Keys beyond it have one request in flight.
const maxKeys = 512

// keyHold is how long a key keeps a share that it does not need.
const keyHold = 2 * time.Second

// request is the argument of the script.
type request struct {
	Node   string `json:"node"`
	Leave  bool   `json:"leave,omitempty"`
	Lease  int64  `json:"lease"`  // milliseconds
	Freeze int64  `json:"freeze"` // milliseconds

	Total  int  `json:"total"`
	PerKey int  `json:"per_key"`
	Leased bool `json:"leased"` // the gate has a lease
	demand

	Keys map[string]demand `json:"keys"`
}

// demand is what a gate has and needs of a limit; see the script.
type demand struct {
	Used    int `json:"used"`
	Waiting int `json:"waiting"` // of all keys: only that of keys that are not in Keys
	Hold    int `json:"hold"`
	Next    int `json:"next"`
	Want    int `json:"want"`

	Stalled int64 `json:"stalled"` // milliseconds
}

// reply is the result of the script.
type reply struct {
	Share     int            `json:"share"`
	Keys      map[string]int `json:"keys"`
	Total     int            `json:"total"` // the lowest limit of all gates
	Nodes     int            `json:"nodes"`
	Contended bool           `json:"contended"` // a gate waits for a larger share
}

// redisKeys returns the keys of the script.
func (g *group) redisKeys(server Server) []string {
	return []string{server.Key("in_flight:"+url.QueryEscape(g.upstream)+":"+g.class, "shares")}
}

var errResult = errors.New("the script has returned no text")

// wireName returns the name of a key in requests. Names of namespaces contain no colon.
func wireName(key inflight.KeyID) string { return key.Namespace + ":" + key.Key }

// exchange reports what the group needs, and stores the shares that it gets.
func (g *group) exchange(ctx context.Context, server Server, limits inflight.Limits) error {
	begun := time.Now()
	g.expire(begun)
	g.dropKeys(begun)
	r := g.request(limits, begun)
	answer, err := g.eval(ctx, server, r)
	if err != nil {
		return err
	}
	g.share, g.of, g.nodes, g.until = answer.Share, answer.Total, answer.Nodes, begun.Add(g.shares.times.lease)
	for key, held := range g.keys {
		held.share = answer.Keys[wireName(key)]
	}
	need := r.Used + r.Waiting
	g.short = false
	for name, key := range r.Keys {
		need += key.Waiting
		g.short = g.short || answer.Keys[name] < key.Used+key.Waiting
	}
	g.short = g.short || answer.Share < need
	g.leased, g.contended, g.idle = true, answer.Contended, need == 0
	g.returns = answer.Share < r.Hold && r.Used < r.Hold
	return nil
}

// request returns the request for what the group needs now. What the gate uses is part of what it holds, even above its share.
func (g *group) request(limits inflight.Limits, now time.Time) *request {
	d := g.shares.limiter.Demand(g.upstream, g.class, limits.PerKey)
	g.peak = max(d.Peak, g.peak-g.peak/8-1)
	standby := limits.Total / (2 * max(g.nodes, 1)) // so that the first requests need no exchange
	r := &request{
		Node: g.node, Lease: g.shares.times.serverLease.Milliseconds(), Freeze: g.shares.times.freeze.Milliseconds(),
		Total: limits.Total, PerKey: limits.PerKey, Leased: g.leased && now.Before(g.until),
		demand: demand{
			Used: d.InFlight, Waiting: d.Waiting, Hold: max(g.share, d.InFlight), Next: d.Next,
			Want: max(g.peak+max(2, g.peak/4), standby, 1), Stalled: d.Stalled.Milliseconds(),
		},
		Keys: map[string]demand{},
	}
	for key, k := range d.Keys {
		held := g.keys[key]
		if held == nil {
			if len(g.keys) == maxKeys {
				r.Waiting += max(0, min(k.Waiting, 1-k.InFlight))
				continue
			}
			if g.keys == nil {
				g.keys = map[inflight.KeyID]*heldKey{}
			}
			held = &heldKey{}
			g.keys[key] = held
		}
		held.used = now
	}
	for key, held := range g.keys {
		k := d.Keys[key] // zero: the key needs at most one
		want := max(k.InFlight+k.Waiting, held.share)
		if k.Waiting > 0 {
			want += (want + 3) / 4
		}
		r.Keys[wireName(key)] = demand{
			Used: k.InFlight, Waiting: k.Waiting, Hold: max(held.share, k.InFlight), Next: max(k.Next, 1), Want: want,
			Stalled: k.Stalled.Milliseconds(),
		}
	}
	return r
}

// eval runs the script.
func (g *group) eval(ctx context.Context, server Server, r *request) (*reply, error) {
	argument, err := json.Marshal(r)
	if err != nil {
		return nil, err
	}
	result, err := server.Run(ctx, script, g.redisKeys(server), string(argument))
	if err != nil {
		return nil, err
	}
	text, ok := result.(string)
	if !ok {
		return nil, errResult
	}
	answer := new(reply)
	if err := json.Unmarshal([]byte(text), answer); err != nil {
		return nil, fmt.Errorf("result of the script: %w", err)
	}
	return answer, nil
}

// leave returns the share.
func (g *group) leave(server Server) {
	_, _ = g.eval(context.Background(), server, &request{Node: g.node, Leave: true})
}
