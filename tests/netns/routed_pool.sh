#!/bin/bash
# External addresses that no interface has: the remote routes them to the gateway. Translation works for both tenants
# and families; a packet to one of them that the NAT does not own is dropped, and does not go to and fro until its time
# is over.
# shellcheck source-path=SCRIPTDIR source=lib.sh
source "$(dirname "$0")/lib.sh"

POOL_OF=([4]=192.0.2.1 [6]=2001:db8:5::1)
ICMP_OF=([4]='icmp.type == 8' [6]='icmpv6.type == 128')

start_lab
add_far
ip -n "$(lab_netns remote)" route add 192.0.2.0/29 via "$LAB_EXTERNAL"
ip -n "$(lab_netns remote)" route add 2001:db8:5::/64 via "$LAB_EXTERNAL6"
lab_exec gw sh -c 'echo 0 >/proc/sys/net/ipv4/conf/all/send_redirects; echo 0 >/proc/sys/net/ipv4/conf/wan0/send_redirects'
LAB_SETTINGS[external.addresses]='["192.0.2.1", "192.0.2.2", "2001:db8:5::1"]'
start_swnat
for family in "${LAB_FAMILIES[@]}"; do
  lab_serve_at far "answers-$family" tcp 7000 /usr/bin/python3 "$HERE/traffic.py" serve "${FAR_OF[family]}" 7000
done

ask() {
  local ports=20001-20020
  traffic "$TENANT" udp "${FAR_OF[$1]}" 7000 --name "$TENANT" --ports $ports
  traffic "$TENANT" tcp "${FAR_OF[$1]}" 7000 --name "$TENANT" --ports $ports
  tenant ping -e 4242 -c 5 -i 0.1 -W 2 "${FAR_OF[$1]}"
}
expect_translation() { # family, when
  both "ask-$1" ask "$1"
  for tenant in blue green; do
    expect "IPv$1, $2: answers to $tenant over UDP and TCP" "$(echo {20001..20020} {20001..20020})" \
      "$(sed -n 1,2p "$LAB_DIR/ask-$1-$tenant.log" | xargs)"
    expect_match "IPv$1, $2: $tenant's pings were all answered" '5 packets transmitted, 5 received' \
      "$(cat "$LAB_DIR/ask-$1-$tenant.log")"
  done
}
for family in "${LAB_FAMILIES[@]}"; do expect_translation "$family" "at first"; done
expect "sources outside, the pool's alone" "" \
  "$(sessions '(.external | startswith("192.0.2.") or startswith("[2001:db8:5::1]") or startswith("2001:db8:5::1")) | not')"

# One packet of each kind: a ping, and to a port outside the NAT's and to one within that is nobody's.
for family in "${LAB_FAMILIES[@]}"; do
  pool=${POOL_OF[family]}
  expect "IPv$family: sessions on port 50001" "" "$(sessions '.external | endswith(":50001")')"
  capture gw wan0 "stray-$family" "host $pool and host ${FAR_OF[family]}"
  lab_exec far ping -q -c 1 -W 1 "$pool" >"$LAB_DIR/stray.out" 2>&1 && fail "IPv$family: a ping to the pool is answered"
  for port in 53 50001; do
    expect "IPv$family: answers from port $port of the pool" "" \
      "$(traffic far udp "$pool" "$port" --ports 20099 --timeout 0.3)"
    # A single SYN: the connection is given up before the second.
    traffic far tcp "$pool" "$port" --ports 20099 --timeout 0.5 >"$LAB_DIR/stray.out" 2>"$LAB_DIR/stray.err"
    expect "IPv$family: connections to port $port of the pool" "20099: timed out" "$(cat "$LAB_DIR/stray.err")"
  done
  end_capture "stray-$family"
  expect "IPv$family: one ping on the wire" 1 "$(packets "stray-$family" "${ICMP_OF[family]}" | wc -l)"
  for port in 53 50001; do
    expect "IPv$family: one datagram to port $port on the wire" 1 "$(packets "stray-$family" "udp.dstport == $port" | wc -l)"
    expect "IPv$family: one SYN to port $port on the wire" 1 "$(packets "stray-$family" "tcp.dstport == $port" | wc -l)"
  done
  expect "IPv$family: all that was on the wire" 5 "$(packets "stray-$family" | wc -l)"
  expect_translation "$family" "after that"
done

# Nor does it without the daemon.
end_daemon KILL
for family in "${LAB_FAMILIES[@]}"; do
  capture gw wan0 "dead-$family" "host ${POOL_OF[family]} and host ${FAR_OF[family]}"
  lab_exec far ping -q -c 1 -W 1 "${POOL_OF[family]}" >"$LAB_DIR/stray.out" 2>&1 &&
    fail "IPv$family: a ping to the pool is answered without the daemon"
  traffic far udp "${POOL_OF[family]}" 53 --ports 20099 --timeout 0.3 >"$LAB_DIR/stray.out"
  end_capture "dead-$family"
  expect "IPv$family: one ping and one datagram on the wire, without the daemon" 2 "$(packets "dead-$family" | wc -l)"
done
