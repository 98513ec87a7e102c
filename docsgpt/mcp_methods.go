package docsgpt

import "strings"

// logLevels are those of the protocol.
var logLevels = []string{"debug", "info", "notice", "warning", "error", "critical", "alert", "emergency"}

// method is an allowed method of clients.
type method struct {
	params []param
	result string // of a method that the gate answers itself; raw JSON, "": DocsGPT answers it
}

// methods are the allowed methods of a session, each with all allowed params. A key does not need other methods (completion,
// sampling, tasks), and each version of DocsGPT adds new ones. Clients request lists of prompts and resources, and set a log
// level, although the server does not advertise these: they get what a server without prompts, resources and logs responds.
var methods = map[string]method{
	"initialize": {params: []param{
		{name: "protocolVersion", kinds: KindString, required: true},
		{name: "capabilities", kinds: KindObject, required: true},
		{name: "clientInfo", kinds: KindObject, required: true},
		metaParam,
	}},
	"notifications/initialized": {params: []param{metaParam}},
	"notifications/cancelled": {params: []param{
		{name: "requestId", kinds: KindString | KindNumber},
		{name: "reason", kinds: KindString},
		metaParam,
	}},
	"ping":       {params: []param{metaParam}},
	"tools/list": listMethod(""),
	"tools/call": {params: []param{
		{name: "name", kinds: KindString, required: true, check: checkTool},
		{name: "arguments", kinds: KindObject, required: true, check: checkArguments},
		metaParam,
	}},
	"prompts/list":             listMethod(`"prompts":[]`),
	"resources/list":           listMethod(`"resources":[]`),
	"resources/templates/list": listMethod(`"resourceTemplates":[]`),
	"logging/setLevel": {result: "{}", params: []param{
		{name: "level", kinds: KindString, required: true, check: checkLogLevel},
		metaParam,
	}},
}

// statelessMethods are the allowed methods of requests without a session.
var statelessMethods = map[string]method{
	"server/discover":          {params: []param{metaParam}},
	"tools/list":               methods["tools/list"],
	"tools/call":               methods["tools/call"],
	"prompts/list":             statelessList("prompts/list"),
	"resources/list":           statelessList("resources/list"),
	"resources/templates/list": statelessList("resources/templates/list"),
}

// listMethod is a method that lists something. empty is the list in the result if the gate answers it itself.
func listMethod(empty string) method {
	m := method{params: []param{{name: "cursor", kinds: KindString}, metaParam}}
	if empty != "" {
		m.result = "{" + empty + "}"
	}
	return m
}

// statelessList is a method of that name whose result has the fields that the stateless protocol requires.
func statelessList(name string) method {
	m := methods[name]
	m.result = strings.TrimSuffix(m.result, "}") + `,"resultType":"complete","ttlMs":0,"cacheScope":"private"}`
	return m
}

// method returns what is allowed for the request's method.
func (c *Request) method() (m method, known bool) {
	if c.Stateless {
		m, known = statelessMethods[c.Method]
	} else {
		m, known = methods[c.Method]
	}
	return m, known
}

// Reply returns the response to a valid request that the gate answers itself, or nil if DocsGPT answers it.
func (c *Request) Reply() []byte {
	m, _ := c.method()
	if m.result == "" {
		return nil
	}
	out := append(appendID(nil, c.ID), `,"result":`...)
	return append(append(out, m.result...), "}\n"...)
}
