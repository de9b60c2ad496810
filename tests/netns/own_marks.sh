#!/bin/bash
# The gateway's own packets may have fwmarks of other programs, which name no tenant (wg-quick 0xca6c, kube-proxy 0x4000
# and 0x8000, and bits outside the mask): they pass, unchanged, and the daemon never calls them an unknown namespace's.
# shellcheck source-path=SCRIPTDIR source=lib.sh
source "$(dirname "$0")/lib.sh"

start_lab
start_swnat
for family in "${LAB_FAMILIES[@]}"; do
  lab_serve "answers-$family" tcp 7000 /usr/bin/python3 "$HERE/traffic.py" serve "${LAB_REMOTE_OF[family]}" 7000
done

for family in "${LAB_FAMILIES[@]}"; do
  remote=${LAB_REMOTE_OF[family]}
  for fwmark in 0 51820 0x4000 0x8000 0x10000; do
    what="IPv$family, fwmark $fwmark"
    expect_match "$what: pings are answered" '3 packets transmitted, 3 received' \
      "$(lab_exec gw ping -m $((fwmark)) -c 3 -i 0.05 -W 2 "$remote" || true)"
    expect "$what: datagrams from usual ports and from the NAT's" "20001 20002 45001 45002" \
      "$(traffic gw udp "$remote" 7000 --fwmark "$fwmark" --ports 20001-20002,45001-45002)"
    expect "$what: connections" "20001 20002 45001 45002" \
      "$(traffic gw tcp "$remote" 7000 --fwmark "$fwmark" --ports 20001-20002,45001-45002)"
  done
done
expect "packets of an unknown namespace" 0 "$(count_of unknown_namespace)"

# The tenants' fwmarks still count.
for tenant in blue green; do
  reaches "$tenant" "$LAB_REMOTE" || fail "$tenant does not reach the remote"
done
expect_counter translated_outbound 2
