package api

import (
	_ "embed" // for the document
	"net/http"
)

// document is the API's description in OpenAPI 3.1. It is written by hand; tests hold the routes and their answers against it.
//
//go:embed openapi.json
var document []byte

func (a *api) openAPI(w http.ResponseWriter, r *http.Request) error {
	if _, err := query(r); err != nil {
		return err
	}
	w.Header().Set("Content-Type", "application/json")
	_, _ = w.Write(document) // a client that is gone has no use for it
	return nil
}
