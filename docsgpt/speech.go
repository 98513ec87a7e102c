package docsgpt

import "net/http"

var (
	speechFields = []Field{{Name: "language"}}
	chunkFields  = []Field{
		{Name: "session_id", Required: true, Check: CheckSession},
		{Name: "chunk_index", Required: true, Check: CheckIndex},
		{Name: "is_silence"},
	}
	liveFields   = []Field{{Name: "language", Kinds: KindString | KindNull}}
	finishFields = []Field{{Name: "session_id", Kinds: KindString, Required: true, Check: CheckSession}}
	ttsFields    = []Field{{Name: "text", Kinds: KindString, Required: true}}
)

// speechEndpoints returns the endpoints for speech to text, from a recording or live, and for text to speech. DocsGPT
// before 1.0 serves text to speech without a key. The gate requires one anyway, since it costs money.
func (v *Version) speechEndpoints() []Endpoint {
	if v.Speech == SpeechNone {
		return nil
	}
	keyed := v.Speech == SpeechKeyed
	list := []Endpoint{{
		Name: "tts", Path: "/api/tts", Token: TokenQuery, Body: BodyJSON, Fields: ttsFields, AgentQuery: keyed,
	}}
	if v.Speech != SpeechOut {
		list = append(list,
			Endpoint{Name: "stt", Path: "/api/stt", Token: TokenForm, Body: BodyForm, Fields: speechFields, Files: 1},
			Endpoint{
				Name: "stt_live_start", Path: "/api/stt/live/start", Token: TokenQuery, Body: BodyJSON, Fields: liveFields,
				AgentQuery: true,
			},
			Endpoint{
				Name: "stt_live_chunk", Path: "/api/stt/live/chunk", Token: TokenForm, Body: BodyForm, Fields: chunkFields,
				Files: 1,
			},
			Endpoint{
				Name: "stt_live_finish", Path: "/api/stt/live/finish", Token: TokenQuery, Body: BodyJSON,
				Fields: finishFields, AgentQuery: true,
			},
		)
	}
	for i := range list {
		e := &list[i]
		e.Method, e.Group, e.ErrorFormat = http.MethodPost, GroupSpeech, FormatJSON
		e.Agents, e.Sources, e.UnsupportedMessage = true, !keyed, needsAgent
		if e.Name != "stt_live_start" { // all others wait for a model
			e.Class = ClassAnswer
		}
	}
	return list
}
