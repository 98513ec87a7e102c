package main

import (
	"context"
	"crypto/sha256"
	"fmt"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
)

// startGateway starts a program of the comparison and waits until it accepts connections.
func (w *env) startGateway(ctx context.Context, g *gateway) (*proxy, error) {
	if g.mode == plain || g.mode == respond || g.mode.isGate() {
		return w.startProxy(ctx, g.mode, false)
	}
	if g.mode == forwardAuth {
		return w.startForwardAuth(ctx)
	}
	dir, err := os.MkdirTemp(w.dir, string(g.mode)+"-")
	if err != nil {
		return nil, err
	}
	address, err := freeAddress()
	if err != nil {
		return nil, err
	}
	var cmd *exec.Cmd
	switch g.mode {
	case nginxLua, nginxMap:
		cmd, err = nginxCommand(ctx, g.mode, dir, address, w.backend, w.options.procs)
	case envoy:
		cmd, err = envoyCommand(ctx, dir, address, w.backend, w.options.procs)
	case litellm:
		cmd, err = litellmCommand(ctx, dir, address, w.backend)
	case vllmRouter:
		cmd, err = vllmRouterCommand(ctx, dir, address, w.backend)
	case bare:
		cmd, err = bareCommand(ctx, address, w.backend, w.options.procs)
	case plain, respond, builtin, baseline, reverseProxy, sourceBound, fair, forwardAuth:
	}
	if err != nil {
		return nil, err
	}
	cmd.Dir = dir
	return launch(ctx, &proxy{mode: g.mode, address: address, cmd: cmd}, dir)
}

// startForwardAuth starts Caddy and the service that its forward_auth asks, whose CPU time counts, too.
func (w *env) startForwardAuth(ctx context.Context) (*proxy, error) {
	service, err := startSubprocess(ctx, roleAuth, "GOMAXPROCS="+strconv.Itoa(w.options.procs))
	if err != nil {
		return nil, err
	}
	line, err := service.out.ReadString('\n')
	if err != nil {
		service.stop()
		return nil, fmt.Errorf("starting the service of forward_auth: %w", err)
	}
	p, err := w.startWith(ctx, forwardAuth, false, func(address, admin string) string {
		return "{\n\tadmin " + admin + "\n\tpersist_config off\n\tauto_https off\n}\n\nhttp://" + address + " {\n" +
			"\tforward_auth " + strings.TrimSpace(line) + " {\n\t\turi /\n\t\tcopy_headers Authorization\n\t}\n" +
			"\treverse_proxy " + w.backend + "\n}\n"
	})
	if err != nil {
		service.stop()
		return nil, err
	}
	p.service = service
	return p, nil
}

// authService implements the service of forward_auth: it looks the digest of the bearer token up in a map with as many keys as the gate
// has, and responds with the header for DocsGPT.
func authService() http.Handler {
	known := map[[sha256.Size]byte]string{sha256.Sum256([]byte(goodToken)): agentKey}
	for i := range unusedKeys {
		known[sha256.Sum256([]byte(unusedToken(i)))] = agentKey
	}
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		token, _ := strings.CutPrefix(r.Header.Get("Authorization"), "Bearer ")
		key, ok := known[sha256.Sum256([]byte(token))]
		if !ok {
			w.WriteHeader(http.StatusUnauthorized)
			return
		}
		w.Header().Set("Authorization", "Bearer "+key)
	})
}

// nginxCommand returns nginx with as many workers as the others have threads.
func nginxCommand(ctx context.Context, mode proxyMode, dir, address, backend string, procs int) (*exec.Cmd, error) {
	program, err := findProgram("nginx")
	if err != nil {
		return nil, err
	}
	config := nginxMapConfig
	if mode == nginxLua {
		config = nginxLuaConfig
		if err := os.WriteFile(filepath.Join(dir, "gate.lua"), []byte(gateLua), 0o600); err != nil {
			return nil, err
		}
	}
	var digests, tokens strings.Builder
	fmt.Fprintf(&digests, "[\"%x\"] = \"%s\",\n", sha256.Sum256([]byte(goodToken)), agentKey)
	fmt.Fprintf(&tokens, "\t\t\"Bearer %s\" %s;\n", goodToken, agentKey)
	for i := range unusedKeys {
		fmt.Fprintf(&digests, "[\"%x\"] = \"%s\",\n", sha256.Sum256([]byte(unusedToken(i))), agentKey)
		fmt.Fprintf(&tokens, "\t\t\"Bearer %s\" %s;\n", unusedToken(i), agentKey)
	}
	if err := os.WriteFile(filepath.Join(dir, "keys.lua"), []byte("return {\n"+digests.String()+"}\n"), 0o600); err != nil {
		return nil, err
	}
	text := strings.NewReplacer("DIR", dir, "ADDRESS", address, "BACKEND", backend, "WORKERS", strconv.Itoa(procs),
		"TOKENS", tokens.String()).Replace(config)
	file := filepath.Join(dir, "nginx.conf")
	if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
		return nil, err
	}
	return exec.CommandContext(ctx, program, "-p", dir, "-e", filepath.Join(dir, "error.log"), "-c", file), nil
}

// envoyCommand returns Envoy with as many threads as the others.
func envoyCommand(ctx context.Context, dir, address, backend string, procs int) (*exec.Cmd, error) {
	program, err := findProgram("envoy")
	if err != nil {
		return nil, err
	}
	var credentials strings.Builder
	credential := func(id, token string) {
		fmt.Fprintf(&credentials, "              - {client: %s, key: %s}\n", id, token)
	}
	credential("bench", goodToken)
	for i := range unusedKeys {
		credential("other-"+strconv.Itoa(i), unusedToken(i))
	}
	host, port, _ := strings.Cut(address, ":")
	backendHost, backendPort, _ := strings.Cut(backend, ":")
	text := strings.NewReplacer("HOST", host, "PORT", port, "UPSTREAM_ADDRESS", backendHost, "UPSTREAM_NUMBER", backendPort,
		"AGENT_KEY", agentKey, "CREDENTIALS", credentials.String()).Replace(envoyConfig)
	file := filepath.Join(dir, "envoy.yaml")
	if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
		return nil, err
	}
	return exec.CommandContext(ctx, program, "-c", file, "--concurrency", strconv.Itoa(procs), "--disable-hot-restart",
		"--log-level", "warning"), nil
}

// litellmCommand returns LiteLLM's proxy with one worker and one key, since further keys need a database.
func litellmCommand(ctx context.Context, dir, address, backend string) (*exec.Cmd, error) {
	program, err := findProgram("litellm")
	if err != nil {
		return nil, err
	}
	file := filepath.Join(dir, "litellm.yaml")
	text := strings.NewReplacer("BACKEND", backend, "AGENT_KEY", agentKey, "TOKEN", goodToken).Replace(litellmConfig)
	if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
		return nil, err
	}
	host, port, _ := strings.Cut(address, ":")
	cmd := exec.CommandContext(ctx, program, "--config", file, "--host", host, "--port", port, "--telemetry", "False")
	cmd.Env = append(os.Environ(), "LITELLM_LOCAL_MODEL_COST_MAP=True", "LITELLM_LOG=ERROR", "HOME="+dir, "NO_DOCS=True")
	return cmd, nil
}
