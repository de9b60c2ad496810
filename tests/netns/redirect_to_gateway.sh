#!/bin/bash
# A redirect to a name server on the gateway itself, on its loopback: over UDP and TCP, both families, both tenants from
# the same ports at the same time. Each gets its own answers, from the address that it asked; nothing goes outside.
# shellcheck source-path=SCRIPTDIR source=lib.sh
source "$(dirname "$0")/lib.sh"

ASKED_OF=([4]=10.0.0.243 [6]=fd00::f3) # no host has it
RESOLVER_OF=([4]=10.7.0.0 [6]=fd07::1)
GATEWAY_OF=([4]=$LAB_GATEWAY [6]=$LAB_GATEWAY6)

redirects() {
  local family protocol
  for family in "${LAB_FAMILIES[@]}"; do
    for protocol in udp tcp; do
      printf '[[redirect]]\nprotocol = "%s"\nfrom     = "%s"\nto       = "%s"\n\n' "$protocol" \
        "$(lab_endpoint "${ASKED_OF[family]}" 53)" "$(lab_endpoint "${RESOLVER_OF[family]}" 5353)"
    done
  done
}

start_lab
lab_address gw lo "${RESOLVER_OF[4]}/32" "${RESOLVER_OF[6]}/128"
LAB_RULES=$(redirects)
start_swnat
lab_serve_dns_at gw resolver 5353 "${RESOLVER_OF[@]}"
for tenant in blue green; do
  for family in "${LAB_FAMILIES[@]}"; do
    ip -n "$(lab_netns "$tenant")" route add "${ASKED_OF[family]}" via "${GATEWAY_OF[family]}"
  done
done

# dig takes an answer from the address and port that it asked, and from no other.
declare -A answer=([blue]=192.0.2.1 [green]=192.0.2.2)
ask() {
  local port from=${LAB_TENANT_OF[$1]}
  for _ in {1..20}; do
    tenant dig +short +time=2 +tries=1 -b "$from#6053" "@${ASKED_OF[$1]}" "$TENANT.example" || echo "no answer over UDP"
  done
  for port in {6001..6010}; do
    tenant dig +short +time=2 +tries=1 +tcp -b "$from#$port" "@${ASKED_OF[$1]}" "$TENANT.example" ||
      echo "no answer over TCP"
  done
}

for family in "${LAB_FAMILIES[@]}"; do
  capture remote eth0 "outside-$family" 'port 53 or port 5353'
  for tenant in blue green; do
    TENANT=$tenant
    expect "IPv$family: $tenant alone, over UDP" "${answer[$tenant]}" \
      "$(tenant dig +short +time=2 +tries=1 "@${ASKED_OF[family]}" "$tenant.example" | sed -n 1p)"
    expect "IPv$family: $tenant alone, over TCP" "${answer[$tenant]}" \
      "$(tenant dig +short +time=2 +tries=1 +tcp "@${ASKED_OF[family]}" "$tenant.example" | sed -n 1p)"
  done
  both "ask-$family" ask "$family"
  for tenant in blue green; do
    expect "IPv$family: answers that $tenant got, from ports that the other used too" "30 ${answer[$tenant]}" \
      "$(grep -v '^;' "$LAB_DIR/ask-$family-$tenant.log" | sort | uniq -c | xargs)"
  done
  end_capture "outside-$family"
  expect "IPv$family: queries outside" "" "$(packets "outside-$family")"
done

# The port is open to those who are redirected, and what no rule names is not.
if lab_exec blue dig +short +time=1 +tries=1 "@${ASKED_OF[4]}" -p 54 blue.example >"$LAB_DIR/dig.out"; then
  fail "another port is answered: $(cat "$LAB_DIR/dig.out")"
fi
passed "another port is not redirected"
