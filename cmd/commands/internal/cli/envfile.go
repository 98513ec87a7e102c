package cli

import (
	"bufio"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"

	"github.com/caddyserver/caddy/v2"
	"github.com/caddyserver/certmagic"
)

// LoadEnvFiles sets the variables of files, in their order, as the flag --envfile of Caddy's own commands does: a variable that is already set
// keeps its value. Errors contain no values. It changes the environment of the process, so it must be called before anything reads it.
func LoadEnvFiles(files []string) error {
	for _, name := range files {
		if err := loadEnvFile(name); err != nil {
			return fmt.Errorf("--envfile: %w", err)
		}
	}
	if len(files) > 0 {
		// Caddy has computed these paths from the environment before.
		caddy.ConfigAutosavePath = filepath.Join(caddy.AppConfigDir(), "autosave.json")
		caddy.DefaultStorage = &certmagic.FileStorage{Path: caddy.AppDataDir()}
	}
	return nil
}

func loadEnvFile(name string) error {
	f, err := os.Open(name)
	if err != nil {
		return err
	}
	defer f.Close()
	variables, err := parseEnvFile(f)
	if err != nil {
		return fmt.Errorf("%s: %w", name, err)
	}
	for _, v := range variables {
		if _, set := os.LookupEnv(v.name); set {
			continue
		}
		if os.Setenv(v.name, v.value) != nil { // the error would be about the name or the value
			return fmt.Errorf("%s: a name or a value is not valid in an environment", name)
		}
	}
	return nil
}

type variable struct{ name, value string }

// parseEnvFile returns the variables of a file as Caddy reads it, whose function is not exported: the checks must see what "docsgate run
// --envfile" sees, its treatment of # and of quotes included. The last of several lines for a name counts.
func parseEnvFile(r io.Reader) (variables []variable, err error) {
	position := map[string]int{}
	lines := bufio.NewScanner(r)
	for number := 1; lines.Scan(); number++ {
		line := strings.TrimSpace(lines.Text())
		if line == "" || strings.HasPrefix(line, "#") {
			continue
		}
		name, value, found := strings.Cut(line, "=")
		name = strings.TrimPrefix(name, "export ")
		switch {
		case !found:
			return nil, fmt.Errorf("line %d: write NAME=VALUE", number)
		case name == "" || strings.Contains(name, " "):
			return nil, fmt.Errorf("line %d: the name is empty or contains a space", number)
		case strings.HasPrefix(value, " ") || strings.HasPrefix(value, "\t"):
			return nil, fmt.Errorf("line %d: remove the white space after the =", number)
		}
		if text, _, comment := strings.Cut(value, "#"); comment {
			value = strings.TrimRight(text, " \t")
		}
		if strings.HasPrefix(value, `"`) || strings.HasPrefix(value, "'") {
			quote := value[:1]
			for !strings.HasSuffix(line, quote) || strings.HasSuffix(line, `\`+quote) {
				value = strings.ReplaceAll(value, `\`+quote, quote)
				if !lines.Scan() {
					break
				}
				number++
				line = strings.ReplaceAll(lines.Text(), `\`+quote, quote)
				value += "\n" + line
			}
			value = strings.TrimSuffix(strings.TrimPrefix(value, quote), quote)
		}
		if at, known := position[name]; known {
			variables[at].value = value
			continue
		}
		position[name] = len(variables)
		variables = append(variables, variable{name, value})
	}
	if lines.Err() != nil {
		return nil, errors.New("a line is too long, or the file cannot be read")
	}
	return variables, nil
}
