package keys

import (
	"encoding/json"
	"testing"

	"github.com/docsgate/docsgate/policy"
)

// keyOn returns a key with a policy.
func keyOn(t *testing.T, id, fields string) Key {
	t.Helper()
	k := sourceKey(id)
	k.Policy = new(policy.Policy)
	if err := json.Unmarshal([]byte(fields), k.Policy); err != nil {
		t.Fatal(err)
	}
	return k
}

func TestOrigins(t *testing.T) {
	const docs, blog = "https://docs.example.com", "https://blog.example.com"
	onDocs := keyOn(t, "docs", `{"kind":"publishable","origins":["https://docs.example.com"]}`)
	onBoth := keyOn(t, "docs", `{"origins":["https://docs.example.com","https://*.example.com"]}`)
	second := keyOn(t, "second", `{"origins":["https://docs.example.com"]}`)
	disabled := onDocs
	disabled.State = Disabled
	s := NewStore()
	o := NewOrigins(s)
	check := func(step string, anyOrigin, onDocs, onBlog bool) {
		t.Helper()
		if o.AllowAny() != anyOrigin || o.Allow(docs) != onDocs || o.Allow(blog) != onBlog {
			t.Errorf("%s: any %t, docs %t, blog %t", step, o.AllowAny(), o.Allow(docs), o.Allow(blog))
		}
	}
	check("not ready", true, true, true)
	s.SetReady(true)
	check("no key", true, true, true)
	for _, c := range []struct {
		step                   string
		keys                   []Key
		anyOrigin, docs, blogs bool
	}{
		{"a key with an origin", []Key{onDocs}, false, true, false},
		{"updated", []Key{onBoth}, false, true, true},
		{"two keys with the same origin", []Key{onDocs, second}, false, true, false},
		{"one of them remains", []Key{second}, false, true, false},
		{"disabled", []Key{disabled}, false, true, false},
		{"a key without a policy", []Key{onDocs, sourceKey("open")}, true, true, true},
		{"a key without origins", []Key{onDocs, keyOn(t, "open", `{"ips":["192.0.2.1"]}`)}, true, true, true},
		{"a secret key", []Key{onDocs, keyOn(t, "server", `{"kind":"secret"}`)}, true, true, true},
		{"any origin explicitly", []Key{onDocs, keyOn(t, "open", `{"kind":"publishable","origins":["*"]}`)}, true, true, true},
		{"only on pages again", []Key{onDocs}, false, true, false},
	} {
		mustReplace(t, s, "test", c.keys...)
		check(c.step, c.anyOrigin, c.docs, c.blogs)
	}
	s.SetFeedUnavailable("other", true)
	check("a feed is unavailable", true, true, true)
	s.SetFeedUnavailable("other", false)
	check("it is available again", false, true, false)
	late := NewOrigins(s)
	if late.AllowAny() || !late.Allow(docs) {
		t.Error("a union of existing keys is wrong")
	}
	s.Remove("test")
	check("removed", true, true, true)
}
