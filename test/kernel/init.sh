#!/bin/sh
# Process 1 of a User-mode Linux kernel whose root is the machine's own, read-only: what is written goes to
# memory, what labs keep to a disk that ends with the kernel. Runs the lab suite's files in $TESTS (with
# commas between), then ends the kernel.
# This kernel has IPsec, but of nftables only what is for bridges: other tables are taken and forgotten, so
# that there are no virtual addresses, names and published ports.
export PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin
repository=$(readlink -f "$(dirname "$(readlink -f "$0")")/../..")

mount -t proc proc /proc
mount -t sysfs sysfs /sys
mount -t tmpfs tmpfs /run
mkdir -p /run/repository /run/cache /dev/pts /dev/shm
# A checkout below /tmp or /var stays in sight, and so does what labs have downloaded.
mount --bind "$repository" /run/repository
mount --bind /var/cache/swarmd-lab /run/cache
mount -t tmpfs tmpfs /tmp
mount -t tmpfs tmpfs /var
mkdir -p "$repository" /var/cache/swarmd-lab /var/lib/swarmd-lab /var/lib/swarmd /var/tmp /var/log
mount --bind /run/repository "$repository"
mount --bind /run/cache /var/cache/swarmd-lab
mount -t devpts devpts /dev/pts
mount -t tmpfs tmpfs /dev/shm

# Nothing is loaded by itself here: each after what it needs.
modules="/usr/lib/uml/modules/$(uname -r)"
load() {
  for name in "$@"; do
    line=$(grep -E "/$name\.ko:" "$modules/modules.dep") || { echo "no module $name"; continue; }
    for needed in $(echo "${line#*:}" | tr ' ' '\n' | tac) "${line%%:*}"; do
      grep -q "^$(basename "$needed" .ko | tr - _) " /proc/modules || busybox insmod "$modules/$needed"
    done
  done
}
load overlay loop ipv6 veth bridge br_netfilter vxlan nf_tables nf_conntrack_netlink esp4 xfrm_user hmac sha512_generic \
  jitterentropy_rng drbg ctr ghash-generic gcm seqiv

mkdir /tmp/bin
cp /usr/sbin/nft /tmp/bin/nft-for-bridges
cat > /tmp/bin/nft <<'NFT'
#!/bin/sh
case "$*" in
  *bridge*) exec /tmp/bin/nft-for-bridges "$@" ;;
  *monitor*) exec sleep infinity ;;
  *-f*) exec cat > /dev/null ;;
esac
NFT
chmod 755 /tmp/bin/nft
mount --bind /tmp/bin/nft /usr/sbin/nft

# No controller is handed down to anybody: as on a machine without systemd.
mount -t cgroup2 cgroup2 /sys/fs/cgroup
# What lies below containers must be able to shift owners: ext4 can.
mkfs.ext4 -q -F -m 0 /dev/ubda
mount /dev/ubda /var/lib/swarmd-lab
echo swarmd:300000:65536 > /run/subordinate
mount --bind /run/subordinate /etc/subuid
mount --bind /run/subordinate /etc/subgid
ip link set lo up

cd "$repository" || exit
export HOME=/tmp NO_COLOR=1 CI=1 SWARMD_LAB_TESTS=1
node_modules/node/bin/node node_modules/vitest/vitest.mjs run --configLoader native --no-cache \
  --reporter=verbose --testTimeout=600000 --hookTimeout=900000 $(echo "$TESTS" | tr , ' ') 2>&1
echo "tests ended with $?"
echo o >/proc/sysrq-trigger
sleep 60
