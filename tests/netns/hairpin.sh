#!/bin/bash
# Hairpinning (RFC 4787 REQ-9): a tenant reaches another's external endpoint, and its own, over UDP and TCP and with a
# browser, and the receiver sees the sender's external endpoint.
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

# A web server of blue's, on a port that spoke to the remote before.
lab_exec blue ncat --source-port 8080 "$LAB_REMOTE" 7000 <<<question >"$LAB_DIR/tcp.out"
lab_serve_http_at blue blue-http 8080 "$LAB_TENANT"
web_port=$(sessions '.internal == "10.0.0.2:8080"' | jq -r .external | cut -d : -f 2)
head -c 5M /dev/urandom >"$LAB_DIR/www/large"
fetch() { lab_exec "$1" curl -sS --fail --fail-early --max-time 20 "${@:3}" "http://$LAB_EXTERNAL:$web_port/$2"; }
for tenant in green blue; do
  fetch "$tenant" "$tenant/[1-20]" --no-keepalive >"$LAB_DIR/pages.out" || fail "$tenant gets no page"
  expect "pages that $tenant got, asked for by the external address" 20 \
    "$(grep -c "^page /$tenant/[0-9]*, asked for by $LAB_EXTERNAL:" "$LAB_DIR/pages.out")"
  fetch "$tenant" files/large -o "$LAB_DIR/fetched"
  expect_same_file "a large file that $tenant got" "$LAB_DIR/www/large" "$LAB_DIR/fetched"
done
