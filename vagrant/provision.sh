#!/bin/bash
# Runs on every virtual machine: installs swarmd with the script a user would use.
#   provision.sh ADDRESS REGISTRY
set -euo pipefail
address=$1 registry=$2

if ! command -v npm >/dev/null; then
  echo "provision: installing Node.js and npm"
  apt-get -qq update
  DEBIAN_FRONTEND=noninteractive apt-get -qq install -y --no-install-recommends nodejs npm >/dev/null
fi

mkdir -p /etc/swarmd
printf '{ "advertiseAddr": "%s", "insecureRegistries": ["%s"] }\n' "$address" "$registry" > /etc/swarmd/swarmd.json
/opt/swarmd/scripts/install
