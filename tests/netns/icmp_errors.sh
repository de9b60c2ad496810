#!/bin/bash
# ICMP errors through the NAT (RFC 5508): path MTU discovery beyond the gateway, traceroute, a closed port, for both
# tenants at once; and none of them reaches the other tenant.
# shellcheck source-path=SCRIPTDIR source=lib.sh
source "$(dirname "$0")/lib.sh"

FAR=198.51.100.7 # behind the remote, which is a router here, over a link with a small MTU
start_lab
lab_add_place far || fail "the far host could not be made"
LAB_PLACES+=(far)
lab_link remote far0 198.51.100.1/24 far eth0 "$FAR/24" || fail "the far link could not be made"
ip -n "$(lab_netns remote)" link set far0 mtu 1280
ip -n "$(lab_netns far)" link set eth0 mtu 1280
ip -n "$(lab_netns far)" route add default via 198.51.100.1
ip -n "$(lab_netns gw)" route add default via "$LAB_REMOTE"
lab_exec remote sh -c 'echo 1 >/proc/sys/net/ipv4/ip_forward'
# Both tenants are one address to the outside, which hosts answer with one error a second only.
for place in gw remote far; do lab_exec "$place" sh -c 'echo 0 >/proc/sys/net/ipv4/icmp_ratelimit'; done
start_swnat

# The remote says "fragmentation needed" about a packet that it cannot pass on; the tenant then knows the way's MTU.
ping_whole() { lab_exec "$TENANT" ping -c 2 -i 0.3 -W 2 -M "do" -s 1400 "$FAR"; }
known_mtu() { lab_exec "$1" ip route get "$FAR" | sed -nE 's/.*mtu ([0-9]+).*/\1/p'; }
for TENANT in blue green; do
  ping_whole >"$LAB_DIR/mtu-$TENANT.out" 2>&1 || true
  expect_match "$TENANT is told the MTU by the remote" "From $LAB_REMOTE .*mtu = 1280" "$(cat "$LAB_DIR/mtu-$TENANT.out")"
  expect "$TENANT knows the MTU of the way" 1280 "$(known_mtu "$TENANT")"
done
for TENANT in blue green; do ip -n "$(lab_netns "$TENANT")" route flush cache; done

# TCP finds it out by itself.
head -c 300000 /dev/urandom >"$LAB_DIR/sent"
for TENANT in blue green; do
  lab_spawn far "sink-$TENANT" bash -c "ncat --listen --recv-only $FAR 9000 >'$LAB_DIR/received-$TENANT'"
  wait_until 10 lab_listens far tcp 9000 || fail "the sink does not listen"
  lab_exec "$TENANT" timeout 20 ncat --send-only "$FAR" 9000 <"$LAB_DIR/sent" || fail "$TENANT cannot send"
  wait "${LAB_PID[sink-$TENANT]}"
  cmp "$LAB_DIR/sent" "$LAB_DIR/received-$TENANT" || fail "what $TENANT sent did not arrive whole"
  passed "$TENANT's TCP gets through the link with a small MTU"
done

# Every hop of the way answers, the gateway itself (to the right tenant) and those beyond.
for TENANT in blue green; do
  for method in --icmp --udp --tcp; do
    expect "hops that $TENANT sees with $method" "10.0.0.1 $LAB_REMOTE $FAR" \
      "$(lab_exec "$TENANT" traceroute -n -q 1 -w 3 "$method" "$FAR" | awk 'NR > 1 {print $2}' | tr '\n' ' ' | sed 's/ $//')"
  done
done

# Both tenants send from the same port to a closed one; each is refused.
refused() {
  lab_exec "$TENANT" /usr/bin/python3 -c "
import socket
s = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
s.bind(('10.0.0.2', 5353)); s.connect(('$FAR', 7)); s.settimeout(5); s.send(b'x')
try: s.recv(1)
except ConnectionRefusedError: print('refused')"
}
for TENANT in blue green; do expect "$TENANT sending to a closed port" refused "$(refused)"; done
capture blue eth0 at-blue 'icmp[icmptype] == icmp-unreach'
TENANT=green
expect "green alone sending to a closed port" refused "$(refused)"
end_capture at-blue
expect "errors that reached blue meanwhile" "" "$(packets at-blue)"
