# Woven's commands. `make help` lists them; what they do is in Go, in test/e2e/cluster and in the tests.

SHELL := /bin/bash
.DEFAULT_GOAL := help

CLUSTER := .sandbox/bin/cluster
TOOL    := go tool -modfile=tools/go.mod
# Tests that need OVN's own programs find those of the images here: OVN=26.03, or OVN=25.03.
OVN_BIN := $(CURDIR)/.sandbox/ovn/bin

# Packages whose memory several goroutines share: workers of the controller, calls and watches of the daemon.
RACY := ./pkg/group ./pkg/pool ./pkg/reconcile ./pkg/ovs/... ./pkg/host/... ./pkg/cni/... ./cmd/daemon ./cmd/controller

# How many inputs each fuzz target gets. A time is possible too (FUZZTIME=1h), but Go before 1.27 may then end with "context deadline
# exceeded" and no finding (go.dev/issue/75804).
FUZZTIME ?= 5000x

# One setting for every build: programs and tests share the compiler's cache, and the images need static programs.
export CGO_ENABLED := 0
export NODES VM_NODES IP_FAMILY CNI CENTRAL OVN SUITE FOCUS
export KUBECONFIG := $(CURDIR)/.sandbox/kubeconfig

.PHONY: help
help: ## list these commands
	@awk -F ':.*## ' '/^##@/ {printf "\n%s\n", substr($$0, 5)} /^[a-z0-9-]+:.*## / {printf "  %-12s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

##@ A cluster on this machine (test/e2e/cluster/README.md)

.PHONY: up down reload status demo
up: $(CLUSTER) ## start it: NODES=3 VM_NODES=0 IP_FAMILY=ipv4|ipv6|dual CNI=woven|bridge|none CENTRAL=1|3 OVN=26.03|25.03
	$(CLUSTER) up
down: $(CLUSTER) ## end it, and check that nothing of it is left
	$(CLUSTER) down
reload: $(CLUSTER) ## put changed Go code into it
	$(CLUSTER) reload
status: $(CLUSTER) ## show it on one screen
	$(CLUSTER) status
demo: $(CLUSTER) ## print the matrix of who reaches whom
	$(CLUSTER) demo

# Go knows best whether the program is up to date.
.PHONY: $(CLUSTER)
$(CLUSTER):
	@mkdir -p $(@D)
	@go -C test/e2e/cluster build -o $(CURDIR)/$@ ./cmd/cluster

##@ Tests

.PHONY: unit race fuzz oracle e2e helm conformance short test test-kernel bench scale lint
unit: deps ## unit tests, goldens, tests in network namespaces and on real OVSDB servers
	PATH=$(OVN_BIN):$$PATH go test -timeout=20m -parallel=4 ./...
	go vet -tags oracle,e2e ./...
	go -C test/e2e/cluster test ./internal/...
race: deps ## the packages whose memory several goroutines share, under the race detector
	PATH=$(OVN_BIN):$$PATH CGO_ENABLED=1 go test -race -timeout=20m -parallel=4 $(RACY)
# go test takes one target at a time, and the first run compiles all dependencies anew, to count coverage in them. FuzzConverge
# is left out: each input has a database of its own.
fuzz: ## look for inputs that fail: FUZZTIME=5000x; what is found is kept in testdata, and fails `make unit` from then on
	@grep -rE --include='*_test.go' '^func Fuzz' pkg | grep -v FuzzConverge | sed -E 's|^(.*)/[^/]*:func (\w+).*|\1 \2|' | \
		while read -r dir target; do \
			go test -run '^$$' -fuzz "^$$target\$$" -fuzztime $(FUZZTIME) "./$$dir" </dev/null || exit 1; done
oracle: deps ## the rows on real OVN: northd and ovn-trace: FOCUS=TestName
	PATH=$(OVN_BIN):$$PATH go test -tags oracle -count=1 -run '$(or $(FOCUS),Oracle)' ./pkg/... ./cmd/...
e2e: ## end-to-end tests on the running cluster: FOCUS=TestName, in any case
	go test -tags e2e -count=1 -timeout=40m -v ./test/e2e $(if $(FOCUS),-run '(?i)$(FOCUS)')
helm: ## the chart in Helm's hands on the running cluster: uninstall, install, upgrade, rollback
	WOVEN_E2E_HELM=1 go test -tags e2e -count=1 -timeout=20m -v ./test/e2e -run '^TestHelm$$'
conformance: $(CLUSTER) ## upstream suites: SUITE=all|short|conformance|sig-network|policy|slow|disruptive|policy-api FOCUS=
	$(CLUSTER) conformance
bench: ## ADD and DEL beside the bridge plugin's, policies and endpoints, and the row engine's benchmarks
	go run ./test/e2e/bench
	go run ./test/e2e/bench/latency
	go test -run '^$$' -bench . ./pkg/ovs/...
scale: ## what many nodes, Subnets and pods cost on the running cluster: FAKE_NODES=20 SUBNETS=10 PODS=2000 JSON=file
	go run ./test/e2e/scale -nodes=$(or $(FAKE_NODES),20) -subnets=$(or $(SUBNETS),10) -pods=$(or $(PODS),2000) -json=$(JSON)
# The programs of Kubernetes and its tests (cmd/kube, cmd/e2e, cmd/policyapi) are shims, and to check them would take all of
# Kubernetes through the linters.
lint: ## golangci-lint, with all build tags, and in the module of the local cluster
	go tool -modfile=tools/lint/go.mod golangci-lint run --allow-parallel-runners ./...
	cd test/e2e/cluster && go tool -modfile=$(CURDIR)/tools/lint/go.mod golangci-lint run --allow-parallel-runners \
		./internal/... ./cmd/cluster ./cmd/guest ./cmd/pause
short: $(CLUSTER)
	SUITE=short $(CLUSTER) conformance
test-kernel: ## what the kernel does, on a cluster with a virtual machine: too slow for `make test`
	$(MAKE) up NODES=2 VM_NODES=1
	$(MAKE) e2e FOCUS=kernel
test: lint verify unit race oracle up e2e short helm ## everything that CI runs

##@ Making

.PHONY: deps generate verify images clean
deps: $(CLUSTER) ## what tests need of this machine: packages with apt-get, OVN's programs in .sandbox/ovn: OVN=26.03|25.03
	$(CLUSTER) deps
generate: ## write what is generated: deep copies, CRDs, models, manifest
	go generate ./...
	$(TOOL) helm template woven charts/woven --namespace kube-system --include-crds > yamls/woven.yaml
verify: generate ## fail if that changes anything
	@git diff --exit-code --stat || { echo 'run make generate and commit the result'; exit 1; }
images: $(CLUSTER) ## build the two images into .sandbox/images
	$(CLUSTER) images
clean: down ## end the cluster and remove .sandbox (the machine's cache stays: ~/.cache/woven)
	rm -rf .sandbox
