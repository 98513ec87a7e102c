package app

import (
	"fmt"

	"go.uber.org/zap"

	"github.com/docsgate/docsgate/docsgpt"
)

// Values of the option upstream_tools. The default is the empty string.
const (
	ToolsNone  = "none"  // DocsGPT offers no tools to the account of upstream_token
	ToolsAllow = "allow" // clients may use the tools of the account of upstream_token
)

func checkUpstreamTools(value string) error {
	switch value {
	case "", ToolsNone, ToolsAllow:
		return nil
	}
	return fmt.Errorf("upstream_tools must be none or allow, not %q", value)
}

// ToolsFix says how to disable the tools of the account of upstream_token.
const ToolsFix = "set DEFAULT_CHAT_TOOLS=none in DocsGPT, use a separate account without tools for upstream_token, and add " +
	"upstream_tools none to the docsgate options. To let clients share the tools of the account, add upstream_tools allow"

// warnOfTools logs, once per shared state, that clients may be able to use the tools of an account. Versions without accounts
// (0.13 and older) have the same tools for every chat. DocsGPT is not queried, since a configuration must load while it is
// unavailable.
func (b *Backend) warnOfTools() {
	if b.UpstreamTools != "" || !b.version.Accounts || b.token.IsZero() || b.state.toolsWarned.Swap(true) {
		return
	}
	b.logger.Warn("questions with keys that are bound to sources run in DocsGPT as the account of upstream_token, and DocsGPT may offer "+
		"the model tools of that account: by default a memory that all clients share, a web page reader, and scheduled tasks. "+
		"A response with a tool call ends with the error "+docsgpt.CodeToolsNotAllowed+", but DocsGPT still executes the call",
		zap.String("fix", ToolsFix))
}
