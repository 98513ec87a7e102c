package api

import (
	_ "embed" // for the document
	"net/http"
)

// document is the OpenAPI 3.1 document of the API. It is written by hand; tests check the routes and their responses against it.
//
//go:embed openapi.json
var document []byte

func (a *api) openAPI(w http.ResponseWriter, r *http.Request) error {
	if _, err := query(r); err != nil {
		return err
	}
	w.Header().Set("Content-Type", "application/json")
	_, _ = w.Write(document) // the client may be gone
	return nil
}
