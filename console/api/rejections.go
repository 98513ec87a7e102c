package api

import (
	"net/http"
	"time"

	"github.com/docsgate/docsgate/keys/activity"
)

// defaultRejections is the default number of rejections in a response.
const defaultRejections = 100

// Rejection is a request that the gate has rejected, in a response.
type Rejection struct {
	At        time.Time `json:"at"`
	RequestID string    `json:"request_id"`
	Key       string    `json:"key,omitempty"`
	Endpoint  string    `json:"endpoint"`
	Reason    string    `json:"reason"`
}

// RejectionCount is the number of requests of a key that were rejected for a reason since the gate was started.
type RejectionCount struct {
	Reason   string    `json:"reason"`
	Requests uint64    `json:"requests"`
	Last     time.Time `json:"last"`
}

// Leak says since when a secret key is known to be visible in a web page, in a response.
type Leak struct {
	Since  time.Time `json:"since"`
	Origin string    `json:"origin,omitempty"`
}

func leakOrNil(l activity.Leak) *Leak {
	if l.Since.IsZero() {
		return nil
	}
	return &Leak{l.Since.UTC(), l.Origin}
}

func rejectionCounts(counts []activity.ReasonCount) []RejectionCount {
	list := make([]RejectionCount, len(counts))
	for i, c := range counts {
		list[i] = RejectionCount{c.Reason, c.Requests, c.Last.UTC()}
	}
	return list
}

// errNotRunning means that the API serves a store file, without a gate.
func errNotRunning(what string) error {
	return newProblem(http.StatusNotImplemented, "not_running", "Only a running gate knows "+what+".")
}

func (a *api) listRejections(w http.ResponseWriter, r *http.Request) error {
	values, err := query(r, "key", "request_id", "limit")
	if err != nil {
		return err
	}
	limit, err := number(values, "limit", defaultRejections, maxLimit)
	if err != nil {
		return err
	}
	if a.Service.Activity == nil {
		return errNotRunning("the requests that it has rejected")
	}
	response := struct {
		Rejections []Rejection `json:"rejections"`
	}{[]Rejection{}}
	for _, x := range a.Service.Activity.Rejections.Recent(values.Get("key"), values.Get("request_id"), int(limit)) {
		response.Rejections = append(response.Rejections, Rejection{x.At.UTC(), x.RequestID, x.Key, x.Endpoint, x.Reason})
	}
	writeJSON(w, http.StatusOK, response)
	return nil
}
