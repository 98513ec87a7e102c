package cli

import (
	"encoding/json"
	"regexp"
	"strings"
)

// caddyContext matches the steps that Caddy puts before the cause of an error. They name modules and positions in its JSON, which a
// Caddyfile does not have.
var caddyContext = regexp.MustCompile(`^(?:loading (?:initial |new )?config|loading \S+ app module|provision [\w.]+|server [\w.-]+|` +
	`setting up (?:route handlers|subroutes)|route \d+|loading handler modules|position \d+|loading (?:module '[^']*'|http app)|` +
	`http app module|docsgate app module|start|adapting config using \w+|sending configuration to instance|performing request|` +
	`reading config from file|reading config file|caddy responded with error|HTTP \d+): `)

// causes are causes of errors that need another text, with what to do. The texts of docsgate's own errors say it themselves.
var causes = []struct {
	pattern     *regexp.Regexp
	reason, fix string
}{
	{
		regexp.MustCompile(`listen \S+ (\S+): bind: address already in use`), "another process uses the address $1",
		"Stop that process, or choose another port: \"ss -ltnp\" lists the processes. If it is docsgate or Caddy, \"docsgate reload\" gives it a new configuration.",
	},
	{
		regexp.MustCompile(`listen \S+ (\S+): bind: permission denied`), "this user may not listen on $1",
		"Use a port from 1024 on, or give the process the capability CAP_NET_BIND_SERVICE, for example in its systemd unit.",
	},
	{
		regexp.MustCompile(`listen \S+ (\S+): bind: cannot assign requested address`), "this machine does not have the address $1",
		"Correct the address in bind or in the site's address.",
	},
	{
		regexp.MustCompile(`.*the environment variable (\w+) is not set.*`), "the environment variable $1 is not set",
		"Set it where docsgate is started: in the shell, in an EnvironmentFile of the systemd unit, or in the compose file.",
	},
	{
		regexp.MustCompile(`^(?:open|stat) (\S+): no such file or directory$`), "the file $1 does not exist",
		"Correct its path; a relative path begins in the current directory.",
	},
	{
		regexp.MustCompile(`^open (\S+): permission denied$`), "this user may not read the file $1",
		"Give the user of docsgate the permission to read it.",
	},
	{regexp.MustCompile(`^caddy process exited with error: .*`), "its process has ended", "The reason is above."},
	{
		regexp.MustCompile(`^(?:Post|Get) "https?://([^/"]+)[^"]*": dial .*connect: connection refused$`), "no docsgate accepts commands at $1",
		"Start docsgate with \"docsgate run\", or specify its admin endpoint with --address.",
	},
}

// Explain returns the cause of an error of Caddy without the steps before it, and what to do if the cause does not say that. Neither
// ends with a full stop if it does not contain one.
func Explain(text string) (reason, fix string) {
	for {
		if at := caddyContext.FindString(text); at != "" {
			text = text[len(at):]
			continue
		}
		var response struct{ Error string } // of the admin endpoint
		if strings.HasPrefix(text, "{") && json.Unmarshal([]byte(text), &response) == nil && response.Error != "" {
			text = response.Error
			continue
		}
		break
	}
	for _, c := range causes {
		if at := c.pattern.FindStringSubmatchIndex(text); at != nil {
			return string(c.pattern.ExpandString(nil, c.reason, text, at)), c.fix
		}
	}
	return text, ""
}
