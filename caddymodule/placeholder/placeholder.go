// Package placeholder resolves secrets that the configuration refers to as {env.NAME} or {file.PATH}.
package placeholder

import (
	"errors"
	"fmt"
	"os"
	"strings"

	"github.com/caddyserver/caddy/v2"
)

// ErrPlaintext is the error for a secret that is in the configuration itself.
var ErrPlaintext = errors.New("a secret must not be in the configuration: set it in an environment variable and use " +
	"{env.NAME} (not {$NAME}, which adds it to the stored configuration), or in a file and use {file.PATH}")

// Parse returns the name in text, which must be exactly one placeholder {env.NAME} or {file.PATH}.
func Parse(text string) (name string, ok bool) {
	name, opened := strings.CutPrefix(text, "{")
	name, closed := strings.CutSuffix(name, "}")
	kind, rest, _ := strings.Cut(name, ".")
	return name, opened && closed && rest != "" && !strings.ContainsAny(rest, "{}\r\n") && (kind == "env" || kind == "file")
}

// Secret returns the value of a placeholder {env.NAME} or {file.PATH}. Its errors contain neither the value nor a
// text that is not a placeholder, which may be the secret itself.
func Secret(placeholder string) (string, error) {
	name, ok := Parse(placeholder)
	if !ok {
		return "", ErrPlaintext
	}
	value, known := caddy.NewReplacer().GetString(name)
	value = strings.TrimRight(value, "\r\n")
	if !known || value == "" {
		if variable, env := strings.CutPrefix(name, "env."); env {
			return "", fmt.Errorf("%s is empty: the environment variable %s is not set", placeholder, variable)
		}
		return "", fmt.Errorf("%s is empty: the file is empty or cannot be read", placeholder)
	}
	for _, c := range []byte(value) {
		if c <= 0x20 || c >= 0x7f {
			return "", fmt.Errorf("%s contains characters that are not valid in keys and tokens (spaces, line breaks or others)", placeholder)
		}
	}
	return value, nil
}

// Reference is Secret for the agents of keys, which users of the console and the API specify. It rejects files
// that are not regular, since reading a pipe could block forever.
func Reference(placeholder string) (string, error) {
	name, _ := Parse(placeholder)
	if path, ok := strings.CutPrefix(name, "file."); ok {
		if info, err := os.Stat(path); err != nil || !info.Mode().IsRegular() {
			return "", fmt.Errorf("%s is empty: the file cannot be read, or is not a regular file", placeholder)
		}
	}
	return Secret(placeholder)
}
