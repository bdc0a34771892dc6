GO      ?= go
PKG     := ./...
TOOL    := $(GO) tool -modfile=.ci/tools/go.mod
FUZZ    ?= 10s
VERSION ?=

# The brokers that tests embed are heavy, so their tests are a module of their own.
BUSES := engine/source/bustest

# The tests that only run with -tags e2e.
E2E := TestReal|TestBuiltProgram|TestMemory|TestE2E|TestNginx|TestApache|TestEnvoy|TestGoReplay|TestMitmdump|TestCurl|TestWhatGoesWrong|TestBodiesThatAreNotSent|TestProductionDoesNotNotice

.PHONY: help build test lint demo e2e bench proof fuzz golden

help: ## show this list
	@awk -F ':.*## ' '/^[a-z0-9]+:.*## / { printf "  make %-8s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)

build: ## build bin/shadowaudit
	CGO_ENABLED=0 $(GO) build -trimpath -ldflags '-s -w -X main.release=$(VERSION)' -o bin/shadowaudit ./cmd/shadowaudit

demo: ## show a first report: recorded traffic, a sound baseline, a faulty candidate
	@$(GO) run ./cmd/shadowaudit demo

test: ## run all tests, with the race detector
	$(GO) test -race -shuffle=on -timeout 10m $(PKG)
	cd $(BUSES) && $(GO) test -race -shuffle=on -timeout 5m ./...

lint: ## gofmt, vet, staticcheck, govulncheck, tidiness, fresh generated files
	@test -z "$$(gofmt -l .)" || { echo 'not formatted with gofmt:'; gofmt -l .; exit 1; }
	$(GO) vet $(PKG)
	$(TOOL) staticcheck $(PKG)
	$(GO) mod tidy -diff
	cd $(BUSES) && $(GO) vet ./... && $(GO) mod tidy -diff
	$(GO) generate $(PKG)
	git diff --exit-code
	$(GO) test -run TestImports ./cmd/shadowaudit
	@.ci/govulncheck

e2e: ## drive the built program and real components from end to end
	$(GO) test -race -tags e2e -count 1 -timeout 15m -v -run '$(E2E)' $$(ls -d */*/e2e_test.go */*/*/e2e_test.go | xargs -n1 dirname | sed 's,^,./,')

bench: ## print the performance table
	@$(GO) test -run '^$$' -bench . -benchmem $(PKG) | awk '/^(pkg:|Benchmark|---|FAIL|panic)/ { sub(/^pkg: [^ ]*shadowaudit\//, "\n"); print } /^(---|FAIL|panic)/ { bad = 1 } END { exit bad }'

proof: ## print how often gates are wrong, and what they find
	$(GO) test -count 1 -timeout 30m -v -run 'TestSimulation|TestOther|TestTripsRarely' ./engine/judge -full
	$(GO) test -count 1 -timeout 15m -v -tags e2e -run 'TestRealEqualBuilds|TestRealRegressions|TestRealScrubbingBreaksNothing' ./cmd/shadowaudit -full

fuzz: ## run each fuzz target for FUZZ (default 10s)
	@for pkg in $$($(GO) list $(PKG)); do \
		for target in $$($(GO) test -list '^Fuzz' $$pkg | grep '^Fuzz'); do \
			echo "$$pkg $$target"; \
			$(GO) test -run '^$$' -fuzz "^$$target$$" -fuzztime $(FUZZ) $$pkg || exit 1; \
		done; \
	done

golden: ## rewrite golden files; read the diff before you commit it
	$(GO) generate $(PKG)
	@for dir in $$(git grep -l 'flag.Bool("update"' -- '*_test.go' | xargs -n1 dirname | sort -u); do $(GO) test ./$$dir -update || exit 1; done
