package docsgpt

import (
	"strings"
	"testing"
)

func TestRequestID(t *testing.T) {
	for stream, want := range map[string]string{
		recorded: "r",
		"data: {\"type\": \"answer\", \"answer\": \"\\\"message_id\\\"\", \"request_id\": \"r\"}\n\n":                           "",
		"data: {\"type\": \"message_id\", \"conversation_id\": \"c\"}\n\n":                                                      "",
		"data: {\"type\": \"message_id\", \"conversation_id\": \"c\", \"request_id\": null}\n\n":                                "",
		"data: {\"type\": \"message_id\", \"conversation_id\": \"c\", \"request_id\": 5}\n\n":                                   "",
		"data: {\"type\": \"message_id\", \"conversation_id\": \"c\", \"request_id\": \"" + strings.Repeat("r", 65) + "\"}\n\n": "",
	} {
		f := SSEFilter{FindRequestID: true}
		if _, err := f.Filter(nil, []byte(stream)); err != nil || f.RequestID() != want {
			t.Errorf("%s: %q, want %q; %v", stream, f.RequestID(), want, err)
		}
	}
	f := SSEFilter{}
	if _, err := f.Filter(nil, []byte(recorded)); err != nil || f.RequestID() != "" {
		t.Errorf("without FindRequestID: %q, %v", f.RequestID(), err)
	}
}
