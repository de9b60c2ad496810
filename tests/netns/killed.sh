#!/bin/bash
# Whatever happens to the daemon and the rules under traffic, no packet leaves with a private source: before
# `up`, between `up` and the daemon's start, after kill -9, over restarts, after `down`.
# shellcheck source-path=SCRIPTDIR source=lib.sh
source "$(dirname "$0")/lib.sh"

sent_by() { lab_exec "$1" cat /sys/class/net/eth0/statistics/tx_packets; }
sent_since() { (($(sent_by blue) >= blue_start + $1 && $(sent_by green) >= green_start + $1)); }

# Waits until both tenants sent that many more packets.
let_traffic_pass() {
  local blue_start green_start
  blue_start=$(sent_by blue)
  green_start=$(sent_by green)
  wait_until 20 sent_since "$1" || fail "the tenants send nothing: the test shows nothing"
}

expect_translation() {
  local before
  before=$(count_of translated_outbound)
  wait_until 20 counter_reaches translated_outbound $((before + 500)) || fail "traffic is not translated: $1"
  passed "traffic is translated: $1"
}

queue_lines() { lab_exec gw cat /proc/net/netfilter/nfnetlink_queue; }
no_queue_is_left() { [[ -z $(queue_lines) ]]; }

start_lab
lab_serve answers tcp 7000 /usr/bin/python3 "$HERE/traffic.py" serve "$LAB_REMOTE" 7000
lab_serve sink tcp 9000 ncat --listen --keep-open --recv-only "$LAB_REMOTE" 9000
capture remote eth0 leaked 'ip and not src net 203.0.113.0/24'
for tenant in blue green; do
  lab_spawn "$tenant" "flood-$tenant" /usr/bin/python3 "$HERE/traffic.py" flood "$LAB_REMOTE" 7000 --seconds 90
  # A stream that starts again whenever the NAT was away for too long.
  lab_spawn "$tenant" "stream-$tenant" timeout 90 bash -c "while :; do
      head -c 1G /dev/zero | timeout 4 ncat --send-only $LAB_REMOTE 9000; sleep 0.1
    done"
  lab_spawn "$tenant" "ping-$tenant" ping -q -i 0.02 -w 90 "$LAB_REMOTE"
done

let_traffic_pass 500
apply_rules
let_traffic_pass 500
for round in 1 2 3; do
  start_daemon
  expect_translation "round $round"
  end_daemon KILL
  wait_until 5 no_queue_is_left || fail "a queue is left after kill -9: $(queue_lines)"
  let_traffic_pass 1000
done

start_daemon
expect_translation "before down"
swnat down
let_traffic_pass 500
apply_rules
expect_translation "after the second up"
end_daemon TERM
expect "exit status of the daemon, stopped under traffic" 0 "$DAEMON_STATUS"
expect "queues left" "" "$(queue_lines)"
swnat down
let_traffic_pass 500

# The gateway's own address, used as a private source on purpose: the capture would have seen others too.
lab_exec gw ping -q -c 1 -W 1 -I 10.0.0.1 "$LAB_REMOTE" >"$LAB_DIR/own-ping.out" || true
leak_is_seen() { [[ -n $(packets leaked 'ip.src == 10.0.0.1') ]]; }
wait_until 10 leak_is_seen || fail "the capture does not see a private source"
end_capture leaked
expect "packets with a private source, but for the one sent on purpose" 1 "$(packets leaked | wc -l)"
