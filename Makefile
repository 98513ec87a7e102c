# The tasks of docsgate. `make help` lists them. `make demo` needs only Go; `make test` checks or installs what it needs.

SHELL := /bin/bash
.SHELLFLAGS := -eu -o pipefail -c
.DEFAULT_GOAL := help
.NOTPARALLEL:

# One set of flags for everything that compiles without the race detector, so that building, vetting and linting share the
# build cache. They are those of xcaddy: static, without local paths, and without the databases that only Caddy's certificate
# authority can use.
TAGS        := nobadger,nomysql,nopgx
BUILD_ENV   := CGO_ENABLED=0
BUILD_FLAGS := -trimpath -tags=$(TAGS)
LINT_ENV    := $(BUILD_ENV) GOFLAGS="$$(go env GOFLAGS) -trimpath"
# The version of a release, or of the commit; empty outside of a checkout, where the program says "devel".
VERSION     ?= $(shell git describe --tags --match 'v[0-9]*' --dirty 2>/dev/null || \
                 git describe --always --exclude '*' --dirty 2>/dev/null | sed 's/^/devel-/')
LDFLAGS     := -w -s -X github.com/docsgate/docsgate/internal/buildinfo.release=$(VERSION)
TOOL        := go tool -modfile=tools/go.mod

# FUZZTIME is the duration of each fuzz target, ARGS the arguments of `make demo`, `make bench` and `make e2e-docsgpt`, BENCH
# the pattern of `make bench`.
FUZZTIME ?= 10s
ARGS     ?=
BENCH    ?= .

# The Python with the Flask that the differential tests compare with; scripts/provision.sh installs it.
export DOCSGATE_PYTHON ?= $(CURDIR)/.cache/venv/bin/python
export DOCSGATE_BIN    ?= $(CURDIR)/bin/docsgate

heading = @printf '\n==> %s\n' '$(1)'

.PHONY: help
help: ## List the tasks
	@awk 'BEGIN { FS = ":.*## " } /^[a-z0-9-]+:.*## / { printf "  %-12s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)

.PHONY: demo
demo: ## Run a demo of the gate with a fake DocsGPT and a page with the widget (needs only Go)
	@$(BUILD_ENV) go run $(BUILD_FLAGS) ./cmd/docsgate demo $(ARGS)

.PHONY: demo-cluster
demo-cluster: build ## Run three gates with PostgreSQL, Redis and a load balancer, and a page that shows a key revoked at all (PORT, default 8080)
	@scripts/demo-cluster.sh $(PORT)

.PHONY: test
test: provision fmt-check vet lint test-go xcaddy build test-allocs test-cluster test-valkey fuzz vuln e2e e2e-packages e2e-docsgpt ## Run all checks and tests, as continuous integration does
	@printf '\nall steps of make test passed\n'

.PHONY: provision
provision: ## Check or install what the tests need (also runs before test-go, fuzz and e2e)
	$(call heading,provision: requirements of the tests)
	@scripts/provision.sh

.PHONY: build
build: ## Build bin/docsgate
	$(call heading,build: bin/docsgate)
	$(BUILD_ENV) go build $(BUILD_FLAGS) -ldflags='$(LDFLAGS)' -o bin/docsgate ./cmd/docsgate

.PHONY: package
package: build ## Build a .deb and an .rpm in bin/packages
	$(call heading,package: bin/packages)
	rm -rf bin/packages
	scripts/package.sh bin/docsgate "$$(go env GOARCH)" '$(VERSION)' bin/packages

.PHONY: dashboard
dashboard: ## Build the Grafana dashboard in examples/monitoring
	$(BUILD_ENV) go run -C tools -trimpath ./dashboard >examples/monitoring/docsgate-dashboard.json

.PHONY: xcaddy
xcaddy: build ## Build bin/caddy from xcaddy.toml, and check its modules
	$(call heading,xcaddy: bin/caddy from xcaddy.toml)
	go run ./cmd/xcaddy-build -config xcaddy.toml -output bin/caddy
	scripts/check-modules.sh bin/caddy bin/docsgate

.PHONY: fmt
fmt: ## Format all Go files
	$(LINT_ENV) $(TOOL) golangci-lint fmt

.PHONY: fmt-check
fmt-check:
	$(call heading,gofmt)
	@files="$$(find . \( -name node_modules -o -name '.?*' \) -prune -o -name '*.go' -print0 | xargs -0 gofmt -l)"; \
	if [[ -n "$$files" ]]; then echo "not formatted; run make fmt:"; echo "$$files"; exit 1; fi

.PHONY: vet
vet:
	$(call heading,go vet)
	$(LINT_ENV) go vet -tags=$(TAGS) ./...
	$(BUILD_ENV) go build -C tools -trimpath -o ../bin/crosscheck ./crosscheck
	bin/crosscheck windows darwin -- ./...

.PHONY: lint
lint: ## Run the linters of .golangci.yml, and that of the workflows
	$(call heading,golangci-lint)
	$(LINT_ENV) $(TOOL) golangci-lint run --build-tags=$(TAGS) ./...
	$(BUILD_ENV) go tool -modfile=tools/release/go.mod actionlint

.PHONY: test-go
test-go: provision ## Run the Go tests with the race detector
	$(call heading,go test -race)
	go test -race -shuffle=on -timeout=20m $$(go list ./... | grep -v '/e2e/cluster$$')

.PHONY: test-allocs
test-allocs: ## Compare the allocations of the request path with their limits, without the race detector, which changes them
	$(call heading,allocations of the request path)
	$(BUILD_ENV) go test $(BUILD_FLAGS) -v -run='^TestHandlerAllocations$$' ./bench
	$(BUILD_ENV) go test $(BUILD_FLAGS) -run='Alloc' ./keys ./ownership/signedid

.PHONY: test-cluster
test-cluster: provision build ## Run several gates with PostgreSQL servers that fail (CLUSTER_OPERATIONS=n, CLUSTER_SEED=n)
	$(call heading,several gates)
	go test -race -count=1 -timeout=30m -v ./e2e/cluster

.PHONY: test-valkey
test-valkey: provision build ## Run the tests of shared limits with Valkey instead of Redis
	$(call heading,Valkey)
	@program="$$(scripts/valkey-install.sh)"; "$$program" --version; export DOCSGATE_REDIS="$$program"; \
	go test -race -count=1 -timeout=10m ./sharedlimits ./ratelimit/sharedrate ./inflight/shares ./keys/quota/sharedquota; \
	go test -race -count=1 -timeout=10m -run=Shared ./caddymodule; \
	go test -race -count=1 -timeout=10m -run='Redis|Quotas' ./e2e/cluster

.PHONY: fuzz
fuzz: provision ## Run every fuzz target for FUZZTIME (10s)
	$(call heading,fuzz: each target for $(FUZZTIME))
	@FUZZTIME='$(FUZZTIME)' scripts/fuzz.sh

.PHONY: vuln
vuln: ## Check the code and its dependencies for known vulnerabilities
	$(call heading,govulncheck)
	@$(LINT_ENV) scripts/vuln.sh -tags=$(TAGS)

.PHONY: e2e
e2e: provision build ## Run the widgets in a browser, and SDKs, against bin/docsgate with a fake DocsGPT
	$(call heading,end to end)
	@scripts/e2e.sh npm test

.PHONY: e2e-docsgpt
e2e-docsgpt: provision build ## Run the widgets, SDKs and attacks against bin/docsgate with a real DocsGPT
	$(call heading,end to end with a real DocsGPT)
	@scripts/e2e.sh node run-docsgpt.mjs $(ARGS)

.PHONY: docs
docs: ## Serve the documentation as a web site on this machine, and rebuild pages that change
	@scripts/npm-packages.sh docs
	@cd docs && npm run dev

.PHONY: e2e-packages
e2e-packages: provision build ## Install, upgrade, roll back and remove the packages in a root file system of Debian
	$(call heading,packages)
	@scripts/e2e.sh npm run test:packages

.PHONY: bench
bench: ## Run the Go benchmarks (BENCH=pattern) and the comparison with plain Caddy (ARGS=...)
	go test -run='^$$' -bench='$(BENCH)' -benchmem ./...
	go run ./bench $(ARGS)

.PHONY: clean
clean: ## Remove the files that the tasks created in this folder
	rm -rf bin dist .cache docs/node_modules docs/.vitepress/cache docs/.vitepress/dist e2e/node_modules e2e/.cache e2e/output
