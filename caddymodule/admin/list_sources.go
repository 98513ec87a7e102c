package admin

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"time"

	"github.com/docsgate/docsgate/console/keyservice"
	"github.com/docsgate/docsgate/docsgpt"
	"github.com/docsgate/docsgate/internal/buildinfo"
	"github.com/docsgate/docsgate/keys"
	"github.com/docsgate/docsgate/upstream"
)

const (
	sourcesTimeout = 5 * time.Second
	maxSources     = 16 << 20 // bytes; some 20,000 sources
)

// listSources returns the sources of the account of upstream_token, whose credential it needs.
func listSources(ctx context.Context, up *upstream.Upstream, version *docsgpt.Version, credential keys.Secret) ([]keyservice.Source, error) {
	ctx, cancel := context.WithTimeout(ctx, sourcesTimeout)
	defer cancel()
	ctx, stop := context.WithCancelCause(ctx)
	defer stop(nil)
	header := http.Header{"Accept": {"application/json"}, "User-Agent": {buildinfo.UserAgent()}}
	if version.Accounts {
		header["Authorization"] = []string{"Bearer " + credential.Reveal()}
	}
	resp, err := up.Send(ctx, stop, upstream.Request{
		Method: http.MethodGet, Path: version.SourcesPath(), Header: header,
	})
	if err != nil {
		return nil, errors.New("listing sources failed: DocsGPT is unavailable")
	}
	defer resp.Body.Close()
	switch {
	case resp.StatusCode == http.StatusUnauthorized:
		return nil, errors.New("listing sources failed: DocsGPT rejected the credential; check upstream_token")
	case resp.StatusCode == http.StatusForbidden:
		return nil, errors.New("listing sources failed: upstream_token has no permission; " +
			"add the scope sources:read to the access token, or enter the ID of the source")
	case resp.StatusCode != http.StatusOK:
		return nil, fmt.Errorf("listing sources failed: DocsGPT responded with status %d", resp.StatusCode)
	}
	body, err := io.ReadAll(io.LimitReader(resp.Body, maxSources))
	if err != nil {
		return nil, errors.New("listing sources failed: the response is truncated")
	}
	found, err := docsgpt.ReadSources(body)
	if err != nil {
		return nil, err
	}
	all := make([]keyservice.Source, len(found))
	for i, s := range found {
		all[i] = keyservice.Source{ID: s.ID, Name: s.Name}
	}
	return all, nil
}

// canListSources reports whether the version can list sources with the credential.
func canListSources(version *docsgpt.Version, credential keys.Secret) bool {
	return version.SourcesPath() != "" && (!version.Accounts || !credential.IsZero())
}
