# Needs Go and make only; tools are pinned in go.mod.
GO ?= go
BIN = bin/esxiplan

.PHONY: help build demo test lint bench docs clean

help: ## show the targets
	@grep -E '^[a-z]+:.*##' $(MAKEFILE_LIST) | sed 's/:.*## /\t/' | expand -t 10

build: ## build bin/esxiplan
	CGO_ENABLED=0 $(GO) build -trimpath -o $(BIN) ./cmd/esxiplan

demo: build ## install six simulated servers, from bare to proven
	$(BIN) rehearse plans/demo.hcl

test: ## run all tests
	$(GO) test ./...

lint: ## gofmt, vet, staticcheck
	@test -z "$$(gofmt -l cmd engine steps schema plans)" || { gofmt -l cmd engine steps schema plans; echo "run gofmt -w on these files"; exit 1; }
	$(GO) vet ./...
	$(GO) tool staticcheck ./...

bench: build ## measure a run of 300 simulated hosts, and the overlay
	$(GO) run ./testdata/bench -esxiplan $(BIN)
	$(GO) test -run '^$$' -bench . -benchtime 200x ./engine/media

docs: build ## write steps/README.md
	$(BIN) doc --markdown > steps/README.md

clean: ## remove what was built
	rm -rf bin
