#!/bin/bash
# PID 1 of one lab host, already inside its own network, mount, pid, uts and ipc namespaces.
#   init.sh NAME ADDRESS HOST_DIR HOSTS_FILE
# Makes the machine's mounts its own: /run is empty as after a boot, /var/lib/swarmd is this host's (a
# folder, or the file system in its disk.img),
# /sys shows this network namespace, cgroups appear in a layout that the OCI runtime accepts.
set -eu
name=$1 address=$2 dir=$3 hosts=$4

hostname "$name"
mkdir -p "$dir/state" "$dir/log" "$dir/cgroup" /var/lib/swarmd

# Other people's namespaces and container mounts are none of this host's business.
awk '$5 ~ "^/run/netns/" || $5 ~ "^/var/lib/(docker|containerd|containers)/" {print $5}' /proc/self/mountinfo |
  tac | while read -r mount_point; do umount -l "$mount_point" 2>/dev/null || true; done

mount --rbind /sys/fs/cgroup "$dir/cgroup"
mount -t sysfs sysfs /sys
mount --rbind "$dir/cgroup" /sys/fs/cgroup
umount -l "$dir/cgroup"
# Hybrid layout (v1 controllers beside an almost empty v2 tree): crun wants one or the other. The
# mount point must stay: removing it would take the mount away from every namespace.
if [ ! -f /sys/fs/cgroup/cgroup.controllers ] && mountpoint -q /sys/fs/cgroup/unified; then
  umount -l /sys/fs/cgroup/unified
fi

mount -t tmpfs -o mode=755,size=512m tmpfs /run
mkdir -p /run/netns /run/lock
if [ -f "$dir/disk.img" ]; then mount -o loop "$dir/disk.img" "$dir/state"; fi
mount --bind "$dir/state" /var/lib/swarmd
printf 'nameserver 10.77.0.1\n' > "$dir/resolv.conf" # nobody listens there: answers "refused" at once
mount --bind "$dir/resolv.conf" "$(readlink -f /etc/resolv.conf)"
mount --bind "$hosts" /etc/hosts

ulimit -n 65536 2>/dev/null || ulimit -n "$(ulimit -Hn)"
exec tini -s -- sleep infinity
