package docsgpttest

// ToolResult is the result of every simulated tool call.
const ToolResult = "the result of a tool"

// toolCall reports the call of a tool, before it is run and after.
func (e *eventWriter) toolCall(s faults, name string) bool {
	call := aToolCall(name)
	return e.send(object{{"type", "tool_call"}, {"data", append(call, member{"status", "pending"})}}) &&
		pause(e.r.Context(), s.gap) &&
		e.send(object{{"type", "tool_call"}, {"data", append(call, member{"result", ToolResult}, member{"status", "completed"})}})
}

// toolCalls is the list of all calls that an answer ends with.
func toolCalls(s faults) []any {
	list := []any{}
	for _, name := range []string{s.tool, s.lateTool} {
		if name != "" {
			list = append(list, append(aToolCall(name), member{"result", ToolResult}, member{"status", "completed"}))
		}
	}
	return list
}

func aToolCall(name string) object {
	return object{{"tool_name", name}, {"call_id", "call-1"}, {"action_name", name + "_view"}, {"arguments", object{{"path", "/"}}}}
}
