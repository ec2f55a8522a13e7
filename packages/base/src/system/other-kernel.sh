# What the first process of a User-mode Linux kernel does on every such kernel (other-kernel.ts). Its root is
# the machine's own, read-only. Sourced by the scripts that are this process; they define `repository`.
export PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin NO_COLOR=1 CI=1

# begin [KEPT...]: /tmp is empty and in memory; where the kernel has a disk, /var is empty, too, and on it. The
# checkout and what is kept stay in sight there.
begin() {
  mount -t proc proc /proc
  mount -t sysfs sysfs /sys
  mount -t tmpfs tmpfs /run
  set -- "$repository" "$@"
  for kept in "$@"; do
    mkdir -p "/run/kept/$kept"
    mount --bind "$kept" "/run/kept/$kept"
  done
  mount -t tmpfs tmpfs /tmp
  if [ -b /dev/ubda ]; then
    mkfs.ext4 -q -F -m 0 /dev/ubda
    mount /dev/ubda /var
    mkdir -p /var/lib /var/log /var/tmp
  fi
  for kept in "$@"; do
    mkdir -p "$kept"
    mount --bind "/run/kept/$kept" "$kept"
  done
  mkdir -p /dev/pts /dev/shm
  mount -t devpts devpts /dev/pts
  mount -t tmpfs tmpfs /dev/shm
  ip link set lo up
}

# load MODULE...: Debian's kernel loads nothing by itself; each comes after what it needs.
load() {
  modules="/usr/lib/uml/modules/$(uname -r)"
  for name in "$@"; do
    line=$(grep -E "/$name\.ko:" "$modules/modules.dep") || { echo "no module $name"; continue; }
    for needed in $(echo "${line#*:}" | tr ' ' '\n' | tac) "${line%%:*}"; do
      grep -q "^$(basename "$needed" .ko | tr - _) " /proc/modules || busybox insmod "$modules/$needed"
    done
  done
}

# run_node SCRIPT [ARGUMENT...]: on the checkout's Node, then the end of the kernel. What $SHOWN (files) tell is
# shown where it failed: it ends with the kernel.
run_node() {
  cd "$repository" || exit
  node_modules/node/bin/node "$@" 2>&1
  result=$?
  [ "$result" = 0 ] || for shown in $SHOWN; do [ ! -e "$shown" ] || tail -v -n 30 "$shown" 2>&1; done
  echo "tests ended with $result"
  echo o >/proc/sysrq-trigger
  sleep 60
}

# run_tests [OPTION...]: vitest on the files in $TESTS (with commas between), then the end of the kernel.
run_tests() {
  run_node node_modules/vitest/vitest.mjs run --configLoader native --no-cache --reporter=verbose "$@" \
    $(echo "$TESTS" | tr , ' ')
}
