#!/bin/bash
# `up` twice is `up` once, a changed file leaves nothing of the old one, and `down` leaves what was there before,
# with all that the operator has: rules, chains, routing rules, reserved ports, forwarding of single interfaces.
# shellcheck source-path=SCRIPTDIR source=netns.sh
. "$(dirname -- "$0")/netns.sh"

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

changed_green='
[[namespace]]
name       = "green"
fwmark     = 3
interfaces = ["green0"]
subnets    = ["10.0.8.0/24"]
'

cycle() { # format
  local format=$1
  write_config "$green$rules"
  snapshot >"$folder/before"
  swnat up --format "$format"
  snapshot >"$folder/once"
  if diff -q "$folder/before" "$folder/once" >/dev/null; then fail "$format: up changed nothing"; fi
  swnat up --format "$format"
  snapshot >"$folder/twice"
  expect_same "$format: up twice is not up once" "$folder/once" "$folder/twice"

  grep -qx '7,80,7000,40000-50010' /proc/sys/net/ipv4/ip_local_reserved_ports ||
    fail "$format: reserved ports are $(cat /proc/sys/net/ipv4/ip_local_reserved_ports)"
  ip -4 route show table $((0x53000001)) | grep '^10.9.0.0/16 via 10.0.0.254 dev blue0' >/dev/null ||
    fail "$format: no route through blue's router"

  ip -6 route show table $((0x53000001)) | grep '^fd09::/48 via fe80::254 dev blue0' >/dev/null ||
    fail "$format: no route of IPv6 through blue's router"

  # A file that asks for less and for other things. An interface that it did not have any more would stay blocked.
  write_config "$changed_green"
  sed -i -e 's/"40000-50000"/"45000-55000"/' -e 's/10\.0\.0\.254/10.0.0.253/' "$config"
  swnat up --format "$format"
  snapshot >"$folder/changed"
  swnat down
  snapshot >"$folder/after"
  expect_same "$format: down after a change left something" "$folder/before" "$folder/after"
  swnat up --format "$format"
  snapshot >"$folder/fresh"
  expect_same "$format: up with a changed file is not the same as up" "$folder/fresh" "$folder/changed"
  swnat down
  snapshot >"$folder/after"
  expect_same "$format: down left something" "$folder/before" "$folder/after"
  swnat down
  snapshot >"$folder/after"
  expect_same "$format: a second down changed something" "$folder/before" "$folder/after"
}

write_config "$green"
snapshot >"$folder/before"
formats=iptables
if swnat up --format nft 2>/dev/null; then
  swnat down
  formats="iptables nft"
else
  expect_error "no nft queue expression" swnat up --format nft
  say "this kernel has no nft queue expression: only iptables is tried"
fi
snapshot >"$folder/after"
expect_same "nft where the kernel has none changed something" "$folder/before" "$folder/after"

for format in $formats; do
  say "$format, in a machine without iptables rules"
  cycle "$format"
done

iptables-nft -t raw -A PREROUTING -p udp --dport 53 -j ACCEPT
iptables-nft -t raw -A OUTPUT -p udp --dport 53 -j ACCEPT
iptables-nft -t raw -N OPERATOR
iptables-nft -t mangle -A POSTROUTING -p udp --dport 53 -j ACCEPT
ip6tables-nft -t raw -A PREROUTING -p udp --dport 53 -j ACCEPT
ip6tables-nft -t raw -A OUTPUT -p udp --dport 53 -j ACCEPT
ip6tables-nft -t raw -N OPERATOR
ip6tables-nft -t mangle -A POSTROUTING -p udp --dport 53 -j ACCEPT
for format in $formats; do
  say "$format, beside the operator's iptables rules"
  cycle "$format"
done

if iptables-legacy -t raw -A PREROUTING -p udp --dport 53 -j ACCEPT 2>/dev/null &&
  iptables-legacy -t mangle -A POSTROUTING -p udp --dport 53 -j ACCEPT &&
  ip6tables-legacy -t raw -A PREROUTING -p udp --dport 53 -j ACCEPT &&
  ip6tables-legacy -t mangle -A POSTROUTING -p udp --dport 53 -j ACCEPT; then
  say "iptables, the legacy kind"
  mkdir "$folder/bin"
  for name in ip{,6}tables{,-save,-restore}; do
    ln -s "$(command -v "${name/tables/tables-legacy}")" "$folder/bin/$name"
  done
  PATH=$folder/bin:$PATH cycle iptables
fi

if [ "$formats" = "iptables nft" ]; then
  say "from one format to the other and back"
  write_config "$green"
  snapshot >"$folder/before"
  swnat up --format nft
  swnat up --format iptables
  snapshot >"$folder/iptables"
  grep -q 'j NFQUEUE' "$folder/iptables" || fail "iptables has no queue after the change"
  grep -q 'queue to' "$folder/iptables" && fail "nft has a queue still"
  swnat up --format nft
  nft list table inet swnat >"$folder/nft-again"
  grep -q 'queue to' "$folder/nft-again" || fail "nft has no queue after the change back"
  if iptables-save | grep -q SWNAT; then fail "iptables has rules still"; fi
  swnat down
  snapshot >"$folder/after"
  expect_same "down after changes of the format left something" "$folder/before" "$folder/after"
fi

say "a tenant that the file has no more stays blocked while its interface is there"
make_interfaces red0
write_config "$green${green//green/red}"
sed -i '/name *= "red"/,/fwmark/s/fwmark *= 2/fwmark = 7/' "$config"
swnat up
write_config "$green"
swnat up 2>"$folder/told"
grep -q 'red0 belonged to a namespace' "$folder/told" || fail "nobody said that red0 is blocked"
nft list chain inet swnat early | grep >/dev/null '"red0" counter name "removed_tenant" drop' || fail "red0 is not blocked"
swnat up
nft list chain inet swnat early | grep >/dev/null removed_tenant || fail "red0 is not blocked any more after another up"
ip link del red0
swnat up 2>"$folder/told"
[ ! -s "$folder/told" ] || fail "told without a reason: $(cat "$folder/told")"
if nft list chain inet swnat early | grep >/dev/null removed_tenant; then fail "what is gone is still blocked"; fi
swnat down

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

say "down without the record removes what can be recognised"
snapshot >"$folder/before"
swnat up --format iptables
rm -r "$folder/run"
expect_error "sysctls stay as they are" swnat down
# Sysctls stay, and with forwarding the addresses that all routers have.
snapshot | grep -v -e /proc/sys -e ^anycast >"$folder/after"
grep -v -e /proc/sys -e ^anycast "$folder/before" >"$folder/before-rules"
expect_same "down without a record left rules" "$folder/before-rules" "$folder/after"
echo 0 >/proc/sys/net/ipv4/ip_forward
echo 0 >/proc/sys/net/ipv6/conf/all/forwarding
echo 1 >/proc/sys/net/ipv6/conf/wan0/accept_ra

say "from both families to one and back"
write_config "$green$rules"
snapshot >"$folder/before"
swnat up --format iptables
snapshot >"$folder/both"
write_config "$green"
sed -i -e 's/, "2001:db8:1::1"//' -e 's/, "fd[07]*::\/64"//' -e 's/, { to = "fd09[^}]*}//' "$config"
swnat up --format iptables
if ip6tables-save | grep SWNAT; then fail "ip6tables has rules still"; fi
if ip -6 route show table all proto 83 | grep .; then fail "there are routes of IPv6 still"; fi
grep -qx 0 /proc/sys/net/ipv6/conf/all/forwarding || fail "IPv6 is forwarded still"
write_config "$green$rules"
swnat up --format iptables
snapshot >"$folder/again"
expect_same "up with both families again is not the same" "$folder/both" "$folder/again"
swnat down
snapshot >"$folder/after"
expect_same "down after changes of the families left something" "$folder/before" "$folder/after"

say "an interface that is not the external one any more forwards as long as all do"
write_config
snapshot >"$folder/before"
swnat up
sed -i 's/interface = "wan0"/interface = "green0"/' "$config"
swnat up
forwarding=$(cat /proc/sys/net/ipv4/conf/wan0/forwarding)
[ "$forwarding" = 1 ] || fail "wan0 forwards nothing"
swnat down
snapshot >"$folder/after"
expect_same "down after another external interface left something" "$folder/before" "$folder/after"

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

say "down with a control.socket that was another one when up was run"
write_config "$green"
snapshot >"$folder/before"
swnat up --format iptables
sed -i 's|/run/swnat/|/run/other/|' "$config"
expect_error "put it back and run \`down\` again" swnat down
sed -i 's|/run/other/|/run/swnat/|' "$config"
swnat down
snapshot >"$folder/after"
expect_same "down after control.socket was put back left something" "$folder/before" "$folder/after"

say "a record that is damaged"
write_config "$green"
snapshot >"$folder/before"
swnat up --format iptables
record=$(echo "$folder"/run/swnat/up-*.json)
cp "$record" "$folder/record"
truncate -s 300 "$record"
cp "$record" "$folder/damaged"
snapshot >"$folder/applied"
expect_error "record $record is damaged: " swnat up --format iptables
snapshot >"$folder/after"
expect_same "up with a damaged record changed something" "$folder/applied" "$folder/after"
cmp -s "$record" "$folder/damaged" || fail "up changed the damaged record"
# What the record does not say is not asked for either.
mkdir -p "$folder/no-lists"
printf '#!/bin/sh\ncase " $* " in *" list ruleset "*) echo "it broke" >&2; exit 1 ;; esac\nexec %s "$@"\n' \
  "$(command -v nft)" >"$folder/no-lists/nft"
chmod +x "$folder/no-lists/nft"
PATH=$folder/no-lists:$PATH \
  expect_error "it is kept as $record.damaged; rules and routes are removed, but sysctls stay as they are" swnat down
cmp -s "$record.damaged" "$folder/damaged" || fail "down did not keep the damaged record"
if iptables-save | grep SWNAT; then fail "down with a damaged record left rules"; fi
swnat down
swnat up --format iptables
swnat down
# Only the right record knows the sysctls.
cp "$folder/record" "$record"
rm "$record.damaged"
swnat down
snapshot >"$folder/after"
expect_same "down with the right record again left something" "$folder/before" "$folder/after"

say "the printed script does what up does"
echo 1 >/proc/sys/net/ipv6/conf/wan0/accept_ra
write_config "$green$rules"
sed -i 's/"40000-50000"/"32768-65535"/' "$config"
snapshot >"$folder/before"
swnat up --format iptables
snapshot | grep -v "^$folder" >"$folder/applied"
swnat down
snapshot >"$folder/after"
expect_same "down left something" "$folder/before" "$folder/after"
swnat rules --format iptables | sh
snapshot >"$folder/printed"
expect_same "the printed script does something else than up" "$folder/applied" "$folder/printed"
swnat rules --format iptables --only nft | nft -c -f - || fail "the nft table alone is nothing that nft takes"

say "down after the printed script, without any up"
grep -v -e /proc/sys -e ^anycast "$folder/before" >"$folder/before-rules"
expect_error "there is no record of this \`up\` beside" swnat down
grep -qE 'removed: nft table inet swnat, [0-9]+ chains of iptables, [0-9]+ ip rules and [0-9]+ routes; but sysctls stay' \
  "$folder/err" || fail "down does not say what it removed: $(cat "$folder/err")"
snapshot | grep -v -e /proc/sys -e ^anycast >"$folder/after"
expect_same "down after the printed script left rules" "$folder/before-rules" "$folder/after"
swnat down || fail "down again has nothing to do, which is no error"

finish
