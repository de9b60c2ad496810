#!/bin/bash
# Redirects: what a tenant sends to one address and port goes to another, outside or in its own network, and the
# answers come from the address that it asked.
# shellcheck source-path=SCRIPTDIR source=lib.sh
source "$(dirname "$0")/lib.sh"

# No host has these addresses: of what is redirected to the outside, and to the tenant's own network.
OUTSIDE_OF=([4]=10.0.0.243 [6]=fd00::f3)
INSIDE_OF=([4]=10.0.0.244 [6]=fd00::f4)
OWN_SERVER_OF=([4]=10.0.0.3 [6]=fd00::3)
GATEWAY_OF=([4]=$LAB_GATEWAY [6]=$LAB_GATEWAY6)

# redirect PROTOCOL ADDRESS PORT ADDRESS PORT
redirect() {
  printf '[[redirect]]\nprotocol = "%s"\nfrom     = "%s"\nto       = "%s"\n\n' "$1" \
    "$(lab_endpoint "$2" "$3")" "$(lab_endpoint "$4" "$5")"
}
redirects() {
  local family
  for family in "${LAB_FAMILIES[@]}"; do
    redirect udp "${OUTSIDE_OF[family]}" 53 "${LAB_REMOTE_OF[family]}" 5353
    redirect tcp "${OUTSIDE_OF[family]}" 8080 "${LAB_REMOTE_OF[family]}" 80
    redirect udp "${INSIDE_OF[family]}" 53 "${OWN_SERVER_OF[family]}" 5353
  done
}

start_lab
LAB_RULES=$(redirects)
start_swnat
lab_serve_http
lab_serve_dns_at remote dns 5353 "${LAB_REMOTES[@]}"
for tenant in blue green; do
  own_servers=()
  for family in "${LAB_FAMILIES[@]}"; do
    own_servers+=("${OWN_SERVER_OF[family]}")
    lab_address "$tenant" eth0 "${OWN_SERVER_OF[family]}/$((family == 4 ? 24 : 64))"
    for address in "${OUTSIDE_OF[family]}" "${INSIDE_OF[family]}"; do
      ip -n "$(lab_netns "$tenant")" route add "$address" via "${GATEWAY_OF[family]}"
    done
  done
  lab_serve_dns_at "$tenant" "dns-$tenant" 5353 "${own_servers[@]}"
done

# dig takes an answer from the address that it asked, and from no other.
declare -A answer=([blue]=192.0.2.1 [green]=192.0.2.2)
ask() {
  local address family=$1
  for address in "${OUTSIDE_OF[family]}" "${INSIDE_OF[family]}"; do
    for _ in {1..10}; do
      tenant dig +short +time=3 +tries=1 -b "${LAB_TENANT_OF[family]}#5353" "@$address" "$TENANT.example"
    done
  done
}
fetch() {
  tenant curl -sS --fail --fail-early --max-time 20 "http://$(lab_endpoint "${OUTSIDE_OF[$1]}" 8080)/$TENANT/[1-20]"
}

for family in "${LAB_FAMILIES[@]}"; do
  capture gw wan0 "leg-$family" "net ${LAB_EXTERNAL_OF[family]}"
  # dig's own port must not be that of the tenant's server, which has another address.
  both "ask-$family" ask "$family"
  both "fetch-$family" fetch "$family"
  for tenant in blue green; do
    expect "IPv$family: answers from outside and inside that $tenant got" "20 ${answer[$tenant]}" \
      "$(sort "$LAB_DIR/ask-$family-$tenant.log" | uniq -c | xargs)"
    expect "IPv$family: pages that $tenant got over TCP" 20 \
      "$(grep -c "^page /$tenant/[0-9]*, asked for by .*${LAB_EXTERNAL_OF[family]}" "$LAB_DIR/fetch-$family-$tenant.log")"
  done
  end_capture "leg-$family"
  expect "IPv$family: queries outside, of both tenants" 20 "$(packets "leg-$family" 'udp.dstport == 5353' | wc -l)"
  expect "IPv$family: packets outside that were not redirected" "" \
    "$(packets "leg-$family" "udp.dstport == 53 || tcp.dstport == 8080")"
done

queries() { grep -c "query\[A\] $2.example from" "$LAB_DIR/$1.log" || true; }
for tenant in blue green; do
  [[ $tenant == blue ]] && other=green || other=blue
  expect "queries of $tenant at its own server" $((10 * ${#LAB_FAMILIES[@]})) "$(queries "dns-$tenant" "$tenant")"
  expect "queries of $other at $tenant's server" 0 "$(queries "dns-$tenant" "$other")"
  expect "queries of $tenant at the remote" $((10 * ${#LAB_FAMILIES[@]})) "$(queries dns "$tenant")"
done

# What no rule names is not redirected.
if lab_exec blue dig +short +time=1 +tries=1 "@${OUTSIDE_OF[4]}" -p 54 blue.example >"$LAB_DIR/dig.out"; then
  fail "another port is answered: $(cat "$LAB_DIR/dig.out")"
fi
passed "another port is not redirected"
