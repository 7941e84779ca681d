# `make help` lists the targets. `make test` and `make demo` install what they need and this machine lacks.

STATICCHECK_VERSION := v0.8.2
FUZZTIME ?= 10m
CHAOS ?= 200
CHAOS_FLAGS ?=
DEMO_FLAGS ?=
HOSTILE_FLAGS ?=
ACCEPTANCE_FLAGS ?=
BENCH_FLAGS ?=
# A test that hangs is a failure with a stack trace, not a build that never ends.
TEST_FLAGS ?= -race -timeout 12m
# The tests of these packages mostly wait, for servers and for time to pass: a dozen at a time they take half.
UNIT_FLAGS ?= -parallel 12
# -p: packages compiled and tested at a time; the servers of the tests want the rest of a small machine.
# No VCS stamp: it fails in a checkout that belongs to another user.
export GOFLAGS ?= -p=2 -buildvcs=false

CACHE := $(or $(BRIDGE_CACHE),$(or $(XDG_CACHE_HOME),$(HOME)/.cache)/dartwing-bridge)
STATICCHECK := $(CACHE)/bin/staticcheck-$(STATICCHECK_VERSION)
SOURCES := bridge cmd frappe integration rqcompat testdata
# Those whose tests run side by side.
UNITS := ./bridge/... ./cmd/... ./frappe/... ./rqcompat/...
MODULES = $(patsubst ./%/go.mod,%,$(shell find ./integration -name go.mod -not -path '*/node_modules/*'))

.DEFAULT_GOAL := help
.PHONY: help build setup lint unit test demo acceptance bench million chaos anything fairness races hostile fuzz clean check-go

help: ## list the targets
	@sed -n 's/^\([a-z-]*\):.*## \(.*\)/  make \1\t\2/p' $(MAKEFILE_LIST) | expand -t 20

check-go:
	@command -v go >/dev/null 2>&1 || { \
		echo "make: Go is not installed; version $$(sed -n 's/^go //p' go.mod) or later is needed: https://go.dev/dl" >&2; exit 1; }
	@go version >/dev/null || { echo "make: this Go cannot build the module; go.mod asks for $$(sed -n 's/^go //p' go.mod)" >&2; exit 1; }

build: check-go ## build bin/bridge
	@# -w: without debugging symbols, a quarter of the size; stack traces and profiles don't need them.
	go build -trimpath -ldflags=-w -o bin/bridge ./cmd/bridge

setup: check-go ## install what is missing: Debian packages, Python environments, Node modules, staticcheck
	@bash integration/scripts/setup.sh $(STATICCHECK_VERSION)

lint: setup ## gofmt, go mod tidy, go vet, staticcheck
	@unformatted=$$(gofmt -l $(SOURCES)); \
		[ -z "$$unformatted" ] || { echo "not gofmt-clean; run gofmt -w on:" >&2; echo "$$unformatted" >&2; exit 1; }
	@set -e; for module in . $(MODULES); do \
		echo "lint $$module"; (cd $$module && go mod tidy -diff && go vet ./... && $(STATICCHECK) ./...); done

unit: check-go ## the fast tests only, without the race detector
	go test -short $(UNIT_FLAGS) $(UNITS)

test: lint ## everything CI runs: lint, then all tests with the race detector
	go test $(TEST_FLAGS) $(UNIT_FLAGS) $(UNITS)
	go test $(TEST_FLAGS) -p 1 ./integration/hostile ./integration/servers/...
	@echo 'test integration and $(MODULES), two at a time: they mostly wait'
	@printf '%s\n' 'integration .' $(MODULES:%='% ./...') | xargs -P 2 -L 1 sh -c 'cd "$$0" && go test $(TEST_FLAGS) "$$1"'

demo: setup build ## a dozen jobs on private servers, with live progress bars; DEMO_FLAGS=--stay to look around
	@go build -C integration/demo -trimpath -o ../../bin/demo . && bin/demo --bridge bin/bridge $(DEMO_FLAGS)

acceptance: build ## try the bridge on a real bench: BENCH=/home/frappe/frappe-bench SITE=site1.localhost, ACCEPTANCE_FLAGS=--help
	@go build -C integration/acceptance -trimpath -o ../../bin/acceptance . && \
		bin/acceptance --bridge bin/bridge $(if $(BENCH),--bench '$(BENCH)') $(if $(SITE),--site '$(SITE)') $(ACCEPTANCE_FLAGS)

bench: setup ## measure against RQ and asynq on this machine; prints a table and JSON
	@cd integration/bench && go run . $(BENCH_FLAGS)

million: setup ## with a million jobs: lists, cards and reports of the desk, hot queries, submit, claim, explain, clean up, an idle bridge: what each reads and takes
	BRIDGE_TEST_JOBS=1000000 go test -count=1 -v -p 1 -timeout 45m -run 'TestNothingReadsAllJobs|TestHotQueries|TestAmongManyJobs' ./frappe/documents ./frappe/rows ./bridge

chaos: setup build ## kill, cut and freeze bridges and their servers, two hours, and write what became of the jobs into integration/chaos/CERTIFICATE.md; CHAOS_FLAGS=--help
	@go build -C integration/chaos -trimpath -o ../../bin/chaos . && \
		bin/chaos --bridge bin/bridge $(or $(CHAOS_FLAGS),--certificate integration/chaos/CERTIFICATE.md)

anything: setup ## what the tests do a few times, CHAOS (200) times, or for so many seconds: bridges killed, idle Python workers, anything at once
	BRIDGE_TEST_CHAOS=$(CHAOS) go test -count=1 -v -timeout 3h -run 'TestKilledWithAJobInHand|TestIdlePythonWorkerOnASharedQueue|TestAnythingMayHappen|TestGuard' ./integration

fairness: setup ## turns, weights and caps at full size, four minutes: what an organization notices of another's ten thousand jobs
	BRIDGE_TEST_FAIRNESS=100 go test -count=1 -v -timeout 30m \
		-run 'TestOneJobBehindTenThousand|TestWeightsHold|TestCapsHoldAcrossProcesses|TestAFullTenantDelaysNobody' ./bridge

races: setup ## 10,000 parents that end while children are added, 10,000 children of one job, and 10,000 retries and timed jobs of one moment
	BRIDGE_TEST_RACES=10000 BRIDGE_TEST_CHILDREN=10000 BRIDGE_TEST_DUE=10000 \
		go test -count=1 -v -timeout 30m -run 'TestParentsThatEnd|TestFanOutAndFanIn|TestManyRetriesAreDue|TestManyRunAfterTheSameSecond' ./bridge

hostile: setup build ## attack the bridge on private servers, ten minutes: what its neighbours notice; HOSTILE_FLAGS=--help
	@go build -trimpath -o bin/hostile ./integration/hostile && bin/hostile --bridge bin/bridge $(HOSTILE_FLAGS)

fuzz: check-go ## run each fuzz target for FUZZTIME (10m)
	@bash integration/scripts/fuzz.sh $(FUZZTIME)

clean: ## remove what was built, and the cache of test environments
	rm -rf bin $(CACHE)
