# What swarmd, its build and its lab need, and how it gets onto this machine. Sourced by
# scripts/prepare and scripts/install from the root of the checkout; they define `say` and `die`.
# Everything here does nothing when nothing is missing.

# What swarmd needs at run time, beyond what no Debian is without.
RUNTIME_PACKAGES=(crun conmon perl-base iproute2 nftables conntrack luajit tini zstd ca-certificates mount)

NODE=node_modules/node/bin/node

# Runs a command that installs Debian packages and sees to it that no service starts. The ban holds
# only while this script lives, so that one that was killed leaves nothing that matters.
without_services() {
  local policy=/usr/sbin/policy-rc.d mark="made by swarmd's scripts" result=0
  if [ -e "$policy" ] && ! grep -q "$mark" "$policy"; then
    "$@"
    return
  fi
  printf '#!/bin/sh\n# %s\nif [ -d /proc/%d ]; then exit 101; fi\n' "$mark" $$ > "$policy"
  chmod 755 "$policy"
  "$@" || result=$?
  rm -f "$policy"
  return "$result"
}

# Runs a command and shows what it said only if it fails.
quietly() {
  local output result=0
  output=$("$@" 2>&1 </dev/null) || result=$?
  [ "$result" = 0 ] || printf '%s\n' "$output" >&2
  return "$result"
}

# need_debian_packages NAME...
need_debian_packages() {
  local package missing=()
  for package in "$@"; do
    dpkg-query -W -f '${db:Status-Status}\n' "$package" 2>/dev/null | grep -qx installed || missing+=("$package")
  done
  [ ${#missing[@]} -gt 0 ] || return 0
  command -v apt-get >/dev/null ||
    die "missing: ${missing[*]}. Only Debian and its relatives are supported, and there is no apt-get here"
  say "installing Debian packages: ${missing[*]}"
  apt-get -qq update || die "the lists of Debian packages could not be refreshed; apt-get says why above"
  DEBIAN_FRONTEND=noninteractive quietly without_services apt-get -qq install -y --no-install-recommends \
    -o Dpkg::Use-Pty=0 "${missing[@]}" || die "Debian packages could not be installed; apt-get says why above"
}

# Not `npm ci`: it refuses a lock file that lacks packages for foreign platforms, as npm writes it where
# the registry does not have them all.
run_npm_install() {
  local install=(npm install --no-save --no-audit --no-fund --no-progress --loglevel=error)
  "${install[@]}" >/dev/null 2>&1 </dev/null && return
  # What an interrupted run left half-made can be in npm's way: once more, from nothing (not while npm
  # runs on the Node that is in there).
  [ -x "$NODE" ] || rm -rf node_modules
  quietly "${install[@]}" || die "npm packages could not be installed; npm says why above"
}

# The versions of package-lock.json. Among them is the Node that runs everything here; the machine's own
# only starts npm.
need_npm_packages() {
  if [ -x "$NODE" ] && [ ! package-lock.json -nt node_modules/.package-lock.json ]; then return; fi
  command -v npm >/dev/null ||
    die "npm is missing: install Node.js and npm first, for example with: apt-get install nodejs npm"
  say "installing npm packages"
  run_npm_install
  [ -x "$NODE" ] ||
    die "npm left out $NODE: it must be allowed to run packages' install scripts (npm config set ignore-scripts false)"
  # npm silently leaves out optional packages, such as our tools' native parts, that are not for the Node
  # it runs on. So where that is another than ours it runs again, on ours; Debian keeps npm's own
  # dependencies where only Debian's Node looks.
  touch -d @0 node_modules/.package-lock.json # Not done yet, should this be interrupted.
  if [ "$(node --version | cut -d. -f1)" != "$("$NODE" --version | cut -d. -f1)" ]; then
    PATH=$PWD/$(dirname "$NODE"):$PATH NODE_PATH=/usr/share/nodejs NODE_NO_WARNINGS=1 run_npm_install
  fi
  touch node_modules/.package-lock.json
}

bundles_are_fresh() {
  [ -x "$NODE" ] && [ -f dist/swarmd.mjs ] && [ -z "$(find packages/*/src packages/*/package.json proto \
    scripts/build.ts package-lock.json -newer dist/swarmd.mjs -print -quit)" ]
}

# dist/, made anew when a source is newer.
need_bundles() {
  if bundles_are_fresh; then return; fi
  need_npm_packages
  say "building swarmd and swarmctl"
  "$NODE" scripts/build.ts >/dev/null || die "the build failed"
}
