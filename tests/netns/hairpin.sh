#!/bin/bash
# Hairpinning (RFC 4787 REQ-9): a tenant reaches another's external endpoint, and its own, over UDP and TCP, and
# the receiver sees the sender's external endpoint.
# shellcheck source-path=SCRIPTDIR source=lib.sh
source "$(dirname "$0")/lib.sh"

start_lab
LAB_SETTINGS[nat.filtering]='"endpoint-independent"'
start_swnat
lab_serve answers tcp 7000 /usr/bin/python3 "$HERE/traffic.py" serve "$LAB_REMOTE" 7000

# Blue's port 7000 gets its mappings by speaking to the remote, and then serves there.
lab_exec blue ncat --udp --send-only --source-port 7000 "$LAB_REMOTE" 7000 <<<question
lab_exec blue ncat --source-port 7000 "$LAB_REMOTE" 7000 <<<question >"$LAB_DIR/tcp.out"
lab_spawn blue blue-answers /usr/bin/python3 "$HERE/traffic.py" serve 10.0.0.2 7000
wait_until 10 lab_listens blue tcp 7000 || fail "blue does not serve"
external_port() { sessions ".namespace == \"blue\" and .protocol == \"$1\"" | jq -r .external | head -n 1 | cut -d : -f 2; }
udp_port=$(external_port udp)
tcp_port=$(external_port tcp)
expect_match "external ports" '^[0-9]+ [0-9]+$' "$udp_port $tcp_port"

capture blue eth0 at-blue "ip and (dst port 7000) and src host $LAB_EXTERNAL"
for tenant in green blue; do
  expect "$tenant is answered over UDP" "20001 20002 20003" \
    "$(lab_exec "$tenant" /usr/bin/python3 "$HERE/traffic.py" udp "$LAB_EXTERNAL" "$udp_port" --name "$tenant" \
      --ports 20001-20003)"
  lab_exec "$tenant" /usr/bin/python3 "$HERE/traffic.py" connections "$LAB_EXTERNAL" "$tcp_port" --name "$tenant" \
    --count 20 >"$LAB_DIR/connections.out" || fail "$tenant is not answered over TCP"
  passed "$tenant is answered over TCP"
done
expect_counter translated_hairpin 12
arrived() { (($(packets at-blue udp | wc -l) >= 6)); }
wait_until 10 arrived || fail "blue did not see the external address as the source"
end_capture at-blue
expect "datagrams at blue whose source port is not an external one" "" "$(packets at-blue 'udp.srcport < 32768')"
