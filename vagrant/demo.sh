#!/bin/bash
# Runs on m1: a registry with the demo's images, and the service of the README on the cluster.
#   demo.sh REGISTRY
set -euo pipefail
registry=$1

export DEBIAN_FRONTEND=noninteractive
apt-get -qq update
apt-get -qq install -y --no-install-recommends docker-registry skopeo curl >/dev/null
systemctl enable --quiet --now docker-registry
/opt/swarmd/scripts/images "$registry"

swarmctl network inspect demo >/dev/null 2>&1 || swarmctl network create demo
swarmctl service inspect web >/dev/null 2>&1 ||
  swarmctl service create --name web --replicas 3 --network demo --publish 8080:80 "$registry/nginx:1"
swarmctl node ls
swarmctl service ps web
swarmctl node ls --format json | grep -o '"address": *"[0-9.]*"' | cut -d'"' -f4 | sort -u | while read -r address; do
  printf '%s  ' "$address"
  curl -sS --retry 10 --retry-connrefused --retry-delay 1 --max-time 5 "http://$address:8080/"
done
