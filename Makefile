# Two commands for a fresh machine, each with its own set-up in .venv:
#
#   make demo     reconstruct the bundled sample; needs no screen and no GPU
#   make test     run the tests, including those with napari windows
#
# On Linux PyPI's torch includes several gigabytes of CUDA libraries. For the small CPU build use
#
#   make demo PIP_ARGS="--extra-index-url https://download.pytorch.org/whl/cpu"

PYTHON ?= $(firstword $(foreach name,python3 python3.13 python3.12 python3.11,$(if $(shell $(name) -c $(RECENT) 2>&1 || echo no),,$(name))))
PIP_ARGS ?=

RECENT := 'import sys; sys.exit(sys.version_info < (3, 11))'
BIN := .venv/bin
INSTALL := $(BIN)/python -m pip --disable-pip-version-check install -c constraints.txt $(PIP_ARGS)

# Packages that Qt needs on a virtual screen, on Debian or Ubuntu without a desktop.
SCREEN_PACKAGES := xvfb xauth libdbus-1-3 libegl1 libfontconfig1 libgl1 libgl1-mesa-dri libglib2.0-0 libgssapi-krb5-2 libopengl0 \
	libxcb-cursor0 libxcb-icccm4 libxcb-image0 libxcb-keysyms1 libxcb-randr0 libxcb-render-util0 libxcb-shape0 libxcb-xinerama0 \
	libxcb-xkb1 libxkbcommon-x11-0
XVFB := $(if $(filter Linux,$(shell uname -s)),xvfb-run -a)

.DEFAULT_GOAL := help
.DELETE_ON_ERROR:
.PHONY: help demo test lint clean screen

help: ## list the commands
	@sed -n 's/^\([a-z]*\):.*## /make \1 - /p' Makefile

demo: .venv/installed ## reconstruct the bundled sample into the folder demo
	$(BIN)/napari-drcr demo --output demo

test: screen .venv/installed-for-tests ## run the tests, on a virtual screen on Linux
	$(XVFB) $(BIN)/python -m pytest -n auto --dist worksteal

lint: .venv/installed-for-tests ## check style, types and layering
	$(BIN)/ruff check
	$(BIN)/ruff format --check
	$(BIN)/mypy
	$(BIN)/lint-imports

clean: ## remove .venv, the demo's results and all caches
	rm -rf .venv demo examples-output build dist .pytest_cache .mypy_cache .ruff_cache .import_linter_cache
	find src tests -name __pycache__ -prune -exec rm -rf {} +

# Each stamp is written last, so an interrupted installation is repeated.
.venv/pyvenv.cfg:
	@"$(PYTHON)" -c $(RECENT) 2>/dev/null || { echo 'napari-drcr needs Python 3.11 or newer: install it, or name it with "make PYTHON=/path/to/python3".' >&2; exit 1; }
	@"$(PYTHON)" -c 'import ensurepip' 2>/dev/null || sh .ci/debian-packages "$$("$(PYTHON)" -c 'import sys; print("python%d.%d-venv" % sys.version_info[:2])')"
	"$(PYTHON)" -m venv --clear .venv

# torch is installed first and alone, so that PIP_ARGS selects its build before another package requires it.
.venv/installed: .venv/pyvenv.cfg pyproject.toml constraints.txt
	$(INSTALL) torch
	$(INSTALL) -e .
	@touch $@

.venv/installed-for-tests: .venv/installed
	$(INSTALL) -e '.[all,test]'
	@touch $@

screen:
ifdef XVFB
	@sh .ci/debian-packages $(SCREEN_PACKAGES)
	@command -v xvfb-run >/dev/null || { echo 'The tests open windows on a virtual screen: install Xvfb with its script xvfb-run.' >&2; exit 1; }
endif
