package mongofeed_test

import (
	"testing"

	"github.com/docsgate/docsgate/internal/mongotest"
	"github.com/docsgate/docsgate/keys/docsgptkeys"
)

// The test server requires no authentication.
func TestPrivileges(t *testing.T) {
	feed := newFeed(t, options(t, mongotest.URI(mongotest.Database(t))))
	if got, err := feed.Privileges(t.Context()); err != nil || got != (docsgptkeys.Privileges{Superuser: true, Writes: true}) {
		t.Errorf("%+v, %v", got, err)
	}
	if _, err := newFeed(t, options(t, "mongodb://127.0.0.1:1/docsgpt")).Privileges(t.Context()); err == nil {
		t.Error("no error without a server")
	}
}
