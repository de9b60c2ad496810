#!/bin/bash
# With address-and-port-dependent mapping, programs for NAT behaviour discovery find just that, in both tenants at
# once, whatever the filtering: what is mapped to one remote endpoint says nothing to another.
# shellcheck source-path=SCRIPTDIR source=lib.sh
source "$(dirname "$0")/lib.sh"
# shellcheck source-path=SCRIPTDIR source=discovery.sh
source "$HERE/discovery.sh"

start_lab
LAB_SETTINGS[nat.mapping]='"address-and-port-dependent"'
start_swnat
for family in "${LAB_FAMILIES[@]}"; do serve_stun "$family"; done

configure address-and-port-dependent true
for family in "${LAB_FAMILIES[@]}"; do
  expect_discovery "$family" m "mapping per remote" 'NAT with Address and Port Dependent Mapping!'
  expect_discovery "$family" f "filtering per remote" 'NAT with Address and Port Dependent Filtering!'
done
expect_stun "mapping per remote" 'Dependent Mapping'

# Nor does it seem to be another mapping where the program's own port is one that the NAT hands out, and free.
discovery_port=50000
for family in "${LAB_FAMILIES[@]}"; do
  expect_discovery "$family" m "mapping per remote, the port free" 'NAT with Address and Port Dependent Mapping!'
done
