package ui

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"testing"

	"github.com/docsgate/docsgate/keys/registry"
)

// The statuses are those of the API for the same errors.
func TestPageErrorStatus(t *testing.T) {
	for _, tc := range []struct {
		err    error
		status int
		fault  bool
	}{
		{registry.ErrNotFound, http.StatusNotFound, false},
		{registry.ErrConflict, http.StatusConflict, false},
		{registry.ErrRevoked, http.StatusConflict, false},
		{registry.ErrNotRevoked, http.StatusConflict, false},
		{registry.ErrExists, http.StatusConflict, false},
		{registry.ErrNotApplied, http.StatusServiceUnavailable, true},
		{registry.ErrUnavailable, http.StatusServiceUnavailable, true},
		{&http.MaxBytesError{Limit: 1}, http.StatusRequestEntityTooLarge, false},
		{&registry.FieldError{Field: "name", Message: "is empty"}, http.StatusUnprocessableEntity, false},
		{context.Canceled, http.StatusServiceUnavailable, true},
		{context.DeadlineExceeded, http.StatusServiceUnavailable, true},
		{errors.New("the disk is full"), http.StatusInternalServerError, true},
	} {
		shown, fault := pageErrorOf(fmt.Errorf("saving: %w", tc.err))
		if shown.status != tc.status || fault != tc.fault || shown.text == "" {
			t.Errorf("%v: status %d, fault %v, text %q; want %d, %v", tc.err, shown.status, fault, shown.text, tc.status, tc.fault)
		}
	}
}
