/**
 * Shell lines that print all that a host has of networks which we might change. Entries are sorted: the kernel
 * lists them in the order of a table which all namespaces of the machine share.
 */
export const SNAPSHOT: readonly string[] = [
  'ip -o link | sed "s/^[0-9]*: //"',
  'ip -4 -o addr show scope global | cut -d" " -f2-',
  'ip -4 route show table all',
  'ip rule',
  'ip -6 -o addr show scope global | cut -d" " -f2-',
  'ip -6 route show table all | grep -v "^\\(fe80\\|multicast\\|local fe80\\)"',
  'ip -6 rule',
  'ip -4 neigh show nud permanent | sort; ip -6 neigh show nud permanent | sort',
  'bridge fdb show | grep -v eth0 | sort',
  'nft list tables',
  'nft list table inet filter 2>/dev/null',
  'ls /run/netns 2>/dev/null',
  'cat /proc/sys/net/ipv4/ip_forward /proc/sys/net/ipv6/conf/*/forwarding',
  'grep . /proc/sys/net/ipv4/conf/*/rp_filter /proc/sys/net/ipv4/conf/*/route_localnet',
  'grep . /proc/sys/net/ipv6/conf/*/accept_ra',
  'for f in ipv4 ipv6; do conntrack -L -f $f -o extended 2>/dev/null | grep zone; done',
  'iptables -S',
  'ip6tables -S',
  'for what in state policy; do ip xfrm $what 2>/dev/null | grep ^src; done',
  'find /run/swarmd 2>/dev/null -type f',
];
