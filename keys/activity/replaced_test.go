package activity

import (
	"fmt"
	"testing"
	"time"

	"github.com/docsgate/docsgate/keys"
)

func TestReplaced(t *testing.T) {
	key := func(id, token string, previous ...string) keys.Key {
		k := keys.Key{ID: id, Digest: keys.DigestOf(token), State: keys.Active, Binding: keys.Binding{Agent: keys.NewSecret("agent")}}
		for _, p := range previous {
			k.PreviousTokens = append(k.PreviousTokens, keys.PreviousToken{Digest: keys.DigestOf(p), Until: time.Now().Add(time.Hour)})
		}
		return k
	}
	store, r := keys.NewStore(), newReplaced(100)
	store.Listen(r)
	replace := func(set ...keys.Key) {
		t.Helper()
		if _, err := store.Replace("test", set); err != nil {
			t.Fatal(err)
		}
	}
	replace(key("a", "a1"), key("b", "b1"), key("c", "c1"))
	replace(key("a", "a2", "a1"), key("b", "b2"))
	for token, want := range map[string]string{"a1": "", "a2": "", "b1": "b", "b2": "", "c1": "", "unknown": ""} {
		if got := r.KeyOf(keys.DigestOf(token)); got != want {
			t.Errorf("%s: %q, want %q", token, got, want)
		}
	}
	replace(key("a", "a3")) // the grace period of a1 is ended, too
	for _, token := range []string{"a1", "a2"} {
		if got := r.KeyOf(keys.DigestOf(token)); got != "a" {
			t.Errorf("%s: %q", token, got)
		}
	}
	for i := range 200 {
		replace(key("a", fmt.Sprint("next", i)))
	}
	if n := r.keyOf.Len(); n != 100 {
		t.Errorf("%d tokens are remembered", n)
	}
}
