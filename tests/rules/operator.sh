# shellcheck shell=bash
# Sourced behind lib.sh: a gateway whose operator has rules, routes and sysctls of his own.

make_interfaces blue0 green0 wan0
ip addr add 10.0.0.1/24 dev blue0
ip addr add 10.0.0.1/24 dev green0
ip addr add 203.0.113.1/24 dev wan0
ip addr add 2001:db8:1::1/64 dev wan0 nodad

# What an operator may have.
nft add table inet operator
nft add chain inet operator input '{ type filter hook input priority 0; }'
nft add rule inet operator input tcp dport 22 accept
ip rule add pref 5300 fwmark 0x70000/0xf0000 lookup 77
ip route add 192.0.2.0/24 dev wan0 table 77
ip -6 rule add pref 5300 fwmark 0x70000/0xf0000 lookup 77
ip -6 route add 2001:db8:77::/64 dev wan0 table 77
echo 7,49999-50010 >/proc/sys/net/ipv4/ip_local_reserved_ports
echo 1 >/proc/sys/net/ipv4/conf/all/rp_filter
echo 0 >/proc/sys/net/ipv4/conf/all/accept_redirects
echo 1 >/proc/sys/net/ipv4/conf/green0/forwarding
echo 1 >/proc/sys/net/ipv4/conf/wan0/rp_filter
echo 1 >/proc/sys/net/ipv6/conf/green0/forwarding

# Where somebody has rules of iptables, its tables are there before `up` and stay behind `down`.
make_iptables_rules() {
  local program
  for program in ip{,6}tables-nft; do
    "$program" -t raw -A PREROUTING -p udp --dport 53 -j ACCEPT
    "$program" -t raw -A OUTPUT -p udp --dport 53 -j ACCEPT
    "$program" -t raw -N OPERATOR
    "$program" -t mangle -A POSTROUTING -p udp --dport 53 -j ACCEPT
  done
}
