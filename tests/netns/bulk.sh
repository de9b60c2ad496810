#!/bin/bash
# 200 MB byte for byte, in both directions, in both tenants, all at the same time, as segments beyond the MTU.
# shellcheck source-path=SCRIPTDIR source=lib.sh
source "$(dirname "$0")/lib.sh"
megabytes=${SWNAT_BULK_MB:-200}

start_lab
start_swnat

declare -A port=([blue.up]=9001 [blue.down]=9002 [green.up]=9003 [green.down]=9004)
# Different data for each transfer, without a file for each: a keystream, at memory speed.
data() {
  head -c "${megabytes}M" /dev/zero |
    openssl enc -aes-128-ctr -nosalt -K "$(printf %032x "${port[$1]}")" -iv 0 2>/dev/null
}
declare -A digest
for transfer in "${!port[@]}"; do
  digest[$transfer]=$(data "$transfer" | sha256sum)
done

for tenant in blue green; do
  up=${port[$tenant.up]}
  lab_serve "sink-$tenant" tcp "$up" \
    sh -c "ncat --recv-only --listen $LAB_REMOTE $up | sha256sum >$LAB_DIR/$tenant.up"
  # shellcheck disable=SC2030
  data "$tenant.down" >"$LAB_DIR/$tenant.data"
  lab_serve "source-$tenant" tcp "${port[$tenant.down]}" \
    sh -c "ncat --send-only --listen $LAB_REMOTE ${port[$tenant.down]} <$LAB_DIR/$tenant.data"
done

# Twice the size of a frame shows that segments pass the NAT unsplit, on the way out and on the way in.
lab_spawn gw large-out tcpdump -Z root -n -c 20 -i wan0 -Q out 'tcp and greater 3000'
lab_spawn gw large-in tcpdump -Z root -n -c 20 -i blue0 -Q out 'tcp and greater 3000'

transfer() {
  tenant ncat --recv-only "$LAB_REMOTE" "${port[$TENANT.down]}" </dev/null |
    sha256sum >"$LAB_DIR/$TENANT.down" &
  local download=$!
  data "$TENANT.up" | tenant ncat --send-only "$LAB_REMOTE" "${port[$TENANT.up]}"
  wait "$download"
}
both transfer transfer
all_there() { [[ -s $LAB_DIR/blue.up && -s $LAB_DIR/green.up ]]; }
wait_until 20 all_there || fail "the servers did not get everything"

for transfer in "${!port[@]}"; do
  expect "digest of $megabytes MB, $transfer" "${digest[$transfer]}" "$(cat "$LAB_DIR/$transfer")"
done
for way in out in; do
  wait_until 5 grep -q '^20 packets captured' "$LAB_DIR/large-$way.log" ||
    fail "no 20 segments larger than a frame were seen on the way $way"
  passed "segments larger than a frame on the way $way"
done
expect "packets cut by the queue" 0 "$(count_of truncated)"
