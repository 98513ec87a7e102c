package gateway

import (
	"net/http"

	"github.com/docsgate/docsgate/docsgpt"
)

// selectModel replaces a list of models by the model that the client requests, if it requests a single one.
func (res *response) selectModel() *docsgpt.Error {
	if res.item == "" {
		return nil
	}
	model, apiErr := docsgpt.FindModel(res.out, res.item)
	if apiErr != nil {
		if apiErr.Status != http.StatusNotFound {
			res.client.logUpstreamError(apiErr, res.status, nil)
		}
		return apiErr
	}
	res.out = model
	return nil
}
