package caddymodule

import (
	"errors"
	"fmt"
	"os"
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

// resolveReference is resolveSecret for the agents of keys, which users of the page and the API name. A file must be one:
// reading something else, such as a pipe, might wait for ever.
func resolveReference(placeholder string) (string, error) {
	name, _ := placeholderOf(placeholder)
	if path, ok := strings.CutPrefix(name, "file."); ok {
		if info, err := os.Stat(path); err != nil || !info.Mode().IsRegular() {
			return "", fmt.Errorf("%s is empty: the file cannot be read, or is none", placeholder)
		}
	}
	return resolveSecret(placeholder)
}
