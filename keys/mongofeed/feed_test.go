package mongofeed_test

import (
	"bytes"
	"errors"
	"reflect"
	"slices"
	"strings"
	"testing"

	"go.mongodb.org/mongo-driver/v2/bson"

	"github.com/docsgate/docsgate/internal/feedtest"
	"github.com/docsgate/docsgate/internal/mongotest"
	"github.com/docsgate/docsgate/keys"
	"github.com/docsgate/docsgate/keys/dbfeed"
	"github.com/docsgate/docsgate/keys/docsgptkeys"
	"github.com/docsgate/docsgate/keys/mongofeed"
)

// The records of all versions are read. Fields that a version lacks are unknown.
func TestLoadAllVersions(t *testing.T) {
	source, second := oid(2, 1), oid(2, 2)
	for _, c := range []struct {
		name, collection string
		doc              bson.D
		want             keys.AgentInfo
	}{
		{
			"0.8", mongofeed.APIKeys,
			bson.D{
				is("_id", agentID(1)), is("name", "Docs"), is("key", agentKey(1)), is("source", "local/my docs/"), is("user", "local"),
				is("prompt_id", "default"), is("chunks", "2"),
			},
			keys.AgentInfo{Owner: "local", Sources: []string{"local/my docs/"}},
		},
		{
			"0.10, the built-in source", mongofeed.APIKeys,
			bson.D{
				is("_id", agentID(1)), is("name", "Docs"), is("key", agentKey(1)), is("source", "default"), is("user", "local"),
			},
			keys.AgentInfo{Owner: "local", Sources: []string{"default"}},
		},
		{
			"0.12", mongofeed.APIKeys,
			bson.D{
				is("_id", agentID(1)), is("name", "Docs"), is("key", agentKey(1)), is("source", dbRef(source)), is("user", "local"),
				is("retriever", "classic"), is("chunks", "2"),
			},
			keys.AgentInfo{Owner: "local", Sources: []string{source.Hex()}},
		},
		{
			"0.13, without a source", mongofeed.APIKeys,
			bson.D{
				is("_id", agentID(1)), is("name", "Docs"), is("key", agentKey(1)), is("user", "ann"), is("retriever", "classic"),
			},
			keys.AgentInfo{Owner: "ann"},
		},
		{
			"0.14", mongofeed.Agents,
			bson.D{
				is("_id", agentID(1)), is("user", "ann"), is("name", "Docs"), is("source", dbRef(source)), is("chunks", "2"),
				is("tools", bson.A{}), is("status", "draft"), is("key", agentKey(1)), is("lastUsedAt", nil),
			},
			keys.AgentInfo{Owner: "ann", Status: "draft", Sources: []string{source.Hex()}},
		},
		{
			"0.14, no source", mongofeed.Agents,
			agent(1, is("name", "Docs"), is("source", "")),
			keys.AgentInfo{Owner: "local", Status: "published"},
		},
		{
			"0.15, several sources and limits", mongofeed.Agents, agent(1, is("name", "Docs"), is("source", ""),
				is("sources", bson.A{dbRef(source), "default", dbRef(second), dbRef(source)}),
				is("limited_request_mode", true), is("request_limit", int32(7)), is("limited_token_mode", "True"), is("token_limit", int64(8))),
			keys.AgentInfo{
				Owner: "local", Status: "published", Sources: []string{source.Hex(), "default", second.Hex()},
				RequestsPerDay: 7, TokensPerDay: 8,
			},
		},
		{
			"0.16, the list of sources wins", mongofeed.Agents, agent(1, is("name", "Docs"), is("source", "default"),
				is("sources", bson.A{dbRef(second)}), is("limited_request_mode", "False"), is("limited_token_mode", true), is("token_limit", nil),
				is("folder_id", nil), is("workflow", nil)),
			keys.AgentInfo{Owner: "local", Status: "published", Sources: []string{second.Hex()}, TokensPerDay: 50000},
		},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			r := newReplica(t)
			r.put(c.collection, c.doc)
			uris := []string{r.uri()}
			if !referring(t, c.doc) {
				database := mongotest.Database(t)
				mongotest.Insert(t, database, c.collection, c.doc)
				uris = append(uris, mongotest.URI(database))
			}
			for _, uri := range uris {
				check(t, uri, c.want)
			}
		})
	}
}

// referring reports whether a record contains a reference.
func referring(t *testing.T, doc bson.D) bool {
	t.Helper()
	raw, err := bson.Marshal(doc)
	if err != nil {
		t.Fatal(err)
	}
	return bytes.Contains(raw, []byte("$ref"))
}

// check checks the only key of a database.
func check(t *testing.T, uri string, want keys.AgentInfo) {
	t.Helper()
	g := feedtest.Run(t, newFeed(t, options(t, uri)))
	if got := g.Reason(agentKey(1)); got != keys.Allowed {
		t.Fatalf("the key: %s", got)
	}
	k := g.Store.Get(keyID(1))
	if k == nil || g.Store.Len() != 1 {
		t.Fatalf("%d keys, and not the one with the record's id", g.Store.Len())
	}
	if k.Name != "Docs" || k.Binding.Agent.Reveal() != agentKey(1) || k.Digest != keys.DigestOf(agentKey(1)) || k.State != keys.Active {
		t.Errorf("key: %+v", k)
	}
	if !reflect.DeepEqual(*k.Facts, want) {
		t.Errorf("facts: %+v, want %+v", *k.Facts, want)
	}
}

// MongoDB and the gate accept a key only in the stored letter case.
func TestOtherLetterCaseRejected(t *testing.T) {
	database := mongotest.Database(t)
	mongotest.Insert(t, database, mongofeed.Agents, agent(1, is("key", "Abc-Kelvin")), agent(2, is("key", "abc-Kelvin")))
	g := feedtest.Run(t, newFeed(t, options(t, mongotest.URI(database))))
	for token, want := range map[string]keys.Reason{
		"Abc-Kelvin": keys.Allowed, "abc-Kelvin": keys.Allowed, "ABC-KELVIN": keys.UnknownToken, "abc-kelvin": keys.UnknownToken,
	} {
		if got := g.Reason(token); got != want {
			t.Errorf("%q: %s, want %s", token, got, want)
		}
	}
}

// By default the feed reads the collection that DocsGPT uses.
func TestCollections(t *testing.T) {
	old := func(n int, key string) bson.D {
		return bson.D{is("_id", agentID(n)), is("name", "Old"), is("key", key)}
	}
	for _, c := range []struct {
		name, collection string
		agents, apiKeys  []any
		want             string // their tokens
		left             int
	}{
		{name: "only api_keys", apiKeys: []any{old(1, "a")}, want: "a"},
		{name: "only agents", agents: []any{agent(1, is("key", "b"))}, want: "b"},
		{name: "agents before api_keys", agents: []any{agent(1, is("key", "b"))}, apiKeys: []any{old(2, "a")}, want: "b"},
		{name: "agents are all drafts", agents: []any{agent(1, is("key", ""))}, apiKeys: []any{old(2, "a")}, want: "a"},
		{name: "agents have no keys but objects", agents: []any{agent(1, is("key", bson.D{is("ne", nil)}))}, apiKeys: []any{old(2, "a")}, want: "a", left: 1},
		{
			name: "api_keys asked for", collection: mongofeed.APIKeys,
			agents: []any{agent(1, is("key", "b"))}, apiKeys: []any{old(2, "a")}, want: "a",
		},
		{name: "agents asked for", collection: mongofeed.Agents, apiKeys: []any{old(2, "a")}},
		{
			name: "both asked for", collection: mongofeed.Both,
			agents: []any{agent(1, is("key", "b"))}, apiKeys: []any{old(2, "a")}, want: "ab",
		},
		{
			name: "copied by hand into both", collection: mongofeed.Both,
			agents: []any{agent(1, is("key", "b"))}, apiKeys: []any{old(1, "a")}, want: "b", left: 1,
		},
		{
			name: "copied, but a draft", collection: mongofeed.Both,
			agents: []any{agent(1, is("key", ""))}, apiKeys: []any{old(1, "a")}, want: "a",
		},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			database := mongotest.Database(t)
			if c.agents != nil {
				mongotest.Insert(t, database, mongofeed.Agents, c.agents...)
			}
			if c.apiKeys != nil {
				mongotest.Insert(t, database, mongofeed.APIKeys, c.apiKeys...)
			}
			o := options(t, mongotest.URI(database))
			o.Collection = c.collection
			f := newFeed(t, o)
			got := ""
			all := feedtest.Load(t, f)
			for _, token := range []string{"a", "b"} {
				for _, k := range all {
					if k.Binding.Agent.Reveal() == token {
						got += token
					}
				}
			}
			if got != c.want || len(all) != len(c.want) {
				t.Errorf("keys %q (%d), want %q", got, len(all), c.want)
			}
			if left := f.Skipped(); len(left) != c.left {
				t.Errorf("skipped: %+v, want %d", left, c.left)
			}
		})
	}
}

// Malformed records do not affect others. A record with an invalid key is reported as skipped.
func TestMalformedRecords(t *testing.T) {
	odd := []bson.D{
		agent(1, is("key", bson.D{is("$ne", nil)})), agent(2, is("key", int32(5))), agent(3, is("key", bson.A{"a"})),
		agent(4, is("key", true)), agent(5, is("key", 1.5)), agent(6, is("_id", int32(7)), is("key", "with-a-number-for-id")),
		agent(7, is("_id", agentID(8).Hex()), is("key", "with-a-text-for-id")), agent(8, is("key", "two words")),
	}
	usable := []bson.D{
		agent(20, is("name", nil), is("user", int32(3)), is("status", bson.D{}), is("source", int32(1)), is("sources", "x"),
			is("limited_request_mode", int32(1)), is("limited_token_mode", bson.A{}), is("token_limit", "x")),
		agent(21, is("source", bson.D{is("$ref", "sources")}), is("sources", bson.A{nil, int32(4), bson.D{}, bson.A{}, ""}),
			is("limited_request_mode", "True"), is("request_limit", "12"), is("limited_token_mode", true), is("token_limit", -1.0)),
		{is("_id", agentID(22)), is("key", agentKey(22))},
		{is("_id", "short-id"), is("key", agentKey(23))},
	}
	drafts := []bson.D{{is("_id", agentID(30))}, agent(31, is("key", nil)), agent(32, is("key", ""))}
	r := newReplica(t)
	r.put(mongofeed.Agents, slices.Concat(odd, usable, drafts)...)
	f := newFeed(t, options(t, r.uri()))
	all := feedtest.Load(t, f)
	if len(all) != len(usable) {
		t.Errorf("%d keys, want %d", len(all), len(usable))
	}
	for id, want := range map[string]keys.AgentInfo{
		keyID(20): {Status: ""}, keyID(21): {Owner: "local", Status: "published", RequestsPerDay: 12, TokensPerDay: 50000},
		keyID(22): {}, "agent_short-id": {},
	} {
		k, ok := all[id]
		if !ok || !reflect.DeepEqual(*k.Facts, want) {
			t.Errorf("%s: %+v, want %+v", id, k.Facts, want)
		}
	}
	left := f.Skipped()
	if len(left) != len(odd) {
		t.Errorf("%d records skipped, want %d: %+v", len(left), len(odd), left)
	}
	for _, l := range left {
		if l.ID == "" || l.Name == "" || l.Reason == "" {
			t.Errorf("skipped without id, name or reason: %+v", l)
		}
	}
	if i := slices.IndexFunc(left, func(l docsgptkeys.Skipped) bool { return l.ID == agentID(1).Hex() }); i < 0 || !strings.Contains(left[i].Reason, "not a string") {
		t.Errorf("the record with an operator as its key: %+v", left)
	}
}

func TestFilters(t *testing.T) {
	database := mongotest.Database(t)
	mongotest.Insert(t, database, mongofeed.Agents,
		agent(1, is("user", "ann"), is("key", "a")), agent(2, is("user", "ann"), is("key", "b"), is("status", "draft")),
		agent(3, is("user", "bob"), is("key", "c")), agent(4, is("user", "bob"), is("key", "d"), is("name", "D (shared)")))
	for _, c := range []struct {
		name   string
		filter docsgptkeys.Filter
		want   string // their tokens
	}{
		{"none: all but shared ones", docsgptkeys.Filter{}, "abc"},
		{"owner", docsgptkeys.Filter{Owners: []string{"ann"}}, "ab"},
		{"published", docsgptkeys.Filter{OnlyPublished: true}, "ac"},
		{"including shared ones", docsgptkeys.Filter{IncludeShared: true}, "abcd"},
		{"ids", docsgptkeys.Filter{IDs: []string{strings.ToUpper(agentID(2).Hex()), keyID(3)}}, "bc"},
	} {
		t.Run(c.name, func(t *testing.T) {
			o := options(t, mongotest.URI(database))
			o.Filter = c.filter
			f := newFeed(t, o)
			got, all := "", feedtest.Load(t, f)
			for n := 1; n <= 4; n++ {
				if k, ok := all[keyID(n)]; ok {
					got += k.Binding.Agent.Reveal()
				}
			}
			if got != c.want {
				t.Errorf("keys %q, want %q", got, c.want)
			}
			if got, want := len(f.Skipped()), 4-len(c.want); got != want {
				t.Errorf("%d agents skipped, want %d", got, want)
			}
		})
	}
}

const password = "hunter2-Secret"

// A database that does not exist is an error for the operator; one without keys is not.
func TestMissingDatabase(t *testing.T) {
	f := newFeed(t, options(t, mongotest.URI("nowhere")))
	set, err := f.Load(t.Context())
	if err == nil || !strings.Contains(err.Error(), "does not exist") || set != nil {
		t.Fatalf("Load: %d keys, %v", len(set), err)
	}
	if stale := (*keys.StaleError)(nil); errors.As(err, &stale) {
		t.Errorf("it passes for a database that is away: %v", err)
	}
	if watched := f.Watch(t.Context(), func() { t.Error("changed was called") }); watched == nil || watched.Error() != err.Error() {
		t.Errorf("Watch: %v, want the same as Load: %v", watched, err)
	}
	database := mongotest.Database(t)
	mongotest.Insert(t, database, "users", bson.D{is("user_id", "local")})
	if all := feedtest.Load(t, newFeed(t, options(t, mongotest.URI(database)))); len(all) != 0 {
		t.Errorf("keys: %v", all)
	}
}

// The error for an invalid address contains no part of it.
func TestAddresses(t *testing.T) {
	for _, uri := range []string{
		"", "mongodb://u:" + password + "@", "mongodb://u:" + password + "@h:port/db", "mongodb://u:x/" + password + "@h/db",
		"mongodb://u:12/" + password + "@h/db", "mongodb://u:12?" + password + "@h/db", "mongodb://u:x@" + password + "@h/db",
		"mongodb://u:%zz" + password + "@h/db", "mongodb://u:12#" + password + "@h/db", "mysql://u:" + password + "@h/db", "h:1/" + password,
		"mongodb://u:p@h/db?tlsCAFile=/nowhere/" + password, "mongodb://u:" + password + "@h/db?authMechanism=odd",
		"mongodb+srv://u:" + password + "@h:5/db", "mongodb+srv://u:" + password + "@a,b/db", "mongodb+srv://u:12/" + password + "@h/db",
		"mongodb://u:" + password + "@h/a b",
	} {
		f, err := mongofeed.New(mongofeed.Options{Options: dbfeed.Options{URI: keys.NewSecret(uri), InsecurePlaintext: true}})
		if err == nil && strings.Contains(f.Name(), password) {
			t.Errorf("accepted, with the name %s", f.Name())
		}
		if err != nil && strings.Contains(err.Error(), password) {
			t.Errorf("the error contains the password: %v", err)
		}
		if err != nil || !strings.Contains(uri, "=") {
			continue
		}
		// Some errors occur only when the address is used. They do not contain it either.
		if _, err := f.Load(t.Context()); err == nil || strings.Contains(err.Error(), password) || !strings.Contains(err.Error(), "is not valid") {
			t.Errorf("Load: %v", err)
		}
	}
	for uri, want := range map[string]string{
		"mongodb://h": "docsgpt:h:27017/docsgpt",
		"mongodb://u:p%40x@h:6000/db?authSource=admin":                  "docsgpt:h:6000/db",
		" mongodb://u:p@h/admin\n":                                      "docsgpt:h:27017/docsgpt",
		"mongodb://u:p@[::1]:1/db":                                      "docsgpt:[::1]:1/db",
		"mongodb://u:p@a:1,b/db?replicaSet=rs0":                         "docsgpt:a:1,b:27017/db",
		"mongodb+srv://u:p@cluster.example/db?srvMaxHosts=2&w=majority": "docsgpt:cluster.example/db",
		"mongodb://%2Ftmp%2Fmongodb-27017.sock/db":                      "docsgpt:/tmp/mongodb-27017.sock/db",
	} {
		f, err := mongofeed.New(mongofeed.Options{Options: dbfeed.Options{URI: keys.NewSecret(uri), InsecurePlaintext: true}})
		if err != nil {
			t.Errorf("%s: %v", uri, err)
		} else if f.Name() != want {
			t.Errorf("%s: the name is %s, want %s", uri, f.Name(), want)
		}
	}
	f, err := mongofeed.New(mongofeed.Options{Options: dbfeed.Options{URI: keys.NewSecret("mongodb://h/one"), InsecurePlaintext: true}, Database: "two"})
	if err != nil || f.Name() != "docsgpt:h:27017/two" {
		t.Errorf("a database that is named besides: %v", err)
	}
	for _, o := range []mongofeed.Options{{Collection: "users"}, {Database: "a/b"}, {Options: dbfeed.Options{PollInterval: -1}}} {
		o.URI = keys.NewSecret("mongodb://localhost")
		if _, err := mongofeed.New(o); err == nil {
			t.Errorf("accepted: %+v", o)
		}
	}
}
