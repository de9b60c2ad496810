#!/bin/bash
# Who gets no session is told so at once, by ICMP (RFC 5508 REQ-8): the right one of two tenants with the same
# address, and nobody else; a flood is answered at a limited rate, and takes no answers from the other tenant.
# shellcheck source-path=SCRIPTDIR source=lib.sh
source "$(dirname "$0")/lib.sh"

outcomes() {
  local tenant=$1 protocol=$2
  shift 2
  lab_exec "$tenant" /usr/bin/python3 "$HERE/outcomes.py" "$protocol" "$LAB_REMOTE" 7000 "$@"
}
# errors CAPTURE: source, destination, type and code of each, and the port of what it quotes, if it has any.
errors() {
  packets "$1" icmp.type==3 -T fields -E occurrence=f -E separator=/s \
    -e ip.src -e ip.dst -e icmp.type -e icmp.code -e udp.srcport -e tcp.srcport | sed -E 's/ +/ /g; s/ $//' | sort
}

start_lab
LAB_SETTINGS[nat.at_limit]='"refuse"'
LAB_SETTINGS[blue.session_limit]=3
LAB_SETTINGS[green.session_limit]=3
start_swnat
lab_serve answers tcp 7000 /usr/bin/python3 "$HERE/traffic.py" serve "$LAB_REMOTE" 7000
for tenant in blue green; do capture "$tenant" eth0 "at-$tenant" 'icmp or tcp'; done
capture gw wan0 at-wan 'icmp'

expect "blue's datagrams, the last beyond its limit" "answered answered answered EHOSTUNREACH" \
  "$(outcomes blue udp 20001-20004)"
expect "blue's connection" EHOSTUNREACH "$(outcomes blue tcp 20005)"
expect_match "blue's ping" 'From 10.0.0.1 .*Packet filtered' \
  "$(lab_exec blue ping -c 1 -W 10 "$LAB_REMOTE" || true)"
expect "answers so far" "3 0" "$(count_of answers_sent) $(count_of answers_suppressed)"
expect "green's datagrams and connections, while blue gets no more" "answered answered answered" \
  "$(outcomes green tcp 20001) $(outcomes green udp 20001-20002)"
expect "green's next" EHOSTUNREACH "$(outcomes green tcp 20003)"

outcomes blue udp 21000-22999 --only-send
expect_counter session_limit 2004
expect "green is told while blue floods" EHOSTUNREACH "$(outcomes green udp 20004)"
sent=$(count_of answers_sent)
suppressed=$(count_of answers_suppressed)
expect "each refused packet is answered or suppressed" "$(count_of session_limit)" $((sent + suppressed))
expect_at_least "answers suppressed of a flood" 1 "$suppressed"

for name in at-blue at-green at-wan; do end_capture "$name"; done
answer="10.0.0.1 10.0.0.2 3 13"
expect "errors at green" "$answer 20003, $answer 20004" "$(errors at-green | paste -sd , | sed 's/,/, /g')"
expect "errors at blue" $((sent - 2)) "$(errors at-blue | wc -l)"
expect "errors at blue before the flood" "$answer, $answer 20004, $answer 20005" \
  "$(errors at-blue | grep -v ' 2[12]...$' | paste -sd , | sed 's/,/, /g')"
expect "errors at blue that are no answers" "" "$(errors at-blue | grep -v "^$answer" || true)"
expect "answers with a wrong checksum" "" \
  "$(packets at-blue 'icmp.checksum.status == 0 or ip.checksum.status == 0' -o ip.check_checksum:TRUE)"
expect "attempts of blue's refused connection" 1 "$(packets at-blue 'tcp.srcport == 20005 and not icmp' | wc -l)"
expect "errors towards the outside" "" "$(packets at-wan icmp.type==3)"
end_daemon

LAB_SETTINGS[external.ports]='"40000-40003"'
LAB_SETTINGS[blue.session_limit]=100
start_swnat
expect "blue's datagrams with four external ports" "answered answered answered answered EHOSTUNREACH" \
  "$(outcomes blue udp 20001-20005)"
expect "green's, of which none is left" EHOSTUNREACH "$(outcomes green udp 20001)"
expect_counter no_free_port 2
