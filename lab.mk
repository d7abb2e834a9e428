# Copyright (c) 2026, the PVC cluster authors
# SPDX-License-Identifier: GPL-3.0-or-later
#
# The lab: a real cluster in containers on this machine. Included by the Makefile.

LAB_DIRECTORY ?= /var/lib/pvc-lab
LAB_INVENTORY ?= inventory-examples/lab
LAB_SETUP := /usr/bin/python3 -B roles/lab/files/setup.py --directory=$(LAB_DIRECTORY)
SUDO := $(if $(filter 0,$(shell id -u)),,sudo)
LAB := $(SUDO) $(LAB_DIRECTORY)/bin/pvc-lab

.PHONY: lab
lab: lab-preflight  ## build the lab, deploy the cluster on it, run a guest; again: repair what is broken
	@$(MAKE) --no-print-directory venv deb
	@$(SUDO) env PATH='$(PATH)' PYTHONDONTWRITEBYTECODE=1 ANSIBLE_STDOUT_CALLBACK=pvc.cluster.stages \
	    $(BIN)/ansible-playbook --inventory=$(LAB_INVENTORY) playbooks/lab.yml $(ARGS)
	@$(LAB) status --inside

# Before anything else is touched; the role looks again, with the inventory's own figures.
.PHONY: lab-preflight
lab-preflight:
	@[ -x /usr/bin/python3 ] || { echo 'The lab needs python3 (apt-get install python3). Nothing was changed.'; exit 1; }
	@[ "$$(id -u)" = 0 ] || command -v sudo >/dev/null || { echo 'The lab needs root, or sudo. Nothing was changed.'; exit 1; }
	@$(SUDO) $(LAB_SETUP) preflight

.PHONY: lab-status
lab-status: lab-exists  ## show the lab's nodes, their services, and the guests' consoles
	@$(LAB) status --inside

.PHONY: lab-ssh
lab-ssh: lab-exists  ## log in to a node: make lab-ssh NODE=node1
	@[ -n '$(NODE)' ] || { echo 'Which node? make lab-ssh NODE=node1'; exit 1; }
	@$(LAB) ssh $(NODE)

.PHONY: lab-stop
lab-stop: lab-exists  ## shut the lab's nodes down; everything on their disks stays
	@$(LAB) stop
	@$(LAB) cache stop

.PHONY: lab-start
lab-start: lab-exists  ## start the lab's nodes again, repairing what is broken
	@$(LAB) cache start
	@$(LAB) ensure
	@$(LAB) wait

.PHONY: lab-destroy
lab-destroy:  ## remove the lab's nodes; ALL=1 removes images, packages and keys, too
	@[ ! -x $(LAB_DIRECTORY)/bin/pvc-lab ] || $(LAB) destroy $(if $(ALL),--everything)

.PHONY: lab-exists
lab-exists:
	@[ -x $(LAB_DIRECTORY)/bin/pvc-lab ] || { echo 'There is no lab yet; make lab builds it.'; exit 1; }
