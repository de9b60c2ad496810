#!/bin/bash
# Name queries over UDP and TCP from the same port, and pings with the same identifier: each tenant gets its own
# answers, and never sees the other's.
# shellcheck source-path=SCRIPTDIR source=lib.sh
source "$(dirname "$0")/lib.sh"

start_lab
start_swnat
lab_serve_dns
capture blue eth0 leg-blue
capture green eth0 leg-green
capture gw wan0 leg-wan

declare -A answer=([blue]=192.0.2.1 [green]=192.0.2.2)
# The payload of the pings tells whose they are.
declare -A pattern=([blue]=b1b1b1b1 [green]=93939393)

ask() {
  for _ in {1..20}; do
    tenant dig +short +time=3 +tries=1 -b 10.0.0.2#5353 "@$LAB_REMOTE" "$TENANT.example"
  done
  for _ in {1..5}; do
    tenant dig +short +time=3 +tries=1 +tcp "@$LAB_REMOTE" "$TENANT.example"
  done
}
both ask ask
for tenant in blue green; do
  expect "answers that $tenant got" "25 ${answer[$tenant]}" \
    "$(sort "$LAB_DIR/ask-$tenant.log" | uniq -c | xargs)"
done

ping_remote() {
  tenant ping -e 4242 -c 20 -i 0.05 -W 2 -w 20 -s 64 -p "${pattern[$TENANT]}" "$LAB_REMOTE"
}
both ping ping_remote
for tenant in blue green; do
  expect_match "$tenant's pings were all answered" '20 packets transmitted, 20 received' \
    "$(cat "$LAB_DIR/ping-$tenant.log")"
done

for leg in blue green wan; do
  end_capture "leg-$leg"
  packets "leg-$leg" "" -T fields -e ip.src -e dns.flags.response -e dns.qry.name -e icmp.type -e icmp.ident \
    -e data.data >"$LAB_DIR/$leg.packets"
done

# lines LEG EXTENDED-REGULAR-EXPRESSION: how many packets there look so, fields separated by tabs.
lines() { grep -cE "$2" "$LAB_DIR/$1.packets" || true; }
tab=$'\t'
for tenant in blue green; do
  [[ $tenant == blue ]] && other=green || other=blue
  expect "answers to $tenant's names on its own link" 25 "$(lines "$tenant" "${tab}1$tab$tenant.example")"
  expect "packets with the other's name on $tenant's link" 0 "$(lines "$tenant" "$other.example")"
  expect "echo requests and replies of $tenant on its own link" 40 \
    "$(lines "$tenant" "${tab}[08]${tab}4242$tab.*${pattern[$tenant]}")"
  expect "echoes of the other on $tenant's link" 0 "$(lines "$tenant" "${pattern[$other]}")"
done
expect "sources on the external link" "$LAB_EXTERNAL $LAB_REMOTE" \
  "$(cut -f1 "$LAB_DIR/wan.packets" | sort -u | xargs)"
expect "external identifiers of the pings" 2 \
  "$(awk -F '\t' '$4 == 8 { print $5 }' "$LAB_DIR/wan.packets" | sort -u | wc -l)"
