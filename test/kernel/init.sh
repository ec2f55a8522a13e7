#!/bin/sh
# Process 1 of the kernel that scripts/kernel builds, for main.ts: what is written goes to memory and to a disk
# that ends with the kernel. Runs vitest on the files in $TESTS, or a benchmark, then ends the kernel.
repository=$(readlink -f "$(dirname "$(readlink -f "$0")")/../..")
. "$repository/packages/base/src/system/other-kernel.sh"

# dpkg's: images are made of what is installed.
begin /var/cache/swarmd-lab /var/lib/dpkg
mkdir -p /var/lib/swarmd-lab /var/lib/swarmd
# No controller is handed down to anybody: as on a machine without systemd.
mount -t cgroup2 cgroup2 /sys/fs/cgroup
echo swarmd:300000:65536 > /run/subordinate
mount --bind /run/subordinate /etc/subuid
mount --bind /run/subordinate /etc/subgid

# What lies below containers must be able to shift owners: ext4 can, files in memory of this kernel cannot.
export HOME=/tmp TMPDIR=/var/tmp
SHOWN='/var/lib/swarmd-lab/kernel/*/*.log'
if [ "${TESTS%%,*}" = bench ]; then run_node test/bench/main.ts $(echo "${TESTS#*,}" | tr , ' '); fi
run_tests --testTimeout=600000 --hookTimeout=900000
