#!/bin/bash
# The operator's own iptables rules, made before `up`, count: MSS clamping in mangle POSTROUTING, in both directions, and
# a block list in raw PREROUTING, for what a tenant would get otherwise.
# shellcheck source-path=SCRIPTDIR source=lib.sh
source "$(dirname "$0")/lib.sh"

BLOCKED_OF=([4]=203.0.113.101 [6]=2001:db8:1::101)
IPTABLES_OF=([4]=iptables [6]=ip6tables)

start_lab
lab_address remote eth0 "${BLOCKED_OF[4]}/24" "${BLOCKED_OF[6]}/64"
LAB_SETTINGS[nat.filtering]='"endpoint-independent"'
for family in "${LAB_FAMILIES[@]}"; do
  lab_exec gw "${IPTABLES_OF[family]}" -t mangle -A POSTROUTING -p tcp --tcp-flags SYN,RST SYN -j TCPMSS --set-mss 1200
  lab_exec gw "${IPTABLES_OF[family]}" -t raw -A PREROUTING -i wan0 -s "${BLOCKED_OF[family]}" -j DROP
  for address in "${LAB_REMOTE_OF[family]}" "${BLOCKED_OF[family]}"; do
    lab_serve "answers-$address" tcp 7000 /usr/bin/python3 "$HERE/traffic.py" serve "$address" 7000
  done
done

hits() { # family, table, chain, target: packets that the rule counted
  lab_exec gw "${IPTABLES_OF[$1]}" -t "$2" -nvxL "$3" | awk -v target="$4" '$3 == target { print $1; exit }'
}

expect_rules_count() { # when
  local family blocked clamped
  for family in "${LAB_FAMILIES[@]}"; do
    blocked=$(hits "$family" raw PREROUTING DROP)
    clamped=$(hits "$family" mangle POSTROUTING TCPMSS)
    capture remote eth0 "mss-$family" "host ${LAB_EXTERNAL_OF[family]}"
    for tenant in blue green; do
      capture "$tenant" eth0 "mss-$tenant-$family" "host ${LAB_REMOTE_OF[family]}"
      expect "$1, IPv$family: $tenant's connection" 0 "$(traffic "$tenant" tcp "${LAB_REMOTE_OF[family]}" 7000 --ports 0)"
      expect "$1, IPv$family: $tenant asks one that is blocked" "" \
        "$(traffic "$tenant" udp "${BLOCKED_OF[family]}" 7000 --ports 0 --timeout 0.5)"
      if reaches "$tenant" "${BLOCKED_OF[family]}"; then fail "$1, IPv$family: $tenant pings one that is blocked"; fi
      end_capture "mss-$tenant-$family"
      expect "$1, IPv$family: MSS that $tenant is told" 1200 \
        "$(packets "mss-$tenant-$family" 'tcp.flags.syn == 1 && tcp.flags.ack == 1' -T fields -e tcp.options.mss_val)"
    done
    end_capture "mss-$family"
    expect "$1, IPv$family: MSS that the remote is told, twice" "2 1200" \
      "$(packets "mss-$family" 'tcp.flags.syn == 1 && tcp.flags.ack == 0' -T fields -e tcp.options.mss_val | sort | uniq -c | xargs)"
    # The pings' answers at least; the host limits the rate of its errors.
    expect_at_least "$1, IPv$family: packets that met the block list" 4 $(($(hits "$family" raw PREROUTING DROP) - blocked))
    expect_at_least "$1, IPv$family: packets that were clamped" 4 $(($(hits "$family" mangle POSTROUTING TCPMSS) - clamped))
  done
}

start_swnat
expect_rules_count "after up"
apply_rules
expect_rules_count "after a second up"
