#!/bin/bash
# `up` twice is `up` once, a changed file leaves nothing of the old one, and `down` leaves what was there before,
# with all that the operator has: rules, chains, routing rules, reserved ports, forwarding of single interfaces.
# shellcheck source-path=SCRIPTDIR source=lib.sh
. "$(dirname -- "$0")/lib.sh"
# shellcheck source=operator.sh
. "$here/operator.sh"

changed_green='
[[namespace]]
name       = "green"
fwmark     = 3
interfaces = ["green0"]
subnets    = ["10.0.8.0/24"]
'

# On standard output, in one line.
says() { # what, pattern, arguments
  local what=$1 pattern=$2 said
  shift 2
  said=$(swnat "$@")
  if ! grep -qE -e "$pattern" <<<"$said" || [ "$(wc -l <<<"$said")" -ne 1 ]; then fail "$what said: $said"; fi
}

cycle() { # format
  local format=$1
  write_config "$green$rules"
  snapshot >"$folder/before"
  says "$format: up" "^applied for 2 namespaces: rules in the format of $format, as --format says;" up --format "$format"
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
  says "$format: down" '^removed: rules and policy routing; [1-9][0-9]* sysctls put back$' down
  snapshot >"$folder/after"
  expect_same "$format: down left something" "$folder/before" "$folder/after"
  says "$format: a second down" '^there was nothing to remove: ' down
  snapshot >"$folder/after"
  expect_same "$format: a second down changed something" "$folder/before" "$folder/after"
}

write_config "$green"
snapshot >"$folder/before"
says "up" '^applied for .* in the format of (nft, which can queue packets here|iptables, because nft rules cannot queue packets here);' up
says "down" '^removed: ' down
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

make_iptables_rules
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

finish
