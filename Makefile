# Every target starts from a fresh clone and does its own set-up; all are safe to run again.

.PHONY: demo test build lint bench golden clean

demo: build            ## the whole job on the shipped sample: ends with the path of a report
	node bin/run.js demo

test: build            ## unit tests, whole commands, crash and resume; ends with `N passed, N failed`
	scripts/setup-oracles
	node scripts/test.mjs

build: node_modules    ## TypeScript to dist/, and the command manifest
	@npm run --silent build

lint: build            ## formatting, lint rules and types (those of the workspace come from its build)
	npm run --silent lint

bench: build           ## every benchmark, each against a named peer in the same run
	npm run --silent bench

golden: build          ## the model against reference cases computed by Transformers
	npm run --silent golden -- eval/golden

# Not `npm ci`: it refuses a lock file without the optional packages of platforms that a registry does not carry.
node_modules: package.json package-lock.json
	npm install --no-save --no-audit --no-fund
	@touch node_modules

clean:
	rm -rf node_modules dist oclif.manifest.json runs
