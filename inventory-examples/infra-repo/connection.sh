# shellcheck shell=sh
# SPDX-License-Identifier: GPL-3.0-or-later
# Copyright (c) 2026, the PVC cluster authors
#
# How the live inventory and the command line reach the cluster from a shell: . ./connection.sh
# The password is read from the vault and is nowhere else.
export PVC_HOSTS=10.20.1.11:2281,10.20.1.12:2281,10.20.1.13:2281
export PVC_CA_FILE="$PWD/.pvc/ca.pem"
export PVC_CERT_FILE="$PWD/.pvc/admin.pem"
export PVC_KEY_FILE="$PWD/.pvc/admin.key"
PVC_PASSWORD=$(
    ANSIBLE_CALLBACK_RESULT_FORMAT=json ansible localhost -i inventory -m ansible.builtin.debug -a 'msg={{ pvc_zookeeper_password }}' |
        python3 -c '
import json, sys
said = sys.stdin.read()
_host, _is, result = said.partition(" | SUCCESS => ")
print(json.loads(result)["msg"]) if result else sys.exit(said)'
)
export PVC_PASSWORD
