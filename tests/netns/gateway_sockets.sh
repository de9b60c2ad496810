#!/bin/bash
# The gateway's own sockets inside external.ports, listening and connected, older and younger than `up`: they go on
# working from outside, no tenant gets their ports, and what comes to a port of nobody's gets no answer.
# shellcheck source-path=SCRIPTDIR source=lib.sh
source "$(dirname "$0")/lib.sh"

WILDCARD_OF=([4]=0.0.0.0 [6]=::)

# serve PORT: on the gateway, on all its addresses, over UDP and TCP.
serve() {
  local family
  for family in "${LAB_FAMILIES[@]}"; do
    lab_spawn gw "server-$1-$family" /usr/bin/python3 "$HERE/traffic.py" serve "${WILDCARD_OF[family]}" "$1"
  done
  for family in "${LAB_FAMILIES[@]}"; do
    wait_until 10 answers_itself "$1" "$family" || fail "nothing serves on port $1 of IPv$family"
  done
}
answers_itself() { [[ $(lab_exec gw ss -Hlntu "-$2" "sport = :$1" | wc -l) == 2 ]]; }

# hold PORT: a connection from that port of the gateway's to the remote, which asks, and again once there is a file.
hold() {
  local family
  for family in "${LAB_FAMILIES[@]}"; do
    lab_spawn gw "held-$1-$family" /usr/bin/python3 "$HERE/traffic.py" tcp "${LAB_REMOTE_OF[family]}" 7000 --ports "$1" \
      --again "$LAB_DIR/again" --timeout 5
    wait_until 10 grep -qsx "at first: $1" "$LAB_DIR/held-$1-$family.log" ||
      fail "the gateway's own connection from port $1 is not made over IPv$family"
    passed "the gateway's own connection from port $1 over IPv$family is made"
  done
}

expect_service() { # when, port, family
  local what="$1, IPv$3, port $2 of the gateway"
  expect "$what: datagrams from outside" "5001 5002" \
    "$(traffic remote udp "${LAB_EXTERNAL_OF[$3]}" "$2" --ports 5001-5002 --timeout 1)"
  expect "$what: connections from outside" "5003 5004" \
    "$(traffic remote tcp "${LAB_EXTERNAL_OF[$3]}" "$2" --ports 5003-5004 --timeout 1)"
}

start_lab
for family in "${LAB_FAMILIES[@]}"; do
  lab_serve "answers-$family" tcp 7000 /usr/bin/python3 "$HERE/traffic.py" serve "${LAB_REMOTE_OF[family]}" 7000
done
serve 51820
hold 45000
for family in "${LAB_FAMILIES[@]}"; do expect_service "before up" 51820 "$family"; done
start_swnat
serve 52820
hold 46000
# The daemon looks once a second: of TCP two that listen and two that are connected, of UDP two, for each address.
knows_them() {
  [[ $(control ports --json | jq -r '[.ports[] | select(.protocol == "tcp" or .protocol == "udp") |
    "\(.protocol) \(.withheld)"] | unique | join(", ")') == "tcp 4, udp 2" ]]
}
wait_until 10 knows_them || fail "the daemon does not know the gateway's sockets"
for family in "${LAB_FAMILIES[@]}"; do
  expect_service "older than up" 51820 "$family"
  expect_service "younger" 52820 "$family"
  expect "IPv$family: datagrams of the gateway's own from ports of the NAT's" "47000 47001" \
    "$(traffic gw udp "${LAB_REMOTE_OF[family]}" 7000 --ports 47000-47001)"
done

# Forty internal endpoints of each tenant with these very ports, which the NAT would keep if it could.
wanted=51820,52820,45000,46000
for tenant in blue green; do
  for number in {10..49}; do lab_address "$tenant" eth0 "10.0.0.$number/24" "fd00::$number/64"; done
done
many_flows() {
  local sources_of=([4]="$(echo 10.0.0.{10..49})" [6]="$(echo fd00::{10..49})") family transport
  for family in "${LAB_FAMILIES[@]}"; do
    for transport in udp tcp; do
      # shellcheck disable=SC2086
      traffic "$TENANT" $transport "${LAB_REMOTE_OF[family]}" 7000 --name "$TENANT" --ports $wanted \
        --sources ${sources_of[family]} | wc -w
    done
  done
}
capture remote eth0 outside "port 7000"
both flows many_flows
for tenant in blue green; do
  expect "answers to $tenant over UDP and TCP of each family" "$(printf '160 %.0s' "${LAB_FAMILIES[@]}" "${LAB_FAMILIES[@]}")" \
    "$(tr '\n' ' ' <"$LAB_DIR/flows-$tenant.log")"
done
end_capture outside
# The tenants' own flows: nothing of the gateway's is sent meanwhile.
expect_nobody_has() { # transport, port
  expect "tenants' packets outside from $1 port $2 of the gateway's" "" \
    "$(packets outside "$1.srcport == $2 && !(ip.src == $LAB_REMOTE) && !(ipv6.src == $LAB_REMOTE6)" | sed -n 1,3p)"
}
expect_at_least "packets in the capture" 1000 "$(packets outside | wc -l)"
for port in 51820 52820; do
  for transport in udp tcp; do expect_nobody_has $transport $port; done
done
for port in 45000 46000; do expect_nobody_has tcp $port; done

touch "$LAB_DIR/again"
for port in 45000 46000; do
  for family in "${LAB_FAMILIES[@]}"; do
    wait "${LAB_PID[held-$port-$family]}" || true
    expect "the gateway's own connection from port $port over IPv$family goes on" "$port" \
      "$(tail -n 1 "$LAB_DIR/held-$port-$family.log")"
  done
done
for family in "${LAB_FAMILIES[@]}"; do
  expect_service "after the tenants' flows" 51820 "$family"
  expect_service "after the tenants' flows" 52820 "$family"
done

# RFC 5382 REQ-4: what nobody has is silent. Outside the NAT's ports the gateway refuses, as it always did.
nobody=50001
expect "sessions on port $nobody" "" "$(sessions ".external | endswith(\":$nobody\")")"
for family in "${LAB_FAMILIES[@]}"; do
  capture remote eth0 "silence-$family" "src host ${LAB_EXTERNAL_OF[family]} and not (icmp6 and ip6[40] >= 133)"
  for port in $nobody 7; do
    traffic remote tcp "${LAB_EXTERNAL_OF[family]}" "$port" --ports 5010 --timeout 1 >"$LAB_DIR/nobody.out" 2>&1 || true
    traffic remote udp "${LAB_EXTERNAL_OF[family]}" "$port" --ports 5011 --timeout 1 >"$LAB_DIR/nobody.out" 2>&1 || true
  done
  end_capture "silence-$family"
  expect_at_least "IPv$family: refusals of a port outside the NAT's" 1 \
    "$(packets "silence-$family" 'tcp.flags.reset == 1 && tcp.srcport == 7' | wc -l)"
  expect "IPv$family: answers from and about a port of nobody's" "" \
    "$(packets "silence-$family" "tcp.port == $nobody || udp.port == $nobody")"
done
