package caddymodule

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"time"

	"github.com/docsgate/docsgate/console/keyservice"
	"github.com/docsgate/docsgate/docsgpt"
	"github.com/docsgate/docsgate/upstream"
)

const (
	sourcesTimeout = 5 * time.Second
	maxSources     = 16 << 20 // bytes; some 20,000 sources
)

// listSources asks DocsGPT for the sources of the gate's account.
func (a *App) listSources(ctx context.Context) ([]keyservice.Source, error) {
	ctx, cancel := context.WithTimeout(ctx, sourcesTimeout)
	defer cancel()
	ctx, stop := context.WithCancelCause(ctx)
	defer stop(nil)
	header := http.Header{"Accept": jsonType, "User-Agent": {"docsgate"}}
	if a.version.Accounts {
		header["Authorization"] = []string{"Bearer " + a.token.Reveal()}
	}
	resp, err := a.gates[0].upstream.Send(ctx, stop, upstream.Request{
		Method: http.MethodGet, Path: a.version.SourcesPath(), Header: header,
	})
	if err != nil {
		return nil, errors.New("DocsGPT could not be asked for its sources")
	}
	defer resp.Body.Close()
	switch {
	case resp.StatusCode == http.StatusUnauthorized:
		return nil, errors.New("DocsGPT does not take the gate's credential: look at upstream_token")
	case resp.StatusCode == http.StatusForbidden:
		return nil, errors.New("the gate's credential may not list sources: " +
			"give the access token the scope sources:read, or type the source's id")
	case resp.StatusCode != http.StatusOK:
		return nil, fmt.Errorf("DocsGPT does not list its sources: it answers with status %d", resp.StatusCode)
	}
	body, err := io.ReadAll(io.LimitReader(resp.Body, maxSources))
	if err != nil {
		return nil, errors.New("DocsGPT's list of sources broke off")
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

// canListSources tells whether there is somebody to ask, and a credential if one is needed.
func (a *App) canListSources() bool {
	return len(a.gates) > 0 && a.version.SourcesPath() != "" && (!a.version.Accounts || !a.token.IsZero())
}
