#!/bin/bash
# Turns an empty folder into a running Debian: the first process of a clean root, in mount, pid, uts and
# ipc namespaces of its own. When it is killed the kernel takes all mounts and processes away with it.
#   boot-root.sh ARCHIVE ROOT CHECKOUT DOWNLOADS
set -euo pipefail
archive=$1 root=$2 checkout=$3 downloads=$4

hostname clean
mount -t tmpfs -o mode=755,size=2g tmpfs "$root"
tar -C "$root" -xf "$archive"
mount -t proc proc "$root/proc"
mount --rbind /dev "$root/dev"
mount --rbind /sys "$root/sys"
# Hybrid cgroups: the runtime wants one version or the other (see the lab's init.sh).
if [ ! -f "$root/sys/fs/cgroup/cgroup.controllers" ] && mountpoint -q "$root/sys/fs/cgroup/unified"; then
  umount -l "$root/sys/fs/cgroup/unified"
fi
mount -t tmpfs -o mode=755 tmpfs "$root/run"
mkdir -p "$root/run/lock" "$root/opt/checkout" "$root/opt/unbuilt"

read_only() { mount --bind "$1" "$2"; mount -o remount,bind,ro "$2"; }
read_only "$checkout" "$root/opt/checkout"
# The same as git would give it, before anything was built.
read_only "$checkout" "$root/opt/unbuilt"
for built in dist node_modules; do mount -t tmpfs tmpfs "$root/opt/unbuilt/$built"; done
mount --bind "$downloads" "$root/var/cache/apt/archives"

# How this machine reaches Debian's archive is not part of the clean root's being clean.
cp "$(readlink -f /etc/resolv.conf)" "$root/etc/resolv.conf"
apt-config dump | grep -E '^Acquire::.*Proxy' > "$root/etc/apt/apt.conf.d/01proxy" || true

# Not chroot, which a program that enters the mount namespace would leave behind.
mkdir "$root/outside"
cd "$root"
pivot_root . outside
umount -l /outside
rmdir /outside

echo ready
exec sleep infinity
