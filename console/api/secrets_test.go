package api

import (
	"net/http"
	"slices"
	"testing"
)

func TestRotateSecret(t *testing.T) {
	w := newTestServer(t)
	w.call("POST", "/v1/secrets/rotate", "").problem(http.StatusConflict, "no_secret")
	w.call("POST", "/v1/keys", `{"name": "k", "agent_key": "66666666-7777-8888-9999-000000000000"}`).want(http.StatusCreated)
	report := decoded[SecretRotation](w.call("POST", "/v1/secrets/rotate", "").want(http.StatusOK))
	if report.Reencrypted != 0 || len(report.Remaining) != 0 || len(report.KeyID) != 8 {
		t.Errorf("%+v", report)
	}
	w.call("POST", "/v1/secrets/rotate", `{"x": 1}`).problem(http.StatusUnprocessableEntity, "invalid")
}

func TestRotateIDSecret(t *testing.T) {
	w := newTestServer(t)
	for _, body := range []string{"", `{}`, `{"delay": "0s", "end_previous": true}`, `{"delay": "7d"}`} {
		w.call("POST", "/v1/id-secrets/rotate", body).want(http.StatusCreated)
	}
	if want := []string{"10m0s false", "10m0s false", "0s true", "168h0m0s false"}; !slices.Equal(w.idSecrets, want) {
		t.Errorf("%q, want %q", w.idSecrets, want)
	}
	w.call("POST", "/v1/id-secrets/rotate", `{"delay": "8d"}`).problem(http.StatusUnprocessableEntity, "invalid")
	w.desk.RotateIDSecret = nil
	w.call("POST", "/v1/id-secrets/rotate", "").problem(http.StatusConflict, "no_secret")
}
