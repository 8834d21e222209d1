# Needs Go and make only; tools are pinned in go.mod.
GO ?= go
BIN = bin/esxiplan

.PHONY: help build demo test lint security bench crash fuzz boot docs clean

help: ## show the targets
	@grep -E '^[a-z]+:.*##' $(MAKEFILE_LIST) | sed 's/:.*## /\t/' | expand -t 10

build: ## build bin/esxiplan
	CGO_ENABLED=0 $(GO) build -trimpath -o $(BIN) ./cmd/esxiplan

demo: build ## install six simulated servers, from bare to proven
	$(BIN) rehearse plans/demo.hcl

test: ## run all tests
	$(GO) test ./...

lint: ## gofmt, vet, staticcheck, licenses of dependencies
	@test -z "$$(gofmt -l cmd engine steps schema plans testdata)" || { gofmt -l cmd engine steps schema plans testdata; echo "run gofmt -w on these files"; exit 1; }
	$(GO) vet ./... ./testdata/bench/... ./testdata/licenses
	$(GO) tool staticcheck ./... ./testdata/bench/... ./testdata/licenses
	$(GO) run ./testdata/licenses

security: ## known vulnerabilities (govulncheck), gosec, two builds that must be equal; says what could not be had
	GO="$(GO)" testdata/security/check.sh

# Start-up after years of work at a large site: testdata/bench/startup -runs 5000 -long 200 (2 GB of disk, some minutes).
bench: build ## measure validate up to 10,000 hosts, runs of 50, 300 and 1,000, start-up with old runs, media of 400 MB, a storm of faults, discover, round trips to the restart, a flooded media server, the live view
	$(GO) run ./testdata/bench/validate -esxiplan $(BIN)
	$(GO) run ./testdata/bench -esxiplan $(BIN)
	$(GO) run ./testdata/bench/startup -runs 500 -long 20
	$(GO) run ./testdata/bench/media -esxiplan $(BIN)
	$(GO) run ./testdata/bench/bmc -esxiplan $(BIN)
	$(GO) run ./testdata/bench/wire -esxiplan $(BIN)
	$(GO) run ./testdata/bench/serve -esxiplan $(BIN)
	$(GO) run ./testdata/bench/live -esxiplan $(BIN)

KILLS = 200
STAGES = 60
ENDS = 30
crash: build ## kill runs at KILLS=200 events and resume them, five stages at STAGES=60; end others by TERM, by HUP and by a disk that is full, at ENDS=30 each
	$(GO) run ./testdata/bench/crash -esxiplan $(BIN) -points $(KILLS) -resume
	$(GO) run ./testdata/bench/crash -esxiplan $(BIN) -points $(STAGES) -stages
	$(GO) run ./testdata/bench/crash -esxiplan $(BIN) -points $(ENDS) -signal TERM -resume
	$(GO) run ./testdata/bench/crash -esxiplan $(BIN) -points $(ENDS) -signal HUP
	$(GO) run ./testdata/bench/crash -esxiplan $(BIN) -points $(ENDS) -full -resume

FUZZ = 1000000x
DAMAGED = 200000x
fuzz: ## run the fuzz tests of images, kickstarts, boot.cfg, lock files, BMC answers, links and texts, what goes into CI logs, Markdown and reports, paths of untrusted plans, saved plans, and logs, FUZZ=1000000x each
	$(GO) test -run '^$$' -fuzz FuzzLint -fuzztime $(FUZZ) -fuzzminimizetime 1x ./engine/media/kickstart
	$(GO) test -run '^$$' -fuzz FuzzBootConfig -fuzztime $(FUZZ) -fuzzminimizetime 1x ./engine/media
	$(GO) test -run '^$$' -fuzz FuzzOverlay -fuzztime 50000x ./engine/media/iso
	$(GO) test -run '^$$' -fuzz FuzzExtendedInfo -fuzztime $(FUZZ) ./engine/bmc
	$(GO) test -run '^$$' -fuzz FuzzPath -fuzztime $(FUZZ) ./engine/bmc
	$(GO) test -run '^$$' -fuzz FuzzClean -fuzztime $(FUZZ) ./engine/text
	$(GO) test -run '^$$' -fuzz FuzzMarkup -fuzztime $(DAMAGED) -fuzzminimizetime 1x ./engine/text
	$(GO) test -run '^$$' -fuzz FuzzEscape -fuzztime $(DAMAGED) -fuzzminimizetime 1x ./cmd/internal/view/markdown
	$(GO) test -run '^$$' -fuzz FuzzPack -fuzztime $(DAMAGED) -fuzzminimizetime 1x ./cmd/internal/view/report
	$(GO) test -run '^$$' -fuzz FuzzDecode -fuzztime $(DAMAGED) -fuzzminimizetime 1x ./engine/proposal
	$(GO) test -run '^$$' -fuzz FuzzUntrustedPath -fuzztime $(DAMAGED) -fuzzminimizetime 1x ./schema
	$(GO) test -run '^$$' -fuzz FuzzLockFiles -fuzztime $(FUZZ) ./engine/state
	$(GO) test -run '^$$' -fuzz FuzzDamagedRecordings -fuzztime $(DAMAGED) -fuzzminimizetime 1x ./engine/bmc/vendors
	$(GO) test -run '^$$' -fuzz FuzzLog -fuzztime $(DAMAGED) -fuzzminimizetime 1x ./engine/log

boot: build ## boot virtual machines from served images (needs QEMU; says what is missing)
	testdata/qemu/boot.sh $(BIN)

docs: build ## write steps/README.md and engine/bmc/README.md
	$(BIN) doc --markdown > steps/README.md
	$(BIN) doc vendors > engine/bmc/README.md

clean: ## remove what was built
	rm -rf bin
