# Copyright (c) 2026, the PVC cluster authors
# SPDX-License-Identifier: GPL-3.0-or-later
#
# Every target does its own set-up. `make help` lists them.

SHELL := /bin/bash
.SHELLFLAGS := -euo pipefail -c
.DEFAULT_GOAL := help
.DELETE_ON_ERROR:

PYTHON ?= python3
VENV := $(CURDIR)/.venv
BIN := $(VENV)/bin
LINK := collections/ansible_collections/pvc/cluster
export PATH := $(BIN):$(PATH)

.PHONY: help
help:  ## list the targets
	@sed -En 's/^([a-z-]+):.*## (.*)/  make \1\t\2/p' $(MAKEFILE_LIST) | expand -t 22

# --- set-up ---------------------------------------------------------------------------------------------------------

.PHONY: venv
venv: $(VENV)/.stamp $(LINK)  ## build .venv with all tools, and the link that makes this checkout a collection

# A new stamp for new requirements; the environment is built anew when its Python is gone or another one.
$(VENV)/.stamp: pyproject.toml tests/tools/host-packages
	@tests/tools/host-packages
	@$(BIN)/python -c 'pass' 2>/dev/null || { rm -rf $(VENV); $(PYTHON) -m venv $(VENV); }
	@echo "venv: installing the tools of pyproject.toml"
	@$(BIN)/python -m pip install --quiet --upgrade 'pip>=25.1'
	@$(BIN)/python -m pip install --quiet --group dev
	@printf '%s\n' '$(CURDIR)' '$(CURDIR)/plugins/module_utils' \
	    >"$$($(BIN)/python -c 'import sysconfig; print(sysconfig.get_path("purelib"))')/pvc-cluster.pth"
	@touch $@

$(LINK):
	@mkdir -p $(@D)
	@ln -sfn ../../.. $@

# --- checks ---------------------------------------------------------------------------------------------------------

.PHONY: check
check: venv  ## all checks that need neither root nor the lab; PARTS="ruff mypy" runs some of them
	@python tests/tools/check.py $(PARTS)

# Scenarios that bring machines of their own up from nothing wait for packages most of the time: the checks run beside them.
BARE := single hypervisor

.PHONY: test
test: lab  ## all tests: check, and the scenarios on the lab
	@$(MAKE) --jobs=2 check bare
	@$(MAKE) molecule EXCLUDE='$(BARE)'

.PHONY: bare
bare:
	@for scenario in $(BARE); do MOLECULE_GLOB='molecule/*/molecule.yml' molecule test -s $$scenario; done

# One lab serves all scenarios; where the machine cannot run it, `make lab` says why and fails, and so does this.
.PHONY: molecule
molecule: lab  ## the scenarios of molecule/ on the lab; SCENARIO=cluster runs one of them, EXCLUDE=cluster all others
	@MOLECULE_GLOB='molecule/*/molecule.yml' molecule test $(if $(SCENARIO),-s $(SCENARIO),--all $(addprefix --exclude ,emulated network rolling $(EXCLUDE)))

# The better part of an hour of whole Debians under software emulation: run by hand, not part of `make test`.
.PHONY: emulated
emulated:  ## the scenarios for what containers cannot do: bonds and VLANs; disks, partitions and LVM as OSDs
	@$(MAKE) molecule SCENARIO=network
	@$(MAKE) molecule SCENARIO=emulated

SECONDS ?= 120
.PHONY: chaos
chaos: venv  ## simulated clusters in which everything goes wrong; SECONDS=600 for longer; prints the seed of what it finds
	@PYTHONPATH=.:plugins/module_utils python -m pvc_node_agent.sim.chaos --seconds $(SECONDS) --first $$RANDOM

.PHONY: rolling
rolling: lab  ## a node with ten guests is emptied and filled again, and one rebooted, on the lab: ten minutes
	@ansible-playbook --inventory=$(LAB_INVENTORY) molecule/rolling/verify.yml

.PHONY: failover
STAGES ?= power_cut rulebook freeze leader_cut cut_cluster cut_both cut_storage deaf mute agent_kill zookeeper_down upgrade bmc reboot poweroff load
failover: lab  ## every way in which a node can be lost, on the lab: the better part of an hour; STAGES="freeze load" runs some
	@ansible-playbook --inventory=$(LAB_INVENTORY) molecule/failover/verify.yml --extra-vars='{"failover_stages": "$(STAGES)"}'

.PHONY: migration
migration: STAGES = stranger round_trip cold stopped paused cancel agent_source agent_target qemu_source qemu_target libvirtd_source libvirtd_target power_source power_target
migration: GUESTS = 20
migration: lab  ## every way in which a move can be disturbed, on the lab, with 20 guests: slow; STAGES="cancel cold" GUESTS=3 runs some
	@ansible-playbook --inventory=$(LAB_INVENTORY) molecule/migration/verify.yml \
	    --extra-vars='{"migration_stages": "$(STAGES)", "migration_guests": $(GUESTS), "migration_rounds": 2}'

.PHONY: bench-failover
bench-failover: lab  ## power cuts in a row on the lab, and where their seconds go; CUTS=20
	@CUTS='$(CUTS)' PYTHONPATH=collections python -m tests.bench.run failover

.PHONY: bench
bench: venv  ## measure what the budgets are about, into build/bench.json; BENCHMARKS=bulk runs one
	@PYTHONPATH=collections python -m tests.bench.run $(BENCHMARKS)

.PHONY: schema
schema: venv  ## docs/schema/document.json, the schema of documents for editors, anew
	@PYTHONPATH=collections python -m tests.tools.schema

.PHONY: docs
docs: venv  ## the documentation as a site, in build/site
	@python tests/tools/site.py

# --- packages -------------------------------------------------------------------------------------------------------

.PHONY: deb
deb: build/.deb-stamp  ## the agent's Debian package, in build/

build/.deb-stamp: $(shell find debian pvc_cli pvc_node_agent plugins/module_utils/pvc_state -type f -not -name '*.pyc' 2>/dev/null) \
    pyproject.toml tests/tools/deb $(if $(wildcard build/pvc-node-agent_*_all.deb),,FORCE)
	@tests/tools/deb
	@touch $@

FORCE:

.PHONY: clean
clean:  ## remove what was built; .venv and the lab stay
	@rm -rf build

-include lab.mk
