package docsgpttest

import (
	"net/http"
	"slices"
)

// Names of the protocol without sessions.
const (
	statelessProtocol = "2026-07-28"
	protocolHeader    = "Mcp-Protocol-Version"
	metaPrefix        = "io.modelcontextprotocol/"
)

// sessionProtocols are the versions of the protocol that have sessions.
var sessionProtocols = []string{"2024-11-05", "2025-03-26", "2025-06-18", "2025-11-25"}

// isStateless reports whether a request has a protocol version without sessions, or an unknown one.
func isStateless(r *request) bool {
	version := r.Header.Get(protocolHeader)
	return r.Method == http.MethodPost && version != "" && !slices.Contains(sessionProtocols, version)
}

// mcpStateless is a request of a client without a session. Responses are JSON, except that of the tool, where DocsGPT chooses.
func (b *Backend) mcpStateless(w http.ResponseWriter, r *request) {
	value, err := decodeJSON(r.sent)
	message, isObject := value.(map[string]any)
	if err != nil || !isObject {
		writeRPCError(w, http.StatusBadRequest, rpcParse, "Parse error")
		return
	}
	id, method := message["id"], text(message["method"])
	params, _ := message["params"].(map[string]any)
	meta, _ := params["_meta"].(map[string]any)
	version, hasVersion := meta[metaPrefix+"protocolVersion"].(string)
	_, able := meta[metaPrefix+"clientCapabilities"].(map[string]any)
	asked := r.Header.Get(protocolHeader)
	switch {
	case !hasVersion || !able:
		writeStateless(w, http.StatusBadRequest, id, "error", object{{"code", rpcParams}, {"message", "params._meta must be an object"}})
	case version != asked:
		writeMismatch(w, id)
	case asked != statelessProtocol:
		writeStateless(w, http.StatusBadRequest, id, "error", object{
			{"code", -32022},
			{"message", "Unsupported protocol version"},
			{"data", object{{"supported", []any{statelessProtocol}}, {"requested", asked}}},
		})
	case r.Header.Get("Mcp-Method") != method, method == "tools/call" && r.Header.Get("Mcp-Name") != text(params["name"]):
		writeMismatch(w, id)
	case id == nil:
		writeBody(w, http.StatusAccepted, "application/json", nil)
	case method == "tools/call":
		b.callTool(w, r, id, params)
	default:
		b.statelessResult(w, id, method)
	}
}

func (b *Backend) statelessResult(w http.ResponseWriter, id any, method string) {
	var result any
	switch method {
	case "server/discover":
		result = object{
			{"supportedVersions", []any{statelessProtocol}},
			{"capabilities", object{
				{"logging", object{}},
				{"prompts", object{{"listChanged", false}}},
				{"resources", object{{"subscribe", false}, {"listChanged", false}}},
				{"tools", object{{"listChanged", false}}},
				{"extensions", object{{metaPrefix + "ui", object{}}}},
			}},
			{"resultType", "complete"},
			{"ttlMs", 0},
			{"cacheScope", "private"},
			{"_meta", object{{metaPrefix + "serverInfo", object{{"name", "docsgpt"}, {"version", "4.1.2"}}}}},
		}
	case "tools/list":
		list, _, _ := mcpResult(method, nil)
		result = append(list.(object), object{{"resultType", "complete"}, {"ttlMs", 0}, {"cacheScope", "private"}}...)
	default:
		writeStateless(w, http.StatusNotFound, id, "error", object{{"code", rpcMethod}, {"message", "Method not found"}, {"data", method}})
		return
	}
	writeStateless(w, http.StatusOK, id, "result", result)
}

// resultType returns the field that a result without a session has in addition.
func resultType(r *request) object {
	if isStateless(r) {
		return object{{"resultType", "complete"}}
	}
	return nil
}

func writeMismatch(w http.ResponseWriter, id any) {
	writeStateless(w, http.StatusBadRequest, id, "error", object{
		{"code", -32020}, {"message", "mcp-method header does not match the request body's method"},
	})
}

func writeStateless(w http.ResponseWriter, status int, id any, name string, value any) {
	body := dialect{comma: ",", colon: ":", raw: true}.dumps(object{{"jsonrpc", "2.0"}, {"id", id}, {name, value}})
	writeBody(w, status, "application/json", body)
}
