#!/bin/bash
# Makes the archive of a minimal Debian, as small as Debian makes them.
#   make-root.sh CODENAME ARCHIVE       (standard input: lines for sources.list, the main archive first)
# Runs in a mount namespace of its own: all work is done on a tmpfs, which is gone when this ends.
set -euo pipefail
codename=$1 archive=$2
sources=$(cat)
read -r _ mirror _ <<< "$sources"

mkdir -p "$(dirname "$archive")"
mount -t tmpfs -o mode=755,size=1g tmpfs /mnt
if ! log=$(debootstrap --variant=minbase "$codename" /mnt "$mirror" 2>&1); then
  printf '%s\n' "$log" >&2
  exit 1
fi
printf '%s\n' "$sources" > /mnt/etc/apt/sources.list
rm -rf /mnt/var/cache/apt/archives/*.deb /mnt/etc/resolv.conf
tar -C /mnt --one-file-system -cf "$archive.new" .
mv "$archive.new" "$archive"
