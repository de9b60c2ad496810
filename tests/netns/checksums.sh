#!/bin/bash
# Every packet on every leg has the right checksums, for mixed traffic; so has every segment that the kernel
# cuts from the large ones which passed the NAT; and damage done by a sender stays visible.
# shellcheck source-path=SCRIPTDIR source=lib.sh
source "$(dirname "$0")/lib.sh"

verify=(-o ip.check_checksum:TRUE -o tcp.check_checksum:TRUE -o udp.check_checksum:TRUE)
bad='ip.checksum.status == 0 || tcp.checksum.status == 0 || udp.checksum.status == 0 || icmp.checksum.status == 0'

# expect_right CAPTURE MINIMUM PROTOCOL…: nothing is wrong, and each protocol was there that often.
expect_right() {
  local name=$1 minimum=$2 protocol
  shift 2
  packets "$name" "" "${verify[@]}" -T fields -E header=y -e frame.number -e ip.checksum.status \
    -e tcp.checksum.status -e udp.checksum.status -e icmp.checksum.status -e tcp.checksum.ffff \
    >"$LAB_DIR/$name.sums"
  for protocol in "$@"; do
    expect "$name: frames with a wrong $protocol checksum" "" "$(frames_with 0 "$protocol" "$name" | head -n 5)"
    expect_at_least "$name: right $protocol checksums" "$minimum" "$(frames_with 1 "$protocol" "$name" | wc -l)"
  done
}

# frames_with STATUS PROTOCOL CAPTURE: tshark says 0 for wrong and 1 for right. The last column is its name for a sum
# that is right but written as 0xffff instead of 0, as the ends' kernels do for TCP too (skb_checksum_help): once in
# 65,536 segments.
frames_with() {
  awk -F '\t' -v status="$1" -v name="$2.checksum.status" '
    NR == 1 { for (i = 1; i <= NF; ++i) if ($i == name) column = i; next }
    name ~ /^tcp/ && $NF != "" { $column = 1 }
    index($column, status) { print $1 }' "$LAB_DIR/$3.sums"
}

# The ends finish their sums themselves, so that what is captured between them is what a wire would carry.
finish_sums() {
  local place
  for place in blue green remote; do
    lab_exec "$place" ethtool -K eth0 tx "$1" >"$LAB_DIR/ethtool.out" || fail "ethtool: $place tx $1"
  done
}

mixed_traffic() {
  local size
  tenant curl -sS --fail --max-time 20 "http://$LAB_REMOTE/$TENANT/[1-10]"
  tenant curl -sS --fail --max-time 20 -o /dev/null "http://$LAB_REMOTE/files/large"
  for size in 0 1 2 3 55 56 57 1471 1472; do
    tenant ping -q -c 2 -i 0.01 -W 2 -s "$size" "$LAB_REMOTE"
  done
  tenant /usr/bin/python3 "$HERE/traffic.py" udp "$LAB_REMOTE" 7000 --name u --ports 20001-20020 --growing
  tenant /usr/bin/python3 "$HERE/traffic.py" udp "$LAB_REMOTE" 7000 --no-checksum --ports 20101-20104
  tenant /usr/bin/python3 "$HERE/traffic.py" connections "$LAB_REMOTE" 7000 --name "$TENANT" --count 20
}

start_lab
start_swnat
lab_serve_http
head -c 2000001 /dev/urandom >"$LAB_DIR/www/large"
lab_serve answers tcp 7000 /usr/bin/python3 "$HERE/traffic.py" serve "$LAB_REMOTE" 7000
lab_serve sink tcp 9000 ncat --listen --keep-open --recv-only "$LAB_REMOTE" 9000

finish_sums off
capture gw blue0 leg-blue
capture gw green0 leg-green
capture gw wan0 leg-wan
both mixed mixed_traffic
for leg in leg-blue leg-green leg-wan; do
  end_capture "$leg"
  expect_right "$leg" 30 ip tcp udp icmp
done
expect "sums of zero in UDP from both tenants, kept" 8 \
  "$(packets leg-wan "udp.checksum == 0 && ip.src == $LAB_EXTERNAL" | wc -l)"

# The ends leave their sums to the last moment and send segments larger than a frame; the gateway's
# interfaces cut them after translation.
finish_sums on
for place in blue green remote; do
  lab_exec "$place" ethtool -K eth0 tso on gso on >"$LAB_DIR/ethtool.out"
done
for interface in blue0 green0 wan0; do
  lab_exec gw ethtool -K "$interface" tx off tso off gso off >"$LAB_DIR/ethtool.out"
done
upload() {
  tenant curl -sS --fail --max-time 20 -o /dev/null "http://$LAB_REMOTE/files/large"
  head -c 2000001 /dev/urandom | tenant ncat --send-only "$LAB_REMOTE" 9000
}
capture remote eth0 cut-remote src host "$LAB_EXTERNAL"
capture blue eth0 cut-blue src host "$LAB_REMOTE"
capture green eth0 cut-green src host "$LAB_REMOTE"
lab_spawn gw large tcpdump -Z root -n -c 20 -i blue0 -Q in 'tcp and greater 3000'
both upload upload
for leg in cut-remote cut-blue cut-green; do
  end_capture "$leg"
  expect_right "$leg" 1000 ip tcp
  expect "$leg: packets larger than a frame" 0 "$(packets "$leg" 'frame.len > 1514' | wc -l)"
done
wait_until 5 grep -q '^20 packets captured' "$LAB_DIR/large.log" || fail "no large segments entered the gateway"
passed "large segments entered the gateway"

# A wrong sum must be seen, here and by the receiver: this is also the proof that the checks above can fail.
finish_sums off
capture gw wan0 damaged
lab_exec blue /usr/bin/python3 "$HERE/odd_packets.py" damaged "$LAB_REMOTE"
translated_damage() { packets damaged "udp.dstport == 7777" >"$LAB_DIR/count" && [[ -s $LAB_DIR/count ]]; }
wait_until 5 translated_damage || fail "the damaged datagram did not leave"
end_capture damaged
expect "wrong checksums found in the damaged datagram" 1 "$(packets damaged "$bad" "${verify[@]}" | wc -l)"
