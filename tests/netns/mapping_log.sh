#!/bin/bash
# The mapping log: who had which external port when, in a file, at a syslog receiver and at an IPFIX collector that
# nobody here wrote; over rotations, a restart, a reload and a full disk. No record tells where a tenant went.
# shellcheck source-path=SCRIPTDIR source=lib.sh
source "$(dirname "$0")/lib.sh"

LOG=$LAB_DIR/run/mappings.json
COLLECTED=$LAB_DIR/collected

# ask TENANT PORTS [ADDRESS]: a datagram from each of the ports, which is answered.
ask() {
  traffic "$1" udp "${3:-$LAB_REMOTE}" 7000 --name "$1" --ports "$2" >"$LAB_DIR/asked-$1" ||
    fail "$1 gets no answers: $(cat "$LAB_DIR/asked-$1")"
}

# records JQ-CONDITION [FILE…]: how many of the log's records it holds for.
records() { jq -s "[.[] | select($1)] | length" "${@:2}"; }
of_file() { [[ $(records "$1" "$LOG") == "$2" ]]; }
expect_records() { # what, condition, count
  wait_until 10 of_file "$2" "$3" || fail "$1: expected $3 records, saw $(records "$2" "$LOG"): $(tail -n 3 "$LOG")"
  passed "$1: $3 records"
}
metric() { control metrics | sed -n "s/^$1 //p"; }

start_lab
mkdir "$COLLECTED"
LAB_RULES="[log]
file = \"$LOG\"
syslog = \"udp://127.0.0.1:5514\"
ipfix = \"udp://127.0.0.1:4739\""
lab_exec gw ip link set lo up
lab_serve_at gw collector udp 4739 nfcapd -b 127.0.0.1 -p 4739 -w "$COLLECTED" -t 3600
lab_serve_at gw syslog udp 5514 /usr/bin/python3 -u -c '
import socket
receiver = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
receiver.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 1 << 20)
receiver.bind(("127.0.0.1", 5514))
while True:
    print(receiver.recv(65536).decode())'
capture gw lo ipfix udp port 4739
start_swnat
for address in "${LAB_REMOTES[@]}"; do
  lab_serve "answers${address//[.:]/}" udp 7000 /usr/bin/python3 "$HERE/traffic.py" serve "$address" 7000
done

# Both tenants from the same ports.
ask blue 20001-20100
ask green 20001-20100
expect "the log's mode" 640 "$(stat -c %a "$LOG")"
for tenant in blue green; do
  expect_records "$tenant's mappings" ".event == \"mapping_made\" and .namespace == \"$tenant\" and .protocol == \"udp\"" 100
done
v6=0
if lab_has_ipv6; then
  v6=10
  ask blue 20001-20010 "$LAB_REMOTE6"
  expect_records "blue's mappings of IPv6" '.event == "mapping_made" and (.internal // "" | startswith("[fd00::2]:"))' 10
fi
expect "records that tell where tenants went" 0 "$(grep -c -e "$LAB_REMOTE" -e "$LAB_REMOTE6" -e 7000 "$LOG" || true)"
expect "lines that are no JSON" 0 "$(grep -vc '^{"time":"[0-9-]*T[0-9:.]*Z","event":".*}$' "$LOG" || true)"

# Who had a port. Blue's and green's are told apart, though both are 10.0.0.2:20007.
external_of() { # tenant, internal port
  jq -r "select(.event == \"mapping_made\" and .namespace == \"$1\" and .internal == \"10.0.0.2:$2\") | .external" "${3:-$LOG}"
}
who_of() { control who "$@" --json | jq -r '.who[] | "\(.namespace) \(.protocol) \(.internal) \(if .until then "over" else "still" end)"'; }
declare -A had
for tenant in blue green; do
  had[$tenant]=$(external_of "$tenant" 20007)
  expect "who has $tenant's port, as the log says" "$tenant udp 10.0.0.2:20007 still" "$(who_of "${had[$tenant]}")"
  expect "who has $tenant's port, as sessions say" "${had[$tenant]}" \
    "$(control sessions --json | jq -r ".sessions[] | select(.namespace == \"$tenant\" and .internal == \"10.0.0.2:20007\") | .external")"
done

# Rotated, as logrotate does it: what comes now is in a new file, and nothing is lost on the way.
mv "$LOG" "$LOG.2"
gzip "$LOG.2"
control log reopen >"$LAB_DIR/out" || fail "the log is not opened anew"
ask blue 20101-20150
expect_records "blue's mappings after the rotation" '.event == "mapping_made"' 50
then=$(date -u +%Y-%m-%dT%H:%M:%S.%3NZ)
expect "what is flushed" "ended $((250 + v6)) sessions" "$(control flush </dev/null)"
expect_records "mappings that ended" '.event == "mapping_ended" and .cause == "flushed"' $((250 + v6))
mv "$LOG" "$LOG.1"
kill -HUP "${LAB_PID[daemon]}"
wait_until 10 test -e "$LOG" || fail "SIGHUP does not open the log anew"
ask green 20101-20110
expect_records "green's mappings after the second rotation" '.event == "mapping_made" and .namespace == "green"' 10
for tenant in blue green; do
  expect "who had $tenant's port then" "$tenant udp 10.0.0.2:20007 over" "$(who_of "${had[$tenant]}" --at "$then")"
  expect "who has $tenant's port now" "" "$(who_of "${had[$tenant]}" || true)"
done
expect_match "who had blue's port, for people" '^blue \(fwmark 1\), udp from 10\.0\.0\.2:20007, .* until .*\(flushed\)$' \
  "$(control who "${had[blue]}" --at "$then" --protocol udp)"
status=0
control who "${had[blue]}" --at yesterday >"$LAB_DIR/out" 2>"$LAB_DIR/err" || status=$?
expect "a time that is none: status" 2 "$status"
expect_match "a time that is none" "^swnatctl: 'yesterday' is no time \(allowed: " "$(cat "$LAB_DIR/err")"

# Everything was told to the others as well.
everything() { zcat -f "$LOG.2.gz" "$LOG.1" "$LOG"; }
syslog_is_complete() { [[ $(grep -c '^<30>1 ' "$LAB_DIR/syslog.log") == "$(everything | wc -l)" ]]; }
wait_until 10 syslog_is_complete ||
  fail "syslog has $(grep -c '^<30>1 ' "$LAB_DIR/syslog.log") of $(everything | wc -l) messages"
expect "what syslog got" "$(everything | md5sum)" "$(sed -n 's/^<30>1 [^ ]* [^ ]* swnat-nfq [0-9]* [a-z_]* - //p' "$LAB_DIR/syslog.log" | md5sum)"
kill -INT "${LAB_PID[collector]}"
wait "${LAB_PID[collector]}" || true
# As "natEvent namespace internal external". nfdump 1.7.1 keeps no translated addresses of IPv6; tshark shows these.
nfdump -R "$COLLECTED" -o raw -q 2>"$LAB_DIR/nfdump.err" | awk '
  function show() { if (event) print event, vrf, address[1] ":" port[1], address[2] ":" port[2] }
  $1 == "Flow" { show(); event = ""; address[2] = "" }
  /^ *src addr/ { address[1] = $NF }
  /^ *src port/ { port[1] = $NF }
  /^ *src xlt ip/ { address[2] = $NF }
  /^ *src xlt port/ { port[2] = $NF }
  /^ *nat event/ { event = $4 + 0 }
  /^ *ingress VRF/ { vrf = $NF }
  END { show() }' | sort >"$LAB_DIR/collected.txt"
everything | jq -r 'select(.internal) | [
    (if .internal | startswith("[") then {mapping_made: 1, mapping_ended: 2} else {mapping_made: 8, mapping_ended: 9} end)[.event],
    .fwmark, (.internal | gsub("[][]"; "")), (.external | sub("^\\[.*\\]"; ""))] | map(tostring) | join(" ")' | sort >"$LAB_DIR/logged.txt"
expect "mappings in the log" $((2 * (250 + v6) + 10)) "$(wc -l <"$LAB_DIR/logged.txt")"
expect_same_file "the collector has what the file has" "$LAB_DIR/logged.txt" "$LAB_DIR/collected.txt"
end_capture ipfix
expect "translated addresses of IPv6, by tshark" "$((2 * v6))" \
  "$(packets ipfix cflow -d udp.port==4739,cflow -T fields -E occurrence=a -E aggregator=' ' -e cflow.post_nat_source_ipv6_address |
    grep -oF "$LAB_EXTERNAL6" | wc -l)"
expect "messages that tshark takes for damaged" "" "$(packets ipfix '_ws.malformed || _ws.expert' -d udp.port==4739,cflow)"
expect_match "the collector missed nothing" 'Sequence Errors: 0, Bad Packets: 0' "$(cat "$LAB_DIR/collector.log")"
expect "records, by the metrics" "$(everything | wc -l)" "$(metric swnat_log_records_total)"
expect "records lost, by the metrics" 0 "$(metric swnat_log_lost_total)"

# A collector that is away holds nobody up, and is told once. A killed daemon's mappings go on.
away_is_told() {
  control flush --namespace green >"$LAB_DIR/out"
  ask green 20201-20202
  grep -q "mapping log's ipfix (127.0.0.1:4739) cannot be written: Connection refused" "$LAB_DIR/daemon.log"
}
wait_until 20 away_is_told || fail "a collector that is away is not told"
away_is_told
expect "times that it is told" 1 "$(grep -c "mapping log's ipfix" "$LAB_DIR/daemon.log")"
end_daemon KILL
rm "$LOG"
LAB_SETTINGS[control.state]="\"$LAB_DIR/run/state\""
LAB_RULES="[log]
file = \"$LOG\""
lab_write_config
start_daemon
expect_records "beginnings without sessions" '.event == "begun" and .sessions == 0' 1
ask blue 20301-20303
expect_records "blue's mappings after the restart" '.event == "mapping_made"' 3
end_daemon KILL
start_daemon
expect_records "beginnings with the sessions that outlived the daemon" '.event == "begun" and .sessions == 3' 1
expect "who has blue's port after a kill" "blue udp 10.0.0.2:20301 still" "$(who_of "$(external_of blue 20301)")"
end_daemon TERM
start_daemon
control flush </dev/null >"$LAB_DIR/out"
expect_records "mappings of before the restart that ended" '.event == "mapping_ended"' 3

# Port blocks: a record for each, and none for what lies in them. A reload switches the log off and on.
end_daemon TERM
rm "$LOG"
LAB_SETTINGS[green.port_block]=64
LAB_SETTINGS[control.state]='""'
lab_write_config
start_daemon
ask green 20401-20410
ask blue 20401-20402
expect_records "green's blocks" '.event == "block_taken" and .namespace == "green"' 1
expect_records "mappings of who has no blocks" '.event == "mapping_made" and .namespace == "blue"' 2
expect "mappings of who has blocks" 0 "$(records '.event == "mapping_made" and .namespace == "green"' "$LOG")"
port=$(control sessions --json | jq -r '.sessions[] | select(.namespace == "green" and .internal == "10.0.0.2:20405") | .external')
expect_match "whose the block is that a port lies in" '"namespace": "green"' "$(control who "$port" --json)"
log_rules=$LAB_RULES LAB_RULES=
lab_write_config
control reload >"$LAB_DIR/out"
ask blue 20403-20404
status=0
control log >"$LAB_DIR/out" 2>"$LAB_DIR/err" || status=$?
expect "a log that is switched off: status" 1 "$status"
LAB_RULES=$log_rules
lab_write_config
control reload >"$LAB_DIR/out"
ask blue 20405-20406
expect_records "mappings, without those while the log was off" '.event == "mapping_made"' 4

# A full disk: the daemon goes on, says so once, and tells in the log what is missing there.
end_daemon TERM
SMALL=$LAB_DIR/small
mkdir "$SMALL"
LAB_RULES="[log]
file = \"$SMALL/log\""
unset 'LAB_SETTINGS[green.port_block]'
lab_write_config
cat "$LAB_DIR/daemon.log" >>"$LAB_DIR/daemon-before.log"
# Its mounts are its own, and end with it.
lab_spawn gw daemon bash -c "mount -t tmpfs -o size=64k tmpfs '$SMALL' && exec '$PROGRAMS/swnat-nfq' run --config '$LAB_DIR/swnat.toml'"
wait_until 30 is_ready || fail "the daemon is not ready"
SEEN=/proc/${LAB_PID[daemon]}/root$SMALL/log
ask blue 21001-22000
wait_until 10 grep -q "mapping log's file ($SMALL/log) cannot be written: No space left on device" "$LAB_DIR/daemon.log" ||
  fail "a full disk is not told"
expect "times that a full disk is told" 1 "$(grep -c 'No space left' "$LAB_DIR/daemon.log")"
lost=$(metric 'swnat_log_output_lost_total{output="file"}')
expect_at_least "records that the file lacks" 1 "$lost"
cp "$SEEN" "$LAB_DIR/full"
: >"$SEEN"
writes_again() {
  ask blue 22001-22001
  ask blue 22002-22002
  control flush --namespace blue >"$LAB_DIR/out"
  grep -q '"event":"lost","count":' "$SEEN"
}
wait_until 30 writes_again || fail "the file is not written again"
passed "the file is written again when there is room, and tells what it lacks"
expect "lines that are no records, but for one that was cut" 0 \
  "$(cat "$LAB_DIR/full" "$SEEN" | sed '/^$/d' | grep -vc '^{"time":".*}$' | awk '{ print ($1 > 1) ? $1 : 0 }')"

# A second daemon, which cannot start, does not write to the log of the first.
end_daemon TERM
LAB_RULES=$log_rules
lab_write_config
begun=$(records '.event == "begun"' "$LOG")
start_daemon
expect_records "beginnings" '.event == "begun"' "$((begun + 1))"
before=$(wc -l <"$LOG")
if swnat run 2>"$LAB_DIR/err"; then fail "a second daemon starts"; fi
expect "lines that a second daemon wrote to the log" 0 "$(($(wc -l <"$LOG") - before))"
