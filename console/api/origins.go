package api

import (
	"net/http"
	"time"
)

// OriginUse is the use of a key on the pages of a web origin, in a response.
type OriginUse struct {
	Origin   string    `json:"origin"`
	Requests uint64    `json:"requests"`
	First    time.Time `json:"first"`
	Last     time.Time `json:"last"`
}

// OriginList is a response with the web origins that a key was used on, the most frequent first.
type OriginList struct {
	Origins []OriginUse `json:"origins"`
	Dropped bool        `json:"dropped"` // there were more than the gate records
}

func (a *api) listOrigins(w http.ResponseWriter, r *http.Request) error {
	if _, err := query(r); err != nil {
		return err
	}
	key, err := a.Service.Show(r.Context(), r.PathValue("id"))
	if err != nil {
		return err
	}
	if a.Service.Activity == nil {
		return errNotRunning("the pages that a key is used on")
	}
	uses, dropped := a.Service.Activity.Origins.Of(key.ID)
	response := OriginList{Origins: make([]OriginUse, len(uses)), Dropped: dropped}
	for i, u := range uses {
		response.Origins[i] = OriginUse{u.Origin, u.Requests, u.First.UTC(), u.Last.UTC()}
	}
	writeJSON(w, http.StatusOK, response)
	return nil
}
