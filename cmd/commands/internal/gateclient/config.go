package gateclient

import (
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"

	"github.com/caddyserver/caddy/v2/caddyconfig"
)

// DefaultConfig is the name of the configuration file that is read from the current directory if no other is named.
const DefaultConfig = "Caddyfile"

// ReadConfig returns the configuration as JSON, adapted if necessary, and the name of its file. Both are empty without --config and
// without a Caddyfile in the current directory. It does what Caddy's LoadConfig does, without its log output.
func ReadConfig(file, adapter string) (config []byte, name string, err error) {
	name = file
	if name == "" {
		name = DefaultConfig
	}
	config, err = os.ReadFile(name)
	if file == "" && errors.Is(err, fs.ErrNotExist) {
		return nil, "", nil
	}
	if err != nil {
		return nil, "", fmt.Errorf("reading the configuration: %w", err)
	}
	base := strings.ToLower(filepath.Base(name))
	if adapter == "" && filepath.Ext(base) != ".json" &&
		(strings.HasPrefix(base, "caddyfile") || strings.HasSuffix(base, ".caddyfile")) {
		adapter = "caddyfile"
	}
	if adapter == "" {
		if !json.Valid(config) {
			return nil, "", fmt.Errorf("the configuration %s is not JSON: name its config adapter with --adapter", name)
		}
		return config, name, nil
	}
	configAdapter := caddyconfig.GetAdapter(adapter)
	if configAdapter == nil {
		return nil, "", fmt.Errorf("unrecognized config adapter %q", adapter)
	}
	adapted, _, err := configAdapter.Adapt(config, map[string]any{"filename": name})
	if err != nil {
		return nil, "", fmt.Errorf("adapting the configuration %s: %w", name, err)
	}
	return adapted, name, nil
}
