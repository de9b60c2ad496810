#!/bin/bash
# Tenants do not reach each other's private addresses, nor does the outside reach a tenant that did not ask;
# forged sources do not leave.
# shellcheck source-path=SCRIPTDIR source=lib.sh
source "$(dirname "$0")/lib.sh"

start_lab
# Something of green's that blue does not have: an address in the shared subnet, and a subnet of its own.
LAB_SETTINGS[green.subnets]='["10.0.0.0/24", "10.1.0.0/24"]'
ip -n "$(lab_netns green)" address add 10.0.0.3/24 dev eth0
ip -n "$(lab_netns green)" address add 10.1.0.2/24 dev eth0
ip -n "$(lab_netns gw)" address add 10.1.0.1/24 dev green0
start_swnat
ip -n "$(lab_netns blue)" route add 10.0.0.3/32 via 10.0.0.1
ip -n "$(lab_netns remote)" route add 10.0.0.0/8 via "$LAB_EXTERNAL"

attempts=0
# try FROM ADDRESS: an echo, a datagram and a connection that must go nowhere.
try() {
  attempts=$((attempts + 1))
  if lab_exec "$1" ping -q -c 2 -i 0.05 -W 0.5 -p f00d "$2" >"$LAB_DIR/try.out"; then
    fail "$1 got an answer to its ping from $2"
  fi
  lab_exec "$1" bash -c "echo f00d >/dev/udp/$2/7000"
  if lab_exec "$1" ncat -w 1 --send-only "$2" 7000 </dev/null 2>"$LAB_DIR/try.out"; then
    fail "$1 made a TCP connection to $2"
  fi
}

lab_spawn green listener ncat --listen --keep-open 7000
lab_spawn blue listener-blue ncat --listen --keep-open 7000
wait_until 10 lab_listens green tcp 7000 && wait_until 10 lab_listens blue tcp 7000
for tenant in blue green; do
  capture "$tenant" eth0 "at-$tenant" "ip and not ether src $(lab_exec "$tenant" cat /sys/class/net/eth0/address)"
done
try blue 10.0.0.3
try blue 10.1.0.2
try remote 10.0.0.2
try remote 10.1.0.2

# The capture sees what green is meant to get.
lab_exec green ping -q -c 1 -W 2 10.0.0.1 >"$LAB_DIR/own.out" || fail "green does not reach its gateway"
lab_exec blue ping -q -c 1 -W 2 10.0.0.1 >"$LAB_DIR/own.out" || fail "blue does not reach its gateway"
passed "both tenants reach the gateway's own address"
green_answer_is_seen() { [[ -n $(packets at-green 'ip.src == 10.0.0.1 && icmp.type == 0') ]]; }
wait_until 5 green_answer_is_seen || fail "the capture at green sees nothing"
end_capture at-green
end_capture at-blue
# What arrives from others than the tenant's own gateway came through it.
expect "packets that reached green, after $attempts attempts" "" \
  "$(packets at-green 'ip.src != 10.0.0.1 && ip.src != 10.1.0.1')"
expect "packets that reached blue" "" "$(packets at-blue '!(ip.src == 10.0.0.1) && !(ip.src == 10.0.0.2)')"

# A source that is not in blue's subnets, though it is in green's; and one that is the NAT's own.
capture gw wan0 forged
lab_exec blue /usr/bin/python3 "$HERE/odd_packets.py" forged "$LAB_REMOTE"
lab_exec blue ping -q -c 3 -i 0.05 -W 2 "$LAB_REMOTE" >"$LAB_DIR/own.out" || fail "blue does not reach the remote"
echoes_are_seen() { (($(packets forged 'icmp.type == 0' | wc -l) >= 3)); }
wait_until 5 echoes_are_seen || fail "the capture at the external interface sees nothing"
end_capture forged
expect "forged packets that left" "" "$(packets forged 'udp')"
