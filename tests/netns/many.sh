#!/bin/bash
# 5,000 short TCP connections from each tenant, both at once: every one gets the answer to its own question.
# shellcheck source-path=SCRIPTDIR source=lib.sh
source "$(dirname "$0")/lib.sh"
count=${SWNAT_CONNECTIONS:-5000}

start_lab
start_swnat
lab_serve answers tcp 7000 /usr/bin/python3 "$HERE/traffic.py" serve "$LAB_REMOTE" 7000

connect() {
  tenant /usr/bin/python3 "$HERE/traffic.py" connections "$LAB_REMOTE" 7000 --name "$TENANT" --count "$count"
}
both connect connect
for tenant in blue green; do
  expect "what $tenant's client says" "$count connections, each with its own answer" \
    "$(cat "$LAB_DIR/connect-$tenant.log")"
done
expect_at_least "packets translated on the way out" $((count * 2 * 4)) "$(count_of translated_outbound)"
for reason in no_free_port session_limit table_full filtered no_mapping; do
  expect "drops by $reason" 0 "$(count_of "$reason")"
done
