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
wait_until 20 has_ports blue "" || fail "idle sessions do not vanish: $(ports_of blue)"
expect "answered while all ports rest" "$(seq -s ' ' 20001 20020)" "$(ask green 20001-20020)"
expect_counter no_free_port 0
