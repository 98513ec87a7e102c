package main

import "fmt"

// unsupported returns the error of Caddy's commands that cannot work in this binary, also for "help" about them, or "". They download Caddy from a server
// that does not build docsgate, and panic because its module is the program itself. Caddy has no way to remove a command.
func unsupported(args []string) string {
	if len(args) > 1 && args[0] == "help" {
		args = args[1:]
	}
	if len(args) == 0 {
		return ""
	}
	switch args[0] {
	case "upgrade":
		return "Error: docsgate cannot upgrade itself, because Caddy's download server does not build it; " +
			"replace the binary with a newer one, or build it with xcaddy"
	case "add-package", "remove-package":
		return fmt.Sprintf("Error: %s does not work in docsgate, because Caddy's download server does not build it; "+
			"add or remove the package in xcaddy.toml and run \"make xcaddy\"", args[0])
	}
	return ""
}
