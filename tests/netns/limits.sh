#!/bin/bash
# A namespace at its limit loses its own least recently active session and nobody else's; one that refuses
# keeps what it has; idle sessions vanish when their time is over. One at its port limit gets no new mapping, and ports
# that rest keep nobody out.
# shellcheck source-path=SCRIPTDIR source=lib.sh
source "$(dirname "$0")/lib.sh"

ask() {
  lab_exec "$1" /usr/bin/python3 "$HERE/traffic.py" udp "$LAB_REMOTE" 7000 --name "$1" --ports "$2" --timeout 0.5
}
# The internal ports of a tenant's sessions, in order.
ports_of() {
  sessions ".namespace == \"$1\"" | jq -r '.internal | split(":")[1]' | sort -n | xargs
}
has_ports() { [[ $(ports_of "$1") == "$2" ]]; }
counted_of() { control namespaces --json | jq -r ".namespaces[] | select(.name == \"$1\") | .$2"; }
# A session whose time is over is not shown any more, but has its port until it is freed.
has_given_up_ports() { [[ $(counted_of "$1" ports) == 0 ]]; }

start_lab
LAB_SETTINGS[blue.session_limit]=10
LAB_SETTINGS[green.session_limit]=500
start_swnat
lab_serve answers tcp 7000 /usr/bin/python3 "$HERE/traffic.py" serve "$LAB_REMOTE" 7000

expect "green's datagrams that were answered" "$(seq -s ' ' 20001 20020)" "$(ask green 20001-20020)"
green_before=$(sessions '.namespace == "green"' | jq -r .external | sort | xargs)
expect "blue's datagrams that were answered" "$(seq -s ' ' 20001 20010)" "$(ask blue 20001-20010)"
expect "blue's first again" 20001 "$(ask blue 20001)"
expect "blue's eleventh and twelfth" "20011 20012" "$(ask blue 20011-20012)"
expect "blue's sessions: its two least recently active are gone" \
  "20001 $(seq -s ' ' 20004 20012)" "$(ports_of blue)"
ask blue 20101-20140 >"$LAB_DIR/many.out"
expect "blue's sessions after 40 more" "$(seq -s ' ' 20131 20140)" "$(ports_of blue)"
expect "green's sessions, untouched" "$green_before" \
  "$(sessions '.namespace == "green"' | jq -r .external | sort | xargs)"
end_daemon

LAB_SETTINGS[nat.at_limit]='"refuse"'
lab_write_config
start_daemon
expect "answered while refusing" "$(seq -s ' ' 20001 20010)" "$(ask blue 20001-20012)"
expect "blue's sessions while refusing" "$(seq -s ' ' 20001 20010)" "$(ports_of blue)"
expect_counter session_limit 2
end_daemon

unset 'LAB_SETTINGS[nat.at_limit]'
LAB_SETTINGS[timeouts.udp]='"2s"'
lab_write_config
start_daemon
expect "answered with a short timeout" "20001 20002" "$(ask green 20001-20002)"
expect "green's sessions at once" "20001 20002" "$(ports_of green)"
wait_until 20 has_ports green "" || fail "idle sessions do not vanish: $(ports_of green)"
passed "idle sessions vanish"
end_daemon

# A limit of ports: nothing ends for a new mapping, and a mapping may have any number of remotes.
unset 'LAB_SETTINGS[timeouts.udp]'
LAB_SETTINGS[blue.session_limit]=100
LAB_SETTINGS[blue.port_limit]=10
lab_write_config
start_daemon
expect "answered with ten ports" "$(seq -s ' ' 20001 20010)" "$(ask blue 20001-20040)"
expect "blue's sessions with ten ports" "$(seq -s ' ' 20001 20010)" "$(ports_of blue)"
expect_counter port_limit 30
expect "green's, meanwhile" "$(seq -s ' ' 20001 20040)" "$(ask green 20001-20040)"
expect "a program that speaks from a port it has, and one that gets none" "answered EHOSTUNREACH" \
  "$(lab_exec blue /usr/bin/python3 "$HERE/outcomes.py" udp "$LAB_REMOTE" 7000 20010-20011)"
end_daemon

# Ports that only rest after one tenant's sessions are there for the other.
unset 'LAB_SETTINGS[blue.port_limit]'
LAB_SETTINGS[external.ports]='"40000-40019"'
LAB_SETTINGS[timeouts.udp]='"2s"'
start_swnat
expect "answered with all ports there are" "$(seq -s ' ' 20001 20020)" "$(ask blue 20001-20020)"
wait_until 20 has_given_up_ports blue || fail "idle sessions keep their ports: $(counted_of blue ports)"
expect "answered while all ports rest" "$(seq -s ' ' 20001 20020)" "$(ask green 20001-20020)"
expect_counter no_free_port 0
end_daemon

# Ports in blocks: a tenant has no more of them than its ports fill, and another tenant has others.
unset 'LAB_SETTINGS[timeouts.udp]'
LAB_SETTINGS[external.ports]='"40000-40191"'
LAB_SETTINGS[nat.port_block]=64
LAB_SETTINGS[blue.port_limit]=70
start_swnat
expect "answered with as many ports as two blocks" "$(seq -s ' ' 20001 20070)" "$(ask blue 20001-20080)"
expect "green's, from a block of its own" "$(seq -s ' ' 20001 20040)" "$(ask green 20001-20040)"
expect "blocks of blue and green" "2 1" "$(counted_of blue port_blocks) $(counted_of green port_blocks)"
expect_match "blocks of all" "port blocks: 3" "$(control status)"
blocks_of_ports() { sessions ".namespace == \"$1\"" | jq -r '.external | split(":")[1] | tonumber / 64 | floor' | sort -u; }
expect "blocks that are blue's and green's" "" "$(comm -12 <(blocks_of_ports blue) <(blocks_of_ports green))"
LAB_SETTINGS[nat.port_block]=0
lab_write_config
control reload >"$LAB_DIR/reload.out" 2>&1 && fail "a reload took the blocks away"
expect_match "why a reload cannot take blocks away" "nat.port_block .* cannot change" "$(cat "$LAB_DIR/reload.out")"
end_daemon

# A forward with room of its own is reached while its tenant is at its limit, by so many.
unset 'LAB_SETTINGS[external.ports]' 'LAB_SETTINGS[nat.port_block]' 'LAB_SETTINGS[blue.port_limit]'
LAB_SETTINGS[blue.session_limit]=10
LAB_SETTINGS[nat.at_limit]='"refuse"'
LAB_RULES=$(forward udp 40053 blue 5353 | sed '/^to /a session_limit = 3')
start_swnat
lab_serve_dns_at blue blue-dns 5353 "${LAB_TENANT_OF[4]}"
expect "answered while refusing, again" "$(seq -s ' ' 20001 20010)" "$(ask blue 20001-20012)"
resolve() { lab_exec remote dig +short +time=1 +tries=1 -b "${LAB_REMOTE_OF[4]}#$1" "@$LAB_EXTERNAL" -p 40053 green.example; }
for port in 20001 20002 20003; do
  expect "a client of the forward" 192.0.2.2 "$(resolve "$port")"
done
resolve 20004 >"$LAB_DIR/resolve.out" && fail "a client beyond the forward's limit was answered"
passed "a client beyond the forward's limit is not answered"
expect "the forward's room" "3 of 3" \
  "$(control namespaces --json |
    jq -r '.namespaces[].forwards[] | select(.sessions > 0) | "\(.sessions) of \(.session_limit)"')"
expect "blue's own sessions" 10 "$(sessions '.namespace == "blue" and (.external | endswith(":40053") | not)' | wc -l)"
