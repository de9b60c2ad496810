#!/bin/bash
# A range of fwmarks without interfaces: the operator's own rules set the fwmarks and the routes. Its members are
# namespaces of their own and kept apart; one of them has a [[namespace]] with another limit inside the range.
# shellcheck source-path=SCRIPTDIR source=lib.sh
source "$(dirname "$0")/lib.sh"

declare -A fwmark=([blue]=1000 [green]=1001) answer=([blue]=192.0.2.1 [green]=192.0.2.2)
declare -A pattern=([blue]=b1b1b1b1 [green]=93939393)

# What README asks of the operator: fwmark and notrack before fragments are joined, and the ways back.
operators_rules() {
  local tenant number
  lab_exec gw nft -f - <<'NFT'
table inet operator {
  chain clients {
    type filter hook prerouting priority -450;
    iifname "blue0" meta mark set 1000 notrack
    iifname "green0" meta mark set 1001 notrack
  }
}
NFT
  for tenant in blue green; do
    number=${fwmark[$tenant]}
    for family in "${LAB_FAMILIES[@]}"; do
      lab_exec gw ip "-$family" rule add fwmark "$number" lookup "$number" priority 900
    done
    lab_exec gw ip -4 route add 10.0.0.0/24 dev "${tenant}0" table "$number"
    lab_exec gw ip -6 route add fd00::/64 dev "${tenant}0" table "$number"
    # Packets from a tenant's link are answered there, and may have an external source when they are hairpinned.
    lab_exec gw sh -c "echo 0 >/proc/sys/net/ipv4/conf/${tenant}0/rp_filter"
  done
}

forwards() {
  forward tcp 40080 vpn-1000 8080
  forward tcp 40081 "$1" 8080
}

start_lab
LAB_NAMESPACES=()
LAB_RULES="[[namespace]]
name = \"vpn\"
fwmark = \"1000-1999\"
session_limit = 200

$(forwards vpn-1001)"

# What the operator's rules lack is told by `up`, and by the daemon as long as it is so.
told_by_up() { apply_rules 2>&1 | grep -E 'no rule of nft|no .ip rule. looks|no chain of nft' || true; }
notes_of_rules() { control status --json | jq -r '.rules.notes[]' | grep -cE 'no rule of nft|no .ip rule. looks|no chain of nft' || true; }
has_notes() { [[ $(notes_of_rules) == "$1" ]]; }
lab_write_config
told=$(told_by_up)
expect_match "up without rules of the operator's: fwmarks" \
  'no rule of nft or iptables sets a fwmark of namespace vpn \(fwmarks 1000-1999\)' "$told"
expect_match "up without rules of the operator's: the way back" \
  'no .ip rule. looks at a fwmark of namespace vpn \(fwmarks 1000-1999\)' "$told"
expect_match "up without rules of the operator's: fragments" \
  'no chain of nft with a priority below -400 sets notrack' "$told"
start_swnat
wait_until 60 has_notes 3 || fail "the daemon says nothing of it: $(control status)"
operators_rules
expect "what up tells with the operator's rules" "" "$(told_by_up)"
wait_until 90 has_notes 0 || fail "the daemon goes on telling it: $(control status)"
for family in "${LAB_FAMILIES[@]}"; do
  lab_serve "answers-$family" tcp 7000 /usr/bin/python3 "$HERE/traffic.py" serve "${LAB_REMOTE_OF[family]}" 7000
done
lab_serve_dns
tenant_addresses=("${LAB_TENANT_OF[@]}")
for tenant in blue green; do lab_serve_http_at "$tenant" "$tenant-http" 8080 "${tenant_addresses[@]}"; done

ask() {
  local family=$1 remote=${LAB_REMOTE_OF[$1]}
  for _ in {1..10}; do
    tenant dig +short +time=2 +tries=1 -b "${LAB_TENANT_OF[family]}#5353" "@$remote" "$TENANT.example"
  done
  traffic "$TENANT" tcp "$remote" 7000 --name "$TENANT" --ports 6001-6010
  tenant ping -e 4242 -c 5 -i 0.1 -W 2 -p "${pattern[$TENANT]}" "$remote"
}
expect_apart() { # when
  local family tenant other
  for family in "${LAB_FAMILIES[@]}"; do
    for tenant in blue green; do
      capture "$tenant" eth0 "at-$tenant-$family" "ip or (ip6 and not ip6[6] == 0 and not (icmp6 and ip6[40] >= 133))"
    done
    both "ask-$family" ask "$family"
    for tenant in blue green; do
      [[ $tenant == blue ]] && other=green || other=blue
      end_capture "at-$tenant-$family"
      expect "$1, IPv$family: names that $tenant got" "10 ${answer[$tenant]}" \
        "$(grep '^192' "$LAB_DIR/ask-$family-$tenant.log" | sort | uniq -c | xargs)"
      expect "$1, IPv$family: connections of $tenant" "$(echo {6001..6010})" "$(grep '^6001' "$LAB_DIR/ask-$family-$tenant.log")"
      expect_match "$1, IPv$family: $tenant's pings were all answered" '5 packets transmitted, 5 received' \
        "$(cat "$LAB_DIR/ask-$family-$tenant.log")"
      expect "$1, IPv$family: packets of $other's on $tenant's link" "" \
        "$(packets "at-$tenant-$family" "dns.qry.name == \"$other.example\" || data.data contains ${pattern[$other]:0:2}:${pattern[$other]:0:2}:${pattern[$other]:2:2}" | sed -n 1,3p)"
    done
    for tenant in blue green; do
      [[ $tenant == blue ]] && port=40080 || port=40081
      expect_match "$1, IPv$family: $tenant's forwarded port" "^page /$tenant, asked for by .*${LAB_REMOTE_OF[family]}" \
        "$(lab_exec remote curl -sS --max-time 5 "http://$(lab_endpoint "${LAB_EXTERNAL_OF[family]}" "$port")/$tenant" || true)"
      expect_at_least "$1, IPv$family: pages that $tenant's own server gave" 1 \
        "$(grep -c "${LAB_REMOTE_OF[family]}.* /$tenant\$" "$LAB_DIR/$tenant-http-access.log" || true)"
    done
  done
}
sessions_of() { sessions ".namespace == \"$1\"" | wc -l; }

expect_apart "members of a range"
expect_at_least "sessions of vpn-1000" 10 "$(sessions_of vpn-1000)"
expect_at_least "sessions of vpn-1001" 10 "$(sessions_of vpn-1001)"

# A member with a namespace of its own: before the range in the file, and behind it.
own='[[namespace]]
name = "own"
fwmark = 1001
session_limit = 40
'
range='[[namespace]]
name = "vpn"
fwmark = "1000-1999"
session_limit = 200
'
for order in "$own$range" "$range$own"; do
  end_daemon
  LAB_RULES="$order
$(forwards own)"
  start_swnat
  expect_apart "a member of its own"
  for TENANT in blue green; do
    traffic "$TENANT" udp "$LAB_REMOTE" 7000 --name "$TENANT" --ports 21001-21060 >"$LAB_DIR/many.out"
  done
  expect_at_least "sessions of a member by the range's limit" 60 "$(sessions_of vpn-1000)"
  expect "sessions of the member with a limit of its own" 40 "$(sessions_of own)"
  expect "sessions of a member that is another namespace" 0 "$(sessions_of vpn-1001)"
done
swnat check || fail "the file is not valid"
