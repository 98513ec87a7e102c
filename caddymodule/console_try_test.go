package caddymodule_test

import (
	"fmt"
	"net/http"
	"net/url"
	"strings"
	"testing"
)

// A question of the console has the address of the administrator, so that address ranges and visitor limits apply to it as to a client
// at the same place.
func TestConsoleTriesWithTheAddressOfTheAdministrator(t *testing.T) {
	i := newStoreTest(t)
	t.Setenv("ADMIN", adminToken)
	i.start(fmt.Sprintf(forwardModes["built-in"], i.address, ""), "docsgate_console {\nadmin_token {env.ADMIN}\n}\n")
	const form = "application/x-www-form-urlencoded"
	page := func(path, body, cookie string) response {
		return i.sendTo(i.urls[1], http.MethodPost, path, body, "Accept", "text/html", "Content-Type", "", "Content-Type", form, "Cookie", cookie)
	}
	cookie, _, _ := strings.Cut(page("/login", url.Values{"token": {adminToken}}.Encode(), "").header.Get("Set-Cookie"), ";")
	for policy, want := range map[string]string{
		`"ips":["127.0.0.0/8"]`: "alpha",
		`"ips":["10.0.0.0/8"]`:  `"status":403`,
		`"ips":["127.0.0.0/8"],"kind":"publishable","origins":["https://*.example.com"]`: "alpha",
	} {
		_, token := i.create(`{"name":"k","source":"` + sourceAlpha + `",` + policy + `}`)
		tried := page("/try", url.Values{"token": {token}, "question": {"Which source?"}}.Encode(), cookie)
		if tried.status != http.StatusOK || !strings.Contains(tried.body, want) {
			t.Errorf("%s: %d %s, want %s", policy, tried.status, tried.body, want)
		}
	}
}
