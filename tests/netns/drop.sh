#!/bin/bash
# What the operator forbids does not leave: a port for one namespace, a range of ports for all, echo; it makes no
# session either. Everything else passes, and rules come and go by a reload.
# shellcheck source-path=SCRIPTDIR source=lib.sh
source "$(dirname "$0")/lib.sh"

start_lab
LAB_RULES='
[[drop]]
protocol  = "tcp"
port      = 25
namespace = "blue"

[[drop]]
protocol = "udp"
port     = "6881-6889"

[[drop]]
protocol = "tcp"
port     = "6881-6889"
'
start_swnat
ports=(25 26 6880 6881 6885 6889 6890)
for port in "${ports[@]}"; do
  for address in "${LAB_REMOTES[@]}"; do
    lab_spawn remote "answers-$port-$address" /usr/bin/python3 "$HERE/traffic.py" serve "$address" "$port"
  done
  wait_until 10 lab_listens remote tcp "$port" || fail "no server listens on port $port"
done

# answered TENANT tcp|udp FAMILY: the ports that answer, in order.
answered() {
  local port seen=()
  for port in "${ports[@]}"; do
    case $2 in
      tcp) lab_exec "$1" /usr/bin/python3 "$HERE/traffic.py" connections "${LAB_REMOTE_OF[$3]}" "$port" --count 1 \
        --timeout 2 >"$LAB_DIR/try.out" || continue ;;
      udp) [[ -n $(lab_exec "$1" /usr/bin/python3 "$HERE/traffic.py" udp "${LAB_REMOTE_OF[$3]}" "$port" --ports 20001) ]] ||
        continue ;;
    esac
    seen+=("$port")
  done
  echo "${seen[*]}"
}
can_ping() { lab_exec "$1" ping -q -c 2 -i 0.1 -W 1 "${LAB_REMOTE_OF[$2]}" >"$LAB_DIR/ping.out"; }

capture gw wan0 left "src host $LAB_EXTERNAL or src host $LAB_EXTERNAL6"
for family in "${LAB_FAMILIES[@]}"; do
  expect "IPv$family: TCP ports that answer blue" "26 6880 6890" "$(answered blue tcp "$family")"
  expect "IPv$family: TCP ports that answer green" "25 26 6880 6890" "$(answered green tcp "$family")"
  for tenant in blue green; do
    expect "IPv$family: UDP ports that answer $tenant" "25 26 6880 6890" "$(answered "$tenant" udp "$family")"
    can_ping "$tenant" "$family" || fail "IPv$family: $tenant's echo is not answered"
  done
done
end_capture left
expect "packets to forbidden ports that left" "" \
  "$(packets left 'tcp.dstport in {6881..6889} || udp.dstport in {6881..6889}')"
expect_at_least "packets to the allowed ports that left" 20 \
  "$(packets left 'tcp.dstport == 25 || udp.dstport == 6880 || tcp.dstport == 6890' | wc -l)"
expect "sessions to forbidden ports" "" "$(sessions '.remote | test(":688[1-9]$")')"
expect "sessions of blue to TCP port 25" "" \
  "$(sessions '.namespace == "blue" and .protocol == "tcp" and (.remote | endswith(":25"))')"

# Echo, for one namespace.
LAB_RULES='
[[drop]]
protocol  = "icmp"
namespace = "green"
'
lab_write_config
control reload >"$LAB_DIR/reload.out"
for family in "${LAB_FAMILIES[@]}"; do
  if can_ping green "$family"; then fail "IPv$family: echo is forbidden to green, and answered"; fi
  can_ping blue "$family" || fail "IPv$family: echo is forbidden to green alone"
  passed "IPv$family: echo is forbidden to green, not to blue"
  expect "IPv$family: TCP ports that answer blue without the rules" "${ports[*]}" "$(answered blue tcp "$family")"
done
LAB_RULES=
lab_write_config
control reload >"$LAB_DIR/reload.out"
for family in "${LAB_FAMILIES[@]}"; do
  can_ping green "$family" || fail "IPv$family: a rule that is gone still counts"
  passed "IPv$family: without the rule green's echo is answered"
done
