#!/bin/bash
# Runs on every virtual machine: installs swarmd with the script a user would use.
#   provision.sh ADDRESS REGISTRY
set -euo pipefail
address=$1 registry=$2

export DEBIAN_FRONTEND=noninteractive
command -v npm >/dev/null || { apt-get -qq update && apt-get -qq install -y --no-install-recommends nodejs npm >/dev/null; }

mkdir -p /etc/swarmd
printf '{ "advertiseAddr": "%s", "insecureRegistries": ["%s"] }\n' "$address" "$registry" > /etc/swarmd/swarmd.json
/opt/swarmd/scripts/install

# The unit restarts at once; the first answer may take a moment on a slow machine.
for _ in $(seq 100); do
  swarmctl info >/dev/null 2>&1 && exit 0
  sleep 0.2
done
journalctl -u swarmd --no-pager | tail -50 >&2
echo "provision: swarmd does not answer" >&2
exit 1
