package api

import (
	"fmt"
	"net/http"
	"strings"
	"testing"

	"github.com/docsgate/docsgate/keys"
	"github.com/docsgate/docsgate/keys/registry"
)

type trail struct {
	Entries []AuditEntry `json:"entries"`
	Next    uint64       `json:"next_cursor"`
}

// A reference that is not listed in the configuration is rejected before it is resolved. The error does not depend on what exists,
// and the audit trail has an entry.
func TestUnlistedAgentsRejected(t *testing.T) {
	w := newTestServer(t)
	var looked []string
	defer w.desk.Registry.PushRules(registry.Rules{Resolve: func(placeholder string) (string, error) {
		looked = append(looked, placeholder)
		return "66666666-7777-8888-9999-000000000000", nil
	}})()
	const secret = "0f0e0d0c-0b0a-0908-0706-050403020100"
	for _, c := range []struct{ path, body string }{
		{"/v1/keys", `{"name":"n","agent":%q}`},
		{"/v1/import", `{"keys":[{"name":"n","agent":%q}]}`},
		{"/v1/import", `{"keys":[{"name":"n","agent":%q}],"dry_run":true}`},
		{"/v1/import", `{"keys":[{"source":"a"},{"source":"bad"},{"name":"n","agent":%q}],"dry_run":true}`},
	} {
		responses := map[string]bool{}
		for _, reference := range []string{
			"{file./etc/hostname}", "{file./nowhere/at/all}", "{env.HOME}", "{env.DOCSGATE_NOT_SET}", " {file./etc/hostname} ", "{env.A }",
			"{file./x/" + secret + "}", "{" + secret + "}", "{http.request.host}", "{env.A}{env.A}", "{file./x\ty}",
		} {
			p := w.call("POST", c.path, fmt.Sprintf(c.body, reference)).problem(http.StatusUnprocessableEntity, "agent_not_listed")
			if len(p.Errors) != 1 || !strings.HasSuffix(p.Errors[0].Pointer, "/agent") {
				t.Errorf("%s: %+v", reference, p.Errors)
			}
			responses[p.Detail] = true
			last := decoded[trail](w.call("GET", "/v1/audit?limit=1", "").want(200)).Entries[0]
			if last.Action != registry.ActionRejected || !strings.Contains(last.Detail, "not listed") || strings.Contains(last.Detail, secret) {
				t.Errorf("%s: audit trail: %+v", reference, last)
			}
			if reference == "{file./etc/hostname}" && !strings.Contains(last.Detail, reference) {
				t.Errorf("the trail does not say what was tried: %+v", last)
			}
		}
		if len(responses) > 1 {
			t.Errorf("%s: the responses differ: %v", c.path, responses)
		}
	}
	if looked != nil || w.total() != 0 {
		t.Errorf("looked at %v, %d keys", looked, w.total())
	}
}

// Listed references are accepted, and so are keys of other feeds, even if they are not listed.
func TestListedAgents(t *testing.T) {
	w := newTestServer(t)
	for _, reference := range []string{"{env.A}", " {env.AGENT}\n", "from-file"} {
		key := w.call("POST", "/v1/keys", fmt.Sprintf(`{"name":"n","agent":%q}`, reference)).want(http.StatusCreated).key()
		if key.Agent != strings.TrimSpace(reference) || w.decision(key.Token) != keys.Allowed {
			t.Errorf("%s: %+v, %s", reference, key, w.decision(key.Token))
		}
	}
	w.desk.Agents = nil
	w.call("POST", "/v1/keys", `{"name":"n","agent":"{env.A}"}`).problem(http.StatusUnprocessableEntity, "agent_not_listed")
	w.call("POST", "/v1/keys", `{"name":"n","agent":"from-file"}`).want(http.StatusCreated)
	w.desk.AnyAgent = true
	w.call("POST", "/v1/keys", `{"name":"n","agent":"{file./anywhere}"}`).want(http.StatusCreated)
}

// Existing keys whose agents are not listed, for example from the command line, remain valid and can be changed.
func TestKeysWithUnlistedAgentsRemainValid(t *testing.T) {
	w := newTestServer(t)
	old := w.call("POST", "/v1/keys", `{"name":"n","agent":"{env.A}"}`).want(http.StatusCreated).key()
	w.desk.Agents = nil
	path := "/v1/keys/" + old.ID
	w.call("PATCH", path, `{"name":"other","expires":"2099-01-01T00:00:00Z"}`).want(http.StatusOK)
	w.call("POST", path+"/disable", "").want(http.StatusOK)
	w.call("POST", path+"/enable", "").want(http.StatusOK)
	rotated := w.call("POST", path+"/rotate", "").want(http.StatusOK).key()
	if got := w.call("GET", path, "").want(http.StatusOK).key(); got.State != "active" || got.Agent != "{env.A}" || got.Name != "other" {
		t.Errorf("%+v", got)
	}
	if keyed := w.desk.Store.Get(old.ID); keyed == nil || keyed.Binding.Agent.IsZero() || rotated.Token == "" {
		t.Errorf("the pasted key is not used: %+v", keyed)
	}
}

// A dry run reveals something about existing keys, so it always has an audit entry.
func TestDryRunIsAudited(t *testing.T) {
	w := newTestServer(t)
	for body, status := range map[string]int{
		`{"keys":[{"source":"a"},{"agent":"{env.A}"}],"dry_run":true}`: 200,
		`{"keys":[{"source":"a"},{"source":"bad"}],"dry_run":true}`:    422,
	} {
		w.call("POST", "/v1/import", body).want(status)
		all := decoded[trail](w.call("GET", "/v1/audit", "").want(200)).Entries
		if len(all) == 0 || all[0].Action != registry.ActionChecked || !strings.Contains(all[0].Detail, "2") || w.total() != 0 {
			t.Errorf("%d: %+v, %d keys", status, all, w.total())
		}
	}
}
