# SPDX-FileCopyrightText: 2026 The kontenumfs authors
# SPDX-License-Identifier: Apache-2.0
# `make demo` and `make test` install what they need themselves.

.PHONY: demo test lint bench spool-campaign spool-bench spool-outage docs lock setup

demo: setup
	.venv/bin/python -m kontenumfs demo

test: setup
	.venv/bin/python -m pytest -q --numprocesses 3 --dist loadgroup

lint: setup
	.venv/bin/ruff check
	.venv/bin/ruff format --check
	.venv/bin/mypy

bench: setup
	.venv/bin/python -m bench.writing
	.venv/bin/python -m bench.open_files
	.venv/bin/python -m bench.emulator
	.venv/bin/python -m bench.tree --large 10000 100000
	.venv/bin/python -m bench.appenders
	.venv/bin/python -m bench.appenders --lost

# Many kills and power cuts of a mount that spools: what make test does 20 times. Half an hour.
spool-campaign: setup
	KONTENUMFS_CUTS=200 .venv/bin/python -m pytest -q tests/store/spool/test_power_cuts.py
	KONTENUMFS_KILLS=500 .venv/bin/python -m pytest -q -s tests/mount/test_spool_kills.py

# The spool beside rclone's cache at 20 ms; the store away for ten minutes while programs write.
spool-bench: setup
	.venv/bin/python -m bench.spool
spool-outage: setup
	.venv/bin/python -m bench.outage

# The manual pages and the tables in docs/, from the parsers and the table of options.
docs: setup
	.venv/bin/python -m kontenumfs manual --write docs

setup:
	@.ci/setup

# Pins with hashes; needs uv on the PATH.
lock:
	uv pip compile --quiet --universal --generate-hashes --no-header --no-annotate \
	    --no-emit-index-url --no-emit-find-links --extra dev pyproject.toml .ci/build.in \
	    --output-file requirements.lock
