#!/bin/bash
# Odd and damaged packets from a tenant and from the outside: each is dropped for the reason that it should be,
# which its counter shows, or passes unharmed; and the daemon lives on.
# shellcheck source-path=SCRIPTDIR source=lib.sh
source "$(dirname "$0")/lib.sh"

start_lab
start_swnat
lab_serve answers tcp 7000 /usr/bin/python3 "$HERE/traffic.py" serve "$LAB_REMOTE" 7000

# send_odd PLACE CASES ARGUMENT…: sends them, and checks each case's counter: the script prints
# "REASON COUNT" for what it sent.
send_odd() {
  local place=$1 cases=$2 reason count before
  shift 2
  control stats --json >"$LAB_DIR/stats-before"
  lab_exec "$place" /usr/bin/python3 "$HERE/odd_packets.py" "$cases" "$@" >"$LAB_DIR/sent"
  while read -r reason count; do
    before=$(jq --arg name "$reason" '[.. | objects | select(has($name)) | .[$name] | numbers] | add // 0' \
      "$LAB_DIR/stats-before")
    expect_counter "$reason" $((before + count))
    expect "packets counted as $reason, sent by $place" "$count" $(($(count_of "$reason") - before))
  done <"$LAB_DIR/sent"
}
lab_exec remote iptables -A INPUT -p udp --dport 9 -j DROP

capture gw wan0 left
send_odd blue outbound "$LAB_REMOTE"
# A mapping for the outside to aim at: its external port is the argument.
answered=$(lab_exec blue /usr/bin/python3 "$HERE/traffic.py" udp "$LAB_REMOTE" 7000 --ports 20001)
expect "answered" 20001 "$answered"
external=$(sessions '.internal == "10.0.0.2:20001"' | jq -r .external)
ip -n "$(lab_netns remote)" address add 203.0.113.101/24 dev eth0
send_odd remote inbound "$LAB_EXTERNAL" --port "${external#*:}"

# Chance: packets with damage anywhere. The seed is printed, so that a failure can be repeated.
seed=${SWNAT_SEED:-$RANDOM}
echo "seed of the random packets: $seed"
lab_exec blue /usr/bin/python3 "$HERE/odd_packets.py" random "$LAB_REMOTE" --seed "$seed" --count 800
lab_exec remote /usr/bin/python3 "$HERE/odd_packets.py" random "$LAB_EXTERNAL" --seed "$seed" --count 800

is_running daemon || fail "the daemon is gone"
lab_exec green ping -q -c 3 -i 0.05 -W 2 "$LAB_REMOTE" >"$LAB_DIR/ping.out" || fail "the daemon translates no more"
passed "the daemon translates as before"
end_capture left
expect "packets that left with a private source" "" "$(packets left 'ip.src == 10.0.0.0/8 && !icmp')"
expect_at_least "packets seen to leave" 3 "$(packets left "ip.src == $LAB_EXTERNAL" | wc -l)"
