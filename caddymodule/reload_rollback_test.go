package caddymodule_test

import (
	"fmt"
	"net"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// A configuration that is refused when it is started already, here since another program has one of its ports, leaves the
// running one as it was.
func TestConfigRejectedAtStart(t *testing.T) {
	i := issue(t)
	var site string
	for _, way := range ways { // any will do
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
	for range 4 { // Caddy starts its apps in any order
		if err := i.load(text); err == nil {
			t.Fatal("it was not refused")
		}
		until(t, "the key counts as before", func() bool { return i.ask("/api/answer", token, "Q", "").status == 200 })
		i.create(`{"name":"Another one","agent":"agent"}`) // by which all that has changed comes into force
		want("after a configuration that was refused")
	}
}
