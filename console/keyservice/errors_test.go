package keyservice_test

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"strings"
	"testing"

	"github.com/docsgate/docsgate/console/keyservice"
	"github.com/docsgate/docsgate/keys/registry"
)

func TestResponseTo(t *testing.T) {
	for _, c := range []struct {
		err    error
		status int
		code   string
		fault  bool
	}{
		{registry.ErrNotFound, http.StatusNotFound, "key_not_found", false},
		{registry.ErrConflict, http.StatusConflict, "conflict", false},
		{registry.ErrRevoked, http.StatusConflict, "revoked", false},
		{registry.ErrExists, http.StatusConflict, "already_exists", false},
		{registry.ErrNotApplied, http.StatusServiceUnavailable, "apply_pending", true},
		{registry.ErrUnavailable, http.StatusServiceUnavailable, "store_unavailable", true},
		{registry.ErrWrongSecret, http.StatusServiceUnavailable, "store_secret_missing", true},
		{&keyservice.ReadOnlyError{Feed: "file:keys.yaml"}, http.StatusConflict, "read_only_feed", false},
		{&http.MaxBytesError{Limit: 1}, http.StatusRequestEntityTooLarge, "too_large", false},
		{context.Canceled, http.StatusServiceUnavailable, "deadline_exceeded", true},
		{context.DeadlineExceeded, http.StatusServiceUnavailable, "deadline_exceeded", true},
		{errors.New("hidden"), http.StatusInternalServerError, "internal", true},
	} {
		got := keyservice.ResponseTo(fmt.Errorf("saving: %w", c.err))
		if got.Status != c.status || got.Code != c.code || got.Fault != c.fault || got.Text == "" || strings.Contains(got.Text, "hidden") {
			t.Errorf("%v: %+v", c.err, got)
		}
	}
}

func TestReadOnly(t *testing.T) {
	d := newServiceTest(t)
	issued := d.create(registry.CreateRequest{Name: "a", Sources: []string{"s"}}).Record.ID
	var readOnly *keyservice.ReadOnlyError
	if err := d.ReadOnly("docs", registry.ErrNotFound); !errors.As(err, &readOnly) || readOnly.Feed != "file:keys.yaml" {
		t.Error(err)
	}
	for id, given := range map[string]error{issued: registry.ErrNotFound, "none": registry.ErrNotFound, "docs": registry.ErrRevoked, "bot": nil} {
		if err := d.ReadOnly(id, given); err != given { //nolint:errorlint // it must be unchanged
			t.Errorf("%s: %v becomes %v", id, given, err)
		}
	}
}
