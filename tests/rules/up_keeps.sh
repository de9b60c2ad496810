#!/bin/bash
# What others do after `up` stays: their rules, routes and sysctls, the gateway's own connections, and what `up` need
# not change itself.
# shellcheck source-path=SCRIPTDIR source=lib.sh
. "$(dirname -- "$0")/lib.sh"
# shellcheck source=operator.sh
. "$here/operator.sh"

say "routing that stays is not told to the kernel again"
write_config "$green"
sed -i 's|"10.0.7.0/24"|"10.0.7.9/32", "fd00:7::9/128"|' "$config"
swnat up
ip monitor rule >"$folder/monitor" &
monitor=$!
ip monitor route >"$folder/monitor-route" &
monitor="$monitor $!"
# A rule and a route of the test's own show what is before the second `up`, and what behind.
mark() {
  ip rule add pref "$1" fwmark 0x50000/0xf0000 lookup 79
  ip route add "198.51.100.$1/32" dev wan0 table 79
}
has_marks() { grep -q "^$1:" "$folder/monitor" && grep -q "^198.51.100.$1 " "$folder/monitor-route"; }
until_marked() { # first number to try
  local i=$1
  until has_marks "$i"; do
    i=$((i + 1))
    [ "$i" -lt $(($1 + 100)) ] || { fail "nobody tells of rules and routes" && return; }
    mark "$i"
    sleep 0.1
  done
}
until_marked 10
swnat up
until_marked 120
# shellcheck disable=SC2086 # two of them
kill $monitor
if grep -h "proto.* 83" "$folder/monitor" "$folder/monitor-route" | grep .; then fail "up changes what stays"; fi
swnat down
while ip rule del lookup 79 2>/dev/null; do :; done
ip route flush table 79

say "what somebody changed since stays"
write_config "$green"
swnat up
echo 0 >/proc/sys/net/ipv4/conf/blue0/rp_filter
echo 0 >/proc/sys/net/ipv4/conf/wan0/rp_filter
# The operator's later value is what `up` finds, and what `down` puts back.
swnat up
swnat down
for name in blue0 wan0; do
  grep -qx 0 /proc/sys/net/ipv4/conf/$name/rp_filter || fail "$name's rp_filter was not left as it was set"
done
swnat up
echo 7000 >/proc/sys/net/ipv4/ip_local_reserved_ports
swnat down
grep -qx 7000 /proc/sys/net/ipv4/ip_local_reserved_ports || fail "the reserved ports were not left as they were set"

say "the gateway's own connections find ports"
sed -i 's/"40000-50000"/"32768-65535"/' "$config"
cat /proc/sys/net/ipv4/ip_local_port_range >"$folder/range"
[ "$(tr '\t' - <"$folder/range")" = 32768-60999 ] || fail "the test expects the kernel's own range of ports"
swnat up
# Nobody listens there; a refusal shows that the connection had a port to come from.
answer=$( (exec 3<>/dev/tcp/203.0.113.1/80) 2>&1 || true)
[[ $answer == *"Connection refused"* ]] || fail "the gateway cannot connect to anything: $answer"
swnat down
cmp /proc/sys/net/ipv4/ip_local_port_range "$folder/range" || fail "the range of ports was not restored"

say "rules of the operator's that came since stay"
swnat up --format iptables
iptables -t mangle -A POSTROUTING -p udp --dport 123 -j ACCEPT
iptables -t raw -I PREROUTING 1 -p udp --dport 123 -j ACCEPT
ip6tables -t raw -I PREROUTING 1 -p udp --dport 123 -j ACCEPT
ip rule add pref 5300 fwmark 0x60000/0xf0000 lookup 78
ip -6 rule add pref 5300 fwmark 0x60000/0xf0000 lookup 78
swnat up --format iptables
swnat down
iptables -t mangle -C POSTROUTING -p udp --dport 123 -j ACCEPT || fail "a mangle rule is gone"
iptables -t raw -C PREROUTING -p udp --dport 123 -j ACCEPT || fail "a raw rule is gone"
ip6tables -t raw -C PREROUTING -p udp --dport 123 -j ACCEPT || fail "a raw rule of IPv6 is gone"
ip rule show pref 5300 | grep -q 'lookup 78' || fail "a routing rule is gone"
ip -6 rule show pref 5300 | grep -q 'lookup 78' || fail "a routing rule of IPv6 is gone"

say "router advertisements count outside as they did"
write_config
accept_ra() { cat /proc/sys/net/ipv6/conf/wan0/accept_ra; }
[ "$(accept_ra)" = 1 ] || fail "the test expects that they count"
swnat up
[ "$(accept_ra)" = 2 ] || fail "they do not count any more: $(accept_ra)"
swnat up
swnat down
[ "$(accept_ra)" = 1 ] || fail "accept_ra was not restored: $(accept_ra)"
echo 1 >/proc/sys/net/ipv6/conf/wan0/forwarding
swnat up
[ "$(accept_ra)" = 1 ] || fail "they count, and did not before: $(accept_ra)"
swnat down
echo 0 >/proc/sys/net/ipv6/conf/wan0/forwarding
echo 0 >/proc/sys/net/ipv6/conf/wan0/accept_ra
swnat up
[ "$(accept_ra)" = 0 ] || fail "they count, and did not before: $(accept_ra)"
swnat down

finish
