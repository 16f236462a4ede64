# Every target starts from a fresh clone and does its own set-up; all are safe to run again.

.PHONY: demo test build compile native libtorch oracles tensorflow lint bench conformance golden clean

demo: libtorch build   ## the whole job on the shipped sample: ends with the path of a report
	node bin/run.js demo

test: oracles build tensorflow    ## unit tests, whole commands, crash and resume; ends with `N passed, N failed`
	node scripts/test.mjs

build: compile native  ## TypeScript to dist/ and the command manifest; the torch backend where there is a libtorch

compile: node_modules
	@npm run --silent build

# Takes a few minutes the first time; then nothing until its sources or libtorch change. Without it: wasm.
native: node_modules
	@npm run --silent build:native -w @mswitch/tfjs-backend-torch -- --if-possible

# A Python environment with libtorch where there is none yet, and what tests compare with; all of it optional.
libtorch: node_modules
	@scripts/setup-python torch

oracles: node_modules
	@scripts/setup-python oracles

# TensorFlow's own backend, made once in the user's cache; without it its tests are left out.
tensorflow: compile
	@node scripts/hasTensorFlow.mjs || node bin/run.js setup tfjs-node || echo "optional, not made: tfjs-node. Its tests will skip." >&2

lint: compile          ## formatting, lint rules and types (those of the workspace come from its build)
	npm run --silent lint

bench: build           ## every benchmark, each against a named peer in the same run
	npm run --silent bench

conformance: build     ## TensorFlow.js's own tests of every operation, on the torch backend
	npm run --silent conformance

golden: build          ## the model against reference cases computed by Transformers
	npm run --silent golden -- eval/golden

# Not `npm ci`: it refuses a lock file without the optional packages of platforms that a registry does not carry.
node_modules: package.json package-lock.json
	npm install --no-save --no-audit --no-fund
	@touch node_modules

clean:
	rm -rf node_modules dist oclif.manifest.json runs packages/*/dist packages/*/build
