#!/bin/bash
# Fragments through the NAT (RFC 4787 REQ-14): large pings and datagrams of both tenants at once, in every order, twice,
# with the same addresses, ports and ids. Each datagram arrives as it was sent, none holds a piece of another
# tenant's, and two that are under way at the same time have different ids outside (RFC 6864).
# shellcheck source-path=SCRIPTDIR source=lib.sh
source "$(dirname "$0")/lib.sh"

GATEWAY_OF=([4]=$LAB_GATEWAY [6]=$LAB_GATEWAY6)

start_lab
start_swnat

ping_large() { tenant ping -e 4242 -c 10 -i 0.1 -W 3 -s 8000 -p "${pattern[$TENANT]}" "${LAB_REMOTE_OF[$1]}"; }
declare -A pattern=([blue]=b1b1b1b1 [green]=93939393)
for family in "${LAB_FAMILIES[@]}"; do
  both "ping-$family" ping_large "$family"
  for tenant in blue green; do
    expect_match "IPv$family: $tenant's large pings were all answered" '10 packets transmitted, 10 received' \
      "$(cat "$LAB_DIR/ping-$family-$tenant.log")"
    # ping shows the bytes of an answer that are not what it sent.
    expect "IPv$family: answers to $tenant with other bytes" "" \
      "$(grep 'wrong data byte' "$LAB_DIR/ping-$family-$tenant.log" || true)"
  done
done

for family in "${LAB_FAMILIES[@]}"; do
  capture remote eth0 "outside-$family" "src host ${LAB_EXTERNAL_OF[family]}"
  /usr/bin/python3 "$HERE/fragments.py" send --netns "$(lab_netns blue)" "$(lab_netns green)" "$(lab_netns remote)" \
    --source "${LAB_TENANT_OF[family]}" --gateway "${GATEWAY_OF[family]}" --remote "${LAB_REMOTE_OF[family]}" \
    >"$LAB_DIR/fragments.log" || fail "IPv$family: $(cat "$LAB_DIR/fragments.log")"
  passed "IPv$family: $(cat "$LAB_DIR/fragments.log")"
  end_capture "outside-$family"
  /usr/bin/python3 "$HERE/fragments.py" same-ids "$LAB_DIR/outside-$family.pcap" >"$LAB_DIR/same-ids.log"
  expect "IPv$family: rounds whose datagrams share an id outside" "" "$(head -n 5 "$LAB_DIR/same-ids.log")"
done
