package caddymodule

import (
	"errors"
	"fmt"
	"strings"

	"github.com/caddyserver/caddy/v2"
)

var errClearSecret = errors.New("a secret must not stand here in clear: put it into an environment variable and write " +
	"{env.NAME} (not {$NAME}, which puts it into the stored configuration), or into a file and write {file.PATH}")

// placeholderOf returns the name in a text that is exactly one placeholder {env.NAME} or {file.PATH}.
func placeholderOf(text string) (name string, ok bool) {
	name, opened := strings.CutPrefix(text, "{")
	name, closed := strings.CutSuffix(name, "}")
	kind, rest, _ := strings.Cut(name, ".")
	return name, opened && closed && rest != "" && !strings.ContainsAny(rest, "{}\r\n") && (kind == "env" || kind == "file")
}

// resolveSecret returns what a placeholder {env.NAME} or {file.PATH} stands for. Its errors name the placeholder and
// never what stands in its place: a text that is no placeholder may be the secret itself.
func resolveSecret(placeholder string) (string, error) {
	name, ok := placeholderOf(placeholder)
	if !ok {
		return "", errClearSecret
	}
	value, known := caddy.NewReplacer().GetString(name)
	value = strings.TrimRight(value, "\r\n")
	if !known || value == "" {
		if variable, env := strings.CutPrefix(name, "env."); env {
			return "", fmt.Errorf("%s is empty: the environment variable %s is not set", placeholder, variable)
		}
		return "", fmt.Errorf("%s is empty: the file cannot be read, or has nothing in it", placeholder)
	}
	for _, c := range []byte(value) {
		if c <= 0x20 || c >= 0x7f {
			return "", fmt.Errorf("%s holds characters that no key or token has (blanks, line ends or others)", placeholder)
		}
	}
	return value, nil
}
