# make test is all that is needed before a change; make check is the rest of
# what .ci/run does. Everything but Chromium comes with the Go module.

GO        ?= go
# A clone that belongs to somebody else must build too; releases set the version.
GOFLAGS   ?= -buildvcs=false
VERSION   ?=
PACKAGES  ?= ./...
FUZZTIME  ?= 20s
BENCH     ?= .
EVAL      ?= testdata/labelled/dev.jsonl
DEMO      ?=
ROUNDS    ?= 5
export GOFLAGS

.PHONY: build test test-forums check fmt vet staticcheck vuln config race bench bench-crawl fuzz eval demo install-services clean

build: ## the binary, in bin/
	$(GO) build -trimpath -ldflags "-s -w $(if $(VERSION),-X main.version=$(VERSION))" -o bin/qingyuan ./cmd/qingyuan

test: install-services vet ## all tests; brings up what they need
	scripts/services run $(GO) test -timeout 30m $(PACKAGES)

test-forums: ## crawls WordPress and Isso too, installed and started for it; Debian, as root
	scripts/forums run $(GO) test ./crawler -run RealForum -count 1

check: fmt vet staticcheck vuln config ## everything that is not a test

fmt:
	@files=$$(gofmt -l .); test -z "$$files" || { echo "not formatted; run gofmt -w on:"; echo "$$files"; exit 1; }

vet:
	$(GO) vet $(PACKAGES)

staticcheck:
	$(GO) tool staticcheck $(PACKAGES)

vuln: ## known vulnerabilities in what is called; says so when the database is out of reach
	GO="$(GO)" scripts/vuln $(PACKAGES)

config: ## config, sites, dictionaries and their examples
	$(GO) run ./cmd/qingyuan check

race: install-services ## all tests under the race detector; needs a C compiler
	CGO_ENABLED=1 scripts/services run $(GO) test -timeout 40m -race $(PACKAGES)

bench: ## make bench BENCH=Classify PACKAGES=./classify
	scripts/services run $(GO) test -run '^$$' -bench '$(BENCH)' -benchmem $(PACKAGES)

bench-crawl: ## the crawl beside colly, goquery and Scrapy, and a frontier of a million URLs: make bench-crawl ROUNDS=5
	GO="$(GO)" scripts/bench-crawl $(ROUNDS)

fuzz: ## every fuzz target for FUZZTIME
	GO="$(GO)" scripts/fuzz $(FUZZTIME) $(PACKAGES)

eval: ## verdicts against labelled texts: make eval EVAL=FILE.jsonl
	$(GO) run ./cmd/qingyuan eval $(EVAL)

demo: ## make demo DEMO='-lang en'
	$(GO) run ./cmd/qingyuan demo $(DEMO)

install-services: ## what the tests need besides Go, when missing: Chromium, a Chinese font, Fossil
	@scripts/setup

clean: ## what a build leaves; never the data folder
	rm -rf bin
