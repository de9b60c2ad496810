#!/bin/bash
# Who gets no session is told so at once, by ICMP (RFC 5508 REQ-8), of both families: the right one of two tenants
# with the same address, and nobody else; a flood is answered at a limited rate, and takes no answers from the other tenant.
# shellcheck source-path=SCRIPTDIR source=lib.sh
source "$(dirname "$0")/lib.sh"

# outcomes TENANT PROTOCOL REMOTE PORTS [--only-send]
outcomes() {
  local port=7000
  if [[ $3 == *:* ]]; then port=7006; fi
  lab_exec "$1" /usr/bin/python3 "$HERE/outcomes.py" "$2" "$3" "$port" "${@:4}"
}
# errors CAPTURE: source, destination, type and code of each, and the port of what it quotes, if it has any.
errors() {
  packets "$1" 'icmp.type == 3 or icmpv6.type == 1' -T fields -E occurrence=f -E separator=/s \
    -e ip.src -e ipv6.src -e ip.dst -e ipv6.dst -e icmp.type -e icmpv6.type -e icmp.code -e icmpv6.code \
    -e udp.srcport -e tcp.srcport | sed -E 's/^ +//; s/ +/ /g; s/ $//' | sort
}
# In one line.
listed() { paste -sd , | sed 's/,/, /g'; }

start_lab
LAB_SETTINGS[nat.at_limit]='"refuse"'
LAB_SETTINGS[blue.session_limit]=3
LAB_SETTINGS[green.session_limit]=3
start_swnat
lab_serve answers tcp 7000 /usr/bin/python3 "$HERE/traffic.py" serve "$LAB_REMOTE" 7000
lab_serve answers6 tcp 7006 /usr/bin/python3 "$HERE/traffic.py" serve "$LAB_REMOTE6" 7006
for tenant in blue green; do capture "$tenant" eth0 "at-$tenant" 'icmp or icmp6 or tcp'; done
capture gw wan0 at-wan 'icmp or icmp6'

expect "blue's datagrams, the last beyond its limit" "answered answered answered EHOSTUNREACH" \
  "$(outcomes blue udp "$LAB_REMOTE" 20001-20004)"
expect "blue's connection" EHOSTUNREACH "$(outcomes blue tcp "$LAB_REMOTE" 20005)"
expect_match "blue's ping" 'From 10.0.0.1 .*Packet filtered' \
  "$(lab_exec blue ping -c 1 -W 10 "$LAB_REMOTE" || true)"
expect "blue's datagram of IPv6" EACCES "$(outcomes blue udp "$LAB_REMOTE6" 20006)"
expect "blue's connection of IPv6" EACCES "$(outcomes blue tcp "$LAB_REMOTE6" 20007)"
expect_counter answers_sent 5
expect "answers suppressed so far" 0 "$(count_of answers_suppressed)"
# No connections: a closed one would make room.
expect "green's datagrams, while blue gets no more" "answered answered answered" \
  "$(outcomes green udp "$LAB_REMOTE" 20001,20002) $(outcomes green udp "$LAB_REMOTE6" 20002)"
expect "green's next" EHOSTUNREACH "$(outcomes green tcp "$LAB_REMOTE" 20003)"
expect "green's next of IPv6" EACCES "$(outcomes green tcp "$LAB_REMOTE6" 20005)"

outcomes blue udp "$LAB_REMOTE" 21000-22999 --only-send
expect_counter session_limit 2007
expect "green is told while blue floods" EHOSTUNREACH "$(outcomes green udp "$LAB_REMOTE" 20004)"
all_are_counted() { (($(count_of answers_sent) + $(count_of answers_suppressed) == $(count_of session_limit))); }
wait_until 5 all_are_counted || fail "some packets were neither answered nor counted as suppressed"
passed "each refused packet is answered, or counted as suppressed"
sent=$(count_of answers_sent)
expect_at_least "answers suppressed of a flood" 1 "$(count_of answers_suppressed)"

for name in at-blue at-green at-wan; do end_capture "$name"; done
answer="$LAB_GATEWAY $LAB_TENANT 3 13"
answer6="$LAB_GATEWAY6 $LAB_TENANT6 1 1"
expect "errors at green" "$answer 20003, $answer 20004, $answer6 20005" "$(errors at-green | listed)"
expect "errors at blue" $((sent - 3)) "$(errors at-blue | wc -l)"
expect "errors at blue before the flood" "$answer, $answer 20004, $answer 20005, $answer6 20006, $answer6 20007" \
  "$(errors at-blue | grep -v ' 2[12]...$' | listed)"
expect "errors at blue during the flood that are no answers" "" \
  "$(errors at-blue | grep ' 2[12]...$' | grep -v "^$answer" || true)"
wrong=$(packets at-blue 'icmp.checksum.status == 0 or icmpv6.checksum.status == 0 or ip.checksum.status == 0' \
  -o ip.check_checksum:TRUE)
expect "answers with a wrong checksum" "" "$wrong"
expect "attempts of blue's refused connection" 1 "$(packets at-blue 'tcp.srcport == 20005 and not icmp' | wc -l)"
expect "errors towards the outside" "" "$(errors at-wan)"
end_daemon

LAB_SETTINGS[external.ports]='"40000-40003"'
LAB_SETTINGS[blue.session_limit]=100
start_swnat
expect "blue's datagrams with four external ports" "answered answered answered answered EHOSTUNREACH" \
  "$(outcomes blue udp "$LAB_REMOTE" 20001-20005)"
expect "green's, of which none is left" EHOSTUNREACH "$(outcomes green udp "$LAB_REMOTE" 20001)"
expect_counter no_free_port 2
