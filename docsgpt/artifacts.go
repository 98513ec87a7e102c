package docsgpt

import "net/http"

// artifactEndpoints returns the endpoints for files that an agent created in a conversation. DocsGPT serves them to any
// key that names the conversation; the gate requires a conversation of the same key.
func (v *Version) artifactEndpoints() []Endpoint {
	if v.Artifacts == ArtifactsNone {
		return nil
	}
	conversation := Param{Name: "conversation_id", Required: true, Check: CheckOwned}
	list := []Endpoint{
		{Name: "artifacts", Path: "/api/artifacts"},
		{Name: "artifact", Path: "/api/artifacts/{uuid}"},
		{Name: "artifact_version", Path: "/api/artifacts/{uuid}/versions/{number}"},
		{
			Name: "artifact_download", Path: "/api/artifacts/{uuid}/download", Download: true, Class: ClassAnswer,
			ResponseHeaders: []string{"Content-Disposition"},
		},
	}
	for i := range list {
		e := &list[i]
		e.Method, e.Group, e.Token, e.ErrorFormat = http.MethodGet, GroupArtifacts, TokenQuery, FormatJSON
		e.AgentQuery, e.AgentBearer = v.Artifacts == ArtifactsQuery, v.Artifacts == ArtifactsBearer
		e.Agents, e.UnsupportedMessage = true, needsAgent
		e.Params = []Param{conversation}
		if e.Download {
			e.Params = append(e.Params, Param{Name: "version", Check: CheckIndex})
		}
	}
	return list
}
