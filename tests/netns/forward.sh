#!/bin/bash
# Forwarded ports: whoever knows the external endpoint reaches the tenant's server, which sees who asks; another tenant
# and the same tenant reach it too (hairpinning) and are seen as the external address; nothing else is opened.
# Rules come and go by a reload.
# shellcheck source-path=SCRIPTDIR source=lib.sh
source "$(dirname "$0")/lib.sh"

STRANGER_OF=([4]=203.0.113.101 [6]=2001:db8:1::101)

# forwards: the rules, in all families: blue's web server, green's name server.
tenant_addresses=()
for family in "${LAB_FAMILIES[@]}"; do tenant_addresses+=("${LAB_TENANT_OF[family]}"); done

start_lab
lab_address remote eth0 "${STRANGER_OF[4]}/24" "${STRANGER_OF[6]}/64"
LAB_RULES=$(forwards)
start_swnat
lab_serve_http_at blue blue-http 8080 "${tenant_addresses[@]}"
lab_serve_dns_at green green-dns 5353 "${tenant_addresses[@]}"
head -c 5M /dev/urandom >"$LAB_DIR/www/large"

fetch() { lab_exec "$1" curl -sS --fail --fail-early --max-time 20 "${@:2}"; }
ask() { lab_exec "$1" dig +short +time=3 +tries=2 "${@:2}" -p 40053 green.example; }
cannot_fetch() { ! fetch "$1" --connect-timeout 1 "$2" >"$LAB_DIR/fetch.out" 2>&1; }

for family in "${LAB_FAMILIES[@]}"; do
  external=${LAB_EXTERNAL_OF[family]}
  stranger=${STRANGER_OF[family]}
  url=http://$(lab_endpoint "$external" 40080)

  # From outside, without a word from the tenant before.
  expect_match "IPv$family: the server sees the remote" "^page /1, asked for by .*${LAB_REMOTE_OF[family]}\]?:[0-9]+$" \
    "$(fetch remote --interface "${LAB_REMOTE_OF[family]}" "$url/1")"
  expect_match "IPv$family: and a stranger" "^page /2, asked for by .*$stranger\]?:40000$" \
    "$(fetch remote --interface "$stranger" --local-port 40000 "$url/2")"
  fetch remote -o "$LAB_DIR/fetched" "$url/files/large"
  expect_same_file "IPv$family: a large file" "$LAB_DIR/www/large" "$LAB_DIR/fetched"
  expect "IPv$family: 50 requests at the same time" 50 \
    "$(fetch remote --parallel --parallel-max 50 "$url/[1-50]" | grep -c '^page ')"
  expect "IPv$family: a name server over UDP" 192.0.2.2 "$(ask remote "@$external")"
  expect "IPv$family: asked by a stranger" 192.0.2.2 "$(ask remote "@$external" -b "$stranger")"

  # From inside.
  for tenant in green blue; do
    expect_match "IPv$family: $tenant is seen as the external address" "^page /3, asked for by .*$external\]?:[0-9]+$" \
      "$(fetch "$tenant" "$url/3")"
    fetch "$tenant" -o "$LAB_DIR/fetched" "$url/files/large"
    expect_same_file "IPv$family: $tenant gets a large file" "$LAB_DIR/www/large" "$LAB_DIR/fetched"
    expect "IPv$family: $tenant asks a name server over UDP" 192.0.2.2 "$(ask "$tenant" "@$external")"
  done

  # The internal port, and the other protocol and tenant.
  cannot_fetch remote "http://$(lab_endpoint "$external" 8080)" || fail "the internal port is open outside"
  cannot_fetch remote "http://$(lab_endpoint "$external" 40053)" || fail "TCP is open where UDP is forwarded"
  passed "IPv$family: nothing else is open"
done

# A reload takes a rule away, and brings it back.
url=http://$LAB_EXTERNAL:40080
LAB_RULES=
lab_write_config
control reload >"$LAB_DIR/reload.out"
cannot_fetch remote "$url/4" || fail "a rule that is gone still counts"
passed "without the rule nothing is forwarded"
LAB_RULES=$(forwards)
lab_write_config
control reload >"$LAB_DIR/reload.out"
expect_match "with the rule again" '^page /5,' "$(fetch remote "$url/5")"
