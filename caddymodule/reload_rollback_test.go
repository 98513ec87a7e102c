package caddymodule_test

import (
	"fmt"
	"net"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// If a configuration fails when it is started, here because one of its ports is in use, the running one is not affected.
func TestConfigRejectedAtStart(t *testing.T) {
	i := newStoreTest(t)
	var site string
	for _, way := range forwardModes { // one of them is sufficient
		site = fmt.Sprintf(way, i.address, "")
	}
	i.start(site)
	_, token := i.create(`{"name":"For another feed's agent","agent":"agent"}`)
	want := func(what string) {
		t.Helper()
		if r := i.ask("/api/answer", token, "Q", ""); r.status != 200 {
			t.Errorf("%s: %d %s", what, r.status, r.body)
		}
	}
	want("at first")
	busy, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer busy.Close()
	other := filepath.Join(i.dir, "other.yaml")
	if err := os.WriteFile(other, []byte("keys: []\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	text := i.config(site) + "\nhttp://" + busy.Addr().String() + " {\n\trespond ok\n}\n"
	at := strings.Index(text, "feed file ")
	end := at + strings.IndexAny(text[at:], "\n")
	text = text[:at] + "feed file " + other + text[end:]
	for range 4 { // Caddy starts its apps in an undefined order
		if err := i.load(text); err == nil {
			t.Fatal("it was not rejected")
		}
		waitFor(t, "the key counts as before", func() bool { return i.ask("/api/answer", token, "Q", "").status == 200 })
		i.create(`{"name":"Another one","agent":"agent"}`) // applies all changes
		want("after a configuration that was refused")
	}
}
