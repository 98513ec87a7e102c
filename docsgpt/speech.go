package docsgpt

import "net/http"

var (
	speechFields = []Field{{Name: "language"}}
	chunkFields  = []Field{
		{Name: "session_id", Required: true, Check: CheckSession},
		{Name: "chunk_index", Required: true, Check: CheckIndex},
		{Name: "is_silence"},
	}
	liveMembers   = []Field{{Name: "language", Kinds: KindString | KindNull}}
	finishMembers = []Field{{Name: "session_id", Kinds: KindString, Required: true, Check: CheckSession}}
	ttsMembers    = []Field{{Name: "text", Kinds: KindString, Required: true}}
)

// speechEndpoints are speech to text, at once or live, and back. Before 1.0 DocsGPT speaks for anybody; at the gate a
// key is needed all the same, since it costs.
func (v *Version) speechEndpoints() []Endpoint {
	if v.Speech == SpeechNone {
		return nil
	}
	keyed := v.Speech == SpeechKeyed
	list := []Endpoint{{
		Name: "tts", Path: "/api/tts", Token: PlaceQuery, Body: BodyJSON, Members: ttsMembers, AgentQuery: keyed,
	}}
	if v.Speech != SpeechOut {
		list = append(list,
			Endpoint{Name: "stt", Path: "/api/stt", Token: PlaceForm, Body: BodyForm, Members: speechFields, Files: 1},
			Endpoint{
				Name: "stt_live_start", Path: "/api/stt/live/start", Token: PlaceQuery, Body: BodyJSON, Members: liveMembers,
				AgentQuery: true,
			},
			Endpoint{
				Name: "stt_live_chunk", Path: "/api/stt/live/chunk", Token: PlaceForm, Body: BodyForm, Members: chunkFields,
				Files: 1,
			},
			Endpoint{
				Name: "stt_live_finish", Path: "/api/stt/live/finish", Token: PlaceQuery, Body: BodyJSON,
				Members: finishMembers, AgentQuery: true,
			},
		)
	}
	for i := range list {
		e := &list[i]
		e.Method, e.Group, e.Shape = http.MethodPost, GroupSpeech, ShapeJSON
		e.Agents, e.Sources, e.UnsupportedMessage = true, !keyed, needsAgent
		if e.Name != "stt_live_start" { // all others wait for a model
			e.Class = ClassAnswer
		}
	}
	return list
}
