package docsgpt

import (
	"bytes"
	"net/http"
	"slices"
	"strings"

	"github.com/go-json-experiment/json/jsontext"
)

// openAIPrefix is the path of OpenAI's API. All paths below it belong to OpenAI clients.
const openAIPrefix = "/v1"

// modelsPath is the path of the list of models.
const modelsPath = openAIPrefix + "/models"

// openAIEndpoints returns the endpoints of OpenAI clients.
func (v *Version) openAIEndpoints() []Endpoint {
	var list []Endpoint
	if v.OpenAI {
		facts := factsNone
		if v.OpenAIPassthrough {
			facts = factsNested
		}
		list = append(list, Endpoint{
			Name: "completions", Path: openAIPrefix + "/chat/completions", Method: http.MethodPost, Group: GroupOpenAI, Body: BodyJSON,
			Class: ClassAnswer, Relay: RelayChunks, Token: TokenBearer, ErrorFormat: FormatOpenAI, Fields: completionFields, Agents: true,
			UnsupportedMessage: needsAgent, facts: facts,
		})
	}
	if v.Models {
		models := Endpoint{
			Name: "models", Path: modelsPath, Method: http.MethodGet, Group: GroupOpenAI,
			Token: TokenBearer, ErrorFormat: FormatOpenAI, Agents: true, UnsupportedMessage: needsAgent,
		}
		model := models
		model.Name, model.Path, model.ItemOf = "model", modelsPath+"/{id}", modelsPath
		list = append(list, models, model)
	}
	return list
}

// isOpenAIPath reports whether a canonical path belongs to OpenAI clients.
func isOpenAIPath(path string) bool {
	return path == openAIPrefix || strings.HasPrefix(path, openAIPrefix+"/")
}

// FindModel returns the model with that ID from the body of DocsGPT's response to a request for the list of models. An ID
// that the list does not have, and a body that is not such a list, are errors.
func FindModel(list []byte, id string) ([]byte, *Error) {
	var found []byte
	d := jsontext.NewDecoder(bytes.NewReader(list))
	err := forEachField(d, func(name string) error {
		if name != "data" || d.PeekKind() != '[' {
			return d.SkipValue()
		}
		if _, err := d.ReadToken(); err != nil {
			return err
		}
		for d.PeekKind() != ']' {
			model, err := d.ReadValue()
			if err != nil {
				return err
			}
			if found == nil && modelID(model) == id {
				found = append(slices.Clone(model), '\n')
			}
		}
		_, err := d.ReadToken()
		return err
	})
	switch {
	case err != nil:
		return nil, &Error{Status: http.StatusBadGateway, Code: CodeUpstreamError, Message: msgUpstreamError}
	case found == nil:
		return nil, &Error{
			Status: http.StatusNotFound, Code: "model_not_found",
			Message: "There is no such model. GET /v1/models lists the models of this key.",
		}
	}
	return found, nil
}

// modelID returns the ID of an entry of the list of models, or "".
func modelID(model jsontext.Value) string {
	e, _ := decodeMetaEvent(model)
	text, _ := textOf(e.id.of(model))
	return text
}
