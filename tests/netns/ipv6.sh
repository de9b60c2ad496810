#!/bin/bash
# IPv6 through the NAT beside IPv4: both tenants are fd00::2 behind 2001:db8:1::1. Web pages, names, pings with the same
# identifier, large transfers, checksums on every leg, path MTU discovery and traceroute by three protocols; each
# tenant gets its own answers, and nothing leaves with a private source, with the daemon or without.
# shellcheck source-path=SCRIPTDIR source=lib.sh
source "$(dirname "$0")/lib.sh"

FAR=2001:db8:2::7 # behind the remote, which is a router here, over a link with a small MTU
LAB_FAMILIES=(4 6)
start_lab
lab_add_place far || fail "the far host could not be made"
LAB_PLACES+=(far)
lab_link remote far0 2001:db8:2::1/64 far eth0 "$FAR/64" || fail "the far link could not be made"
ip -n "$(lab_netns remote)" link set far0 mtu 1280
ip -n "$(lab_netns far)" link set eth0 mtu 1280
lab_default_route far 2001:db8:2::1
lab_default_route gw "$LAB_REMOTE6"
lab_exec remote sh -c 'echo 1 >/proc/sys/net/ipv6/conf/all/forwarding'
# Both tenants are one address to the outside, which hosts answer with one error a second only.
for place in gw remote far; do lab_exec "$place" sh -c 'echo 0 >/proc/sys/net/ipv6/icmp/ratelimit'; done
start_swnat
lab_serve_http
lab_serve_dns
head -c 20M /dev/urandom >"$LAB_DIR/www/large"

# The ends finish their sums themselves, so that what is captured between them is what a wire would carry.
for place in blue green remote far; do
  lab_exec "$place" ethtool -K eth0 tx off >"$LAB_DIR/ethtool.out" || fail "ethtool: $place"
done
legs=(blue0 green0 wan0)
for leg in "${legs[@]}"; do capture gw "$leg" "leg-$leg" ip6; done

declare -A answer=([blue]=192.0.2.1 [green]=192.0.2.2) pattern=([blue]=b1b1b1b1 [green]=93939393)
url=http://$(lab_endpoint "$LAB_REMOTE6" 80)
mixed_traffic() {
  tenant curl -sS --fail --fail-early --max-time 30 --no-keepalive -H 'Connection: close' "$url/$TENANT/[1-50]"
  for _ in {1..20}; do
    tenant dig +short +time=3 +tries=1 -b "$LAB_TENANT6#5353" "@$LAB_REMOTE6" "$TENANT.example"
  done
  for _ in {1..5}; do tenant dig +short +time=3 +tries=1 +tcp "@$LAB_REMOTE6" "$TENANT.example"; done
  tenant ping -e 4242 -c 20 -i 0.05 -W 2 -w 20 -s 64 -p "${pattern[$TENANT]}" "$LAB_REMOTE6"
}
both mixed mixed_traffic
for tenant in blue green; do
  log=$LAB_DIR/mixed-$tenant.log
  expect "pages with the right content, $tenant" 50 \
    "$(grep -cE "^page /$tenant/[0-9]+, asked for by \[?$LAB_EXTERNAL6\]?:" "$log")"
  expect "answers that $tenant got from the name server" 25 "$(grep -cx "${answer[$tenant]}" "$log")"
  expect_match "$tenant's pings were all answered" '20 packets transmitted, 20 received' "$(cat "$log")"
done
for leg in "${legs[@]}"; do
  end_capture "leg-$leg"
  packets "leg-$leg" "" -T fields -e ipv6.src -e dns.flags.response -e dns.qry.name -e icmpv6.type \
    -e icmpv6.echo.identifier -e data.data >"$LAB_DIR/$leg.packets"
done

# lines LEG EXTENDED-REGULAR-EXPRESSION: how many packets there look so, fields separated by tabs.
lines() { grep -cE "$2" "$LAB_DIR/$1.packets" || true; }
tab=$'\t'
for tenant in blue green; do
  [[ $tenant == blue ]] && other=green || other=blue
  expect "answers to $tenant's names on its own link" 25 "$(lines "${tenant}0" "${tab}1$tab$tenant.example")"
  expect "packets with the other's name on $tenant's link" 0 "$(lines "${tenant}0" "$other.example")"
  expect "echo requests and replies of $tenant on its own link" 40 \
    "$(lines "${tenant}0" "${tab}12[89]${tab}(4242|0x1092)${tab}.*${pattern[$tenant]}")"
  expect "echoes of the other on $tenant's link" 0 "$(lines "${tenant}0" "${pattern[$other]}")"
done
expect "packets with a private source on the external link" 0 "$(lines wan0 '^fd00:')"
expect "external identifiers of the pings" 2 \
  "$(awk -F '\t' '$4 == 128 { print $5 }' "$LAB_DIR/wan0.packets" | sort -u | wc -l)"

# expect_right_sums CAPTURE MINIMUM PROTOCOL…: tshark says 0 for a wrong sum and 1 for a right one.
verify=(-o tcp.check_checksum:TRUE -o udp.check_checksum:TRUE)
expect_right_sums() {
  local name=$1 minimum=$2 protocol
  for protocol in "${@:3}"; do
    # A sum that is right but written as 0xffff instead of 0 is what the ends' kernels write for TCP too.
    expect "$name: wrong $protocol checksums" "" \
      "$(packets "$name" "$protocol.checksum.status == 0 && !tcp.checksum.ffff" "${verify[@]}" | head -n 5)"
    expect_at_least "$name: right $protocol checksums" "$minimum" \
      "$(packets "$name" "$protocol.checksum.status == 1" "${verify[@]}" | wc -l)"
  done
}
for leg in "${legs[@]}"; do expect_right_sums "leg-$leg" 30 tcp udp icmpv6; done

# 20 MB in both directions, both tenants at once, in segments larger than a frame.
for place in blue green remote; do lab_exec "$place" ethtool -K eth0 tx on tso on gso on >"$LAB_DIR/ethtool.out"; done
declare -A port=([blue]=9001 [green]=9002)
transfer() {
  tenant curl -sS --fail --fail-early --max-time 60 -o "$LAB_DIR/fetched-$TENANT" "$url/files/large"
  tenant timeout 60 ncat --send-only "$LAB_REMOTE6" "${port[$TENANT]}" <"$LAB_DIR/www/large"
}
for tenant in blue green; do
  lab_serve "sink-$tenant" tcp "${port[$tenant]}" bash -c \
    "ncat --listen --recv-only $LAB_REMOTE6 ${port[$tenant]} >'$LAB_DIR/sent-$tenant'"
done
both transfer transfer
for tenant in blue green; do
  wait "${LAB_PID[sink-$tenant]}"
  cmp "$LAB_DIR/www/large" "$LAB_DIR/fetched-$tenant" || fail "$tenant did not get the file whole"
  cmp "$LAB_DIR/www/large" "$LAB_DIR/sent-$tenant" || fail "what $tenant sent did not arrive whole"
  passed "20 MB in both directions, byte for byte, $tenant"
done

# The remote says "packet too big" about what it cannot pass on; the tenant then knows the way's MTU.
known_mtu() { lab_exec "$1" ip -6 route get "$FAR" | sed -nE 's/.*mtu ([0-9]+).*/\1/p'; }
for TENANT in blue green; do
  tenant ping -c 2 -i 0.3 -W 2 -M "do" -s 1400 "$FAR" >"$LAB_DIR/mtu.out" 2>&1 || true
  expect_match "$TENANT is told the MTU by the remote" "From $LAB_REMOTE6 .*mtu.*1280" "$(cat "$LAB_DIR/mtu.out")"
  expect "$TENANT knows the MTU of the way" 1280 "$(known_mtu "$TENANT")"
  ip -6 -n "$(lab_netns "$TENANT")" route flush cache
  expect_match "what tracepath tells $TENANT" 'Resume: pmtu 1280' "$(tenant tracepath -6 -n "$FAR")"
  ip -6 -n "$(lab_netns "$TENANT")" route flush cache
done
for TENANT in blue green; do
  lab_spawn far "far-$TENANT" bash -c "ncat --listen --recv-only $FAR 9000 >'$LAB_DIR/far-$TENANT.received'"
  wait_until 10 lab_listens far tcp 9000 || fail "the far sink does not listen"
  head -c 300000 "$LAB_DIR/www/large" >"$LAB_DIR/far.sent"
  tenant timeout 20 ncat --send-only "$FAR" 9000 <"$LAB_DIR/far.sent" || fail "$TENANT cannot send"
  wait "${LAB_PID[far-$TENANT]}"
  cmp "$LAB_DIR/far.sent" "$LAB_DIR/far-$TENANT.received" || fail "what $TENANT sent did not arrive whole"
  passed "$TENANT's TCP gets through the link with a small MTU"
  for method in --icmp --udp --tcp; do
    expect "hops that $TENANT sees with $method" "$LAB_GATEWAY6 $LAB_REMOTE6 $FAR" \
      "$(tenant traceroute -6 -n -q 1 -w 3 "$method" "$FAR" | awk 'NR > 1 { print $2 }' | xargs)"
  done
done

# Without the daemon nothing leaves, and never with a private source.
capture remote eth0 leaked 'src net fd00::/8'
end_daemon KILL
can_ping() { lab_exec "$1" ping -q -c 3 -i 0.1 -W 2 "$LAB_REMOTE6" >"$LAB_DIR/ping.out"; }
if can_ping blue; then fail "a ping passes without a daemon"; fi
start_daemon
can_ping green || fail "no translation by the second daemon"
# The gateway's own address, used as a private source on purpose: the capture would have seen others too.
lab_exec gw ping -q -c 1 -W 1 -I "$LAB_GATEWAY6" "$LAB_REMOTE6" >"$LAB_DIR/ping.out" || true
leak_is_seen() { [[ -n $(packets leaked "ipv6.src == $LAB_GATEWAY6") ]]; }
wait_until 10 leak_is_seen || fail "the capture does not see a private source"
end_capture leaked
expect "packets with a private source, but for the one sent on purpose" 1 \
  "$(packets leaked '!(icmpv6.type in {135, 136})' | wc -l)"
