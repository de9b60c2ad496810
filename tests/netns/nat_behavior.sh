#!/bin/bash
# What programs for NAT behaviour discovery find out (RFC 5780, RFC 3489), in both tenants at once, is what is
# configured: endpoint-independent mapping, each of the three filterings, hairpinning on and off.
# shellcheck source-path=SCRIPTDIR source=lib.sh
source "$(dirname "$0")/lib.sh"
# shellcheck source-path=SCRIPTDIR source=discovery.sh
source "$HERE/discovery.sh"

start_lab
LAB_SETTINGS[nat.mapping]='"endpoint-independent"'
start_swnat
for family in "${LAB_FAMILIES[@]}"; do serve_stun "$family"; done

for filtering in endpoint-independent address-dependent address-and-port-dependent; do
  configure "$filtering" true
  for family in "${LAB_FAMILIES[@]}"; do
    expect_discovery "$family" m "endpoint-independent mapping" 'NAT with Endpoint Independent Mapping!'
    expect_discovery "$family" f "$filtering filtering" "NAT with ${RFC5780_NAME[$filtering]} Filtering!"
  done
  # It sends to its own external endpoint, which it may hear from then under each filtering.
  expect_stun "$filtering filtering and hairpinning" "Independent Mapping, ${RFC3489_NAME[$filtering]}, .*will hairpin"
done

# Of two ports of one host, the one called never sent to the other: only endpoint-independent filtering lets it in.
hairpin='maybe a successful hairpinning'
for family in "${LAB_FAMILIES[@]}"; do
  configure endpoint-independent true
  expect_discovery "$family" H "hairpinning" "$hairpin"
  configure endpoint-independent false
  expect_discovery "$family" H "no hairpinning" 'STUN receive timeout\.\.$'
done
expect_stun "no hairpinning" "Independent Mapping, Independent Filter, .*no hairpin"
