package commands

import (
	caddycmd "github.com/caddyserver/caddy/v2/cmd"

	"github.com/docsgate/docsgate/cmd/commands/democmd"
	"github.com/docsgate/docsgate/cmd/commands/doctorcmd"
	"github.com/docsgate/docsgate/cmd/commands/healthcmd"
	"github.com/docsgate/docsgate/cmd/commands/initcmd"
	"github.com/docsgate/docsgate/cmd/commands/keyscmd"
)

func init() {
	caddycmd.RegisterCommand(keyscmd.Command())
	caddycmd.RegisterCommand(doctorcmd.Command())
	caddycmd.RegisterCommand(democmd.Command())
	caddycmd.RegisterCommand(docsgptSQLCommand())
	caddycmd.RegisterCommand(explaining(healthcmd.Command()))
	caddycmd.RegisterCommand(initcmd.Command())
}
