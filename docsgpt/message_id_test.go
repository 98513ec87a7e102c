package docsgpt

import (
	"net/http"
	"strings"
	"testing"

	"github.com/docsgate/docsgate/internal/alloctest"
)

const aMessage = "3f0d8a52-0b8a-4c7a-9a55-0c9c2f1d7a10"

func TestMessageID(t *testing.T) {
	for data, want := range map[string]string{
		`{"type": "message_id", "message_id": "` + aMessage + `", "conversation_id": "c", "request_id": "r"}`: aMessage,
		`{"conversation_id":"c","message_id":"` + aMessage + `","type":"message_id"}`:                         aMessage,

		`{"type": "message_id", "message_id": "` + strings.ToUpper(aMessage) + `", "conversation_id": "c"}`: aMessage,

		`{"type": "message_id", "message_id": "00000000-0000-0000-0000-000000000000", "conversation_id": "c"}`: "",
		`{"type": "message_id", "message_id": "m", "conversation_id": "c"}`:                                    "",
		`{"type": "message_id", "message_id": "../../../` + aMessage[9:] + `", "conversation_id": "c"}`:        "",
		`{"type": "message_id", "message_id": "` + aMessage[:35] + `/", "conversation_id": "c"}`:               "",
		`{"type": "message_id", "message_id": "` + aMessage[:35] + `\u0030", "conversation_id": "c"}`:          "",
		`{"type": "message_id", "message_id": "3f0d8a520b8a04c7a09a5500C9C2F1D7A10000", "conversation_id":""}`: "",
		`{"type": "message_id", "message_id": ["` + aMessage + `"], "conversation_id": "c"}`:                   "",
		`{"type": "message_id", "message_id": {"message_id": "` + aMessage + `"}, "conversation_id": "c"}`:     "",
		`{"type": "message_id", "conversation_id": "` + aMessage + `"}`:                                        "",
		`{"type": "message_id", "message_id": "` + aMessage + `", "conversation_id": "c"`:                      "",
		`{"type": "answer", "answer": "{\"type\": \"message_id\", \"message_id\": \"` + aMessage + `\"}"}`:     "",
		`{"type": "id", "id": "c", "message_id": "` + aMessage + `"}`:                                          "",
	} {
		var f SSEFilter
		if _, err := f.Filter(nil, []byte("id: 0\ndata: "+data+"\n\n")); err != nil {
			t.Fatal(err)
		}
		if got := f.MessageID().String(); got != want {
			t.Errorf("%s: %q, want %q", data, got, want)
		}
		if f.MessageID().IsZero() != (want == "") {
			t.Errorf("%s: IsZero is %v", data, f.MessageID().IsZero())
		}
	}
}

func TestMessageIDIsTheFirst(t *testing.T) {
	var f SSEFilter
	for _, id := range []string{aMessage, "11111111-0000-0000-0000-000000000000"} {
		event := `data: {"type": "message_id", "message_id": "` + id + `", "conversation_id": "c"}` + "\n\n"
		if _, err := f.Filter(nil, []byte(event)); err != nil {
			t.Fatal(err)
		}
	}
	if got := f.MessageID().String(); got != aMessage {
		t.Errorf("%q", got)
	}
}

func TestMessageIDDoesNotAllocate(t *testing.T) {
	data := []byte(`{"type": "message_id", "message_id": "` + aMessage + `", "conversation_id": "c"}`)
	f := SSEFilter{conversation: "c"}
	n := alloctest.MinAllocs(100, func() {
		f.message = MessageID{}
		f.inspect(leadingType(data), data)
	})
	if n > 0 || f.MessageID().String() != aMessage {
		t.Errorf("%v allocations, ID %v", n, f.MessageID())
	}
}

func TestCancelOutcome(t *testing.T) {
	for _, c := range []struct {
		status int
		body   string
		want   CancelOutcome
	}{
		// Recorded from DocsGPT 1.1.0.
		{http.StatusAccepted, `{"success":true}`, CancelAccepted},
		{http.StatusConflict, `{"message":"The answer is not running","success":false}`, CancelFinished},
		{http.StatusNotFound, `{"message":"Message not found","success":false}`, CancelNotFound},
		{http.StatusUnauthorized, `{"message":"Unauthorized","success":false}`, CancelForbidden},
		{http.StatusUnauthorized, `{"error":"invalid_token","message":"Authentication error: invalid token"}`, CancelForbidden},
		{http.StatusForbidden, `{"error":"not_available_to_tokens","message":"This endpoint cannot be called with a personal access token","success":false}`, CancelForbidden},
		{http.StatusServiceUnavailable, `{"message":"Stopping is unavailable right now","success":false}`, CancelFailed},
		{http.StatusNotFound, "<!doctype html>\n<title>404 Not Found</title>", CancelUnsupported},

		// Other servers, such as a next handler that does not serve the path.
		{http.StatusOK, "", CancelUnsupported},
		{http.StatusOK, `{"success":false}`, CancelUnsupported},
		{http.StatusAccepted, `{"success":true`, CancelUnsupported},
		{http.StatusFound, "", CancelUnsupported},
		{http.StatusMethodNotAllowed, "", CancelUnsupported},
		{http.StatusConflict, "", CancelUnsupported},
		{http.StatusBadGateway, "", CancelFailed},
	} {
		if got := CancelOutcomeOf(c.status, []byte(c.body)); got != c.want {
			t.Errorf("%d %s: %v, want %v", c.status, c.body, got, c.want)
		}
	}
}
