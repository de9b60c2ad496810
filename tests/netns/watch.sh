#!/bin/bash
# swnatctl watch: what happens to mappings and sessions is told as it happens, with its cause and as filters say. A
# watcher that is stopped holds nobody up, and is told what it lost; watchers leave other clients their places.
# shellcheck source-path=SCRIPTDIR source=lib.sh
source "$(dirname "$0")/lib.sh"

SOCKET=$LAB_DIR/run/control.sock
SWNATCTL=("$PROGRAMS/swnatctl" --socket "$SOCKET")

# watching NAME OPTION…: a watcher; what it says goes to LAB_DIR/NAME.log.
watching() {
  lab_spawn gw "$1" "${SWNATCTL[@]}" watch "${@:2}"
  [[ " $* " == *" --json "* ]] || wait_until 10 grep -qs . "$LAB_DIR/$1.log" || fail "$1: watch does not begin"
}

# told NAME WHAT REGULAR-EXPRESSION: waits until the watcher has said it.
told() {
  wait_until 20 grep -qE "$3" "$LAB_DIR/$1.log" || fail "$1: not told: $2; saw $(cat "$LAB_DIR/$1.log")"
  passed "$1: told: $2"
}

# ended NAME STATUS: waits until it has ended.
ended() {
  local status=0
  wait "${LAB_PID[$1]}" || status=$?
  expect "$1: status at its end" "$2" "$status"
}

status_of() { # COMMAND…: its status; what it says goes to LAB_DIR/out
  local status=0
  "$@" >"$LAB_DIR/out" 2>&1 || status=$?
  echo "$status"
}

start_lab
LAB_SETTINGS[timeouts.icmp]='"1s"'
LAB_SETTINGS[timeouts.tcp_transitory]='"1s"'
LAB_SETTINGS[green.session_limit]=5
LAB_RULES='[[drop]]
protocol  = "tcp"
port      = 25
namespace = "blue"

[[drop]]
protocol = "udp"
port     = 9
'
start_swnat
lab_serve answers tcp 7000 /usr/bin/python3 "$HERE/traffic.py" serve "$LAB_REMOTE" 7000
REMOTE=${LAB_REMOTE//./\\.}

# --- what happens is told
watching all
watching green --namespace green --events session,mapping
watching ports --internal :20001-20002 --protocol udp --events session
lab_exec blue ping -q -c 1 -W 1 "$LAB_REMOTE" >"$LAB_DIR/ping.out" || fail "blue does not reach the remote"
TIME='^[0-2][0-9]:[0-5][0-9]:[0-5][0-9]'
PING="blue icmp 10\.0\.0\.2:[0-9]+ > 203\.0\.113\.1:[0-9]+"
told all "a mapping, made" "$TIME mapping made   $PING"
told all "a session, made" "$TIME session made   $PING > $REMOTE\$"
told all "a session, ended" "$TIME session ended  $PING > $REMOTE expired after [0-9.]+s\$"
told all "a mapping, ended" "$TIME mapping ended  $PING.* expired\$"
expect "a mapping is told before its session, and its end after it" "mapping made session made session ended mapping ended" \
  "$(sed -nE 's/^[^ ]+ (mapping|session) (made|ended) +blue.*/\1 \2/p' "$LAB_DIR/all.log" | xargs)"

traffic green udp "$LAB_REMOTE" 7000 --name green --ports 20001-20006 >"$LAB_DIR/asked"
told green "a session, evicted" "session ended  green udp 10\.0\.0\.2:20001 > .* evicted after [0-9.]+s\$"
lab_exec blue ncat --send-only "$LAB_REMOTE" 7000 </dev/null
told all "a session, closed" "session ended  blue tcp .* > $REMOTE:7000 closed after [0-9.]+s\$"
lab_exec blue ncat --wait 1 "$LAB_REMOTE" 25 </dev/null >"$LAB_DIR/refused.out" 2>&1 || true
told all "a packet, refused" "refused        blue tcp 10\.0\.0\.2:[0-9]+ > - > $REMOTE:25 dropped_by_rule\$"
control flush --namespace green >"$LAB_DIR/out"
told green "a session, flushed" "session ended  green udp 10\.0\.0\.2:20006 > .* flushed after [0-9.]+s\$"
told ports "a session, flushed" "session ended  green udp 10\.0\.0\.2:20002 > .* flushed after [0-9.]+s\$"
expect "another tenant's events where one is asked for" "" "$(grep -E ' (blue|refused) ' "$LAB_DIR/green.log" || true)"
expect "sessions where their internal ports are asked for" "made made ended ended" \
  "$(sed -nE 's/^[^ ]+ session (made|ended) +green udp 10.0.0.2:2000[12] > .*/\1/p' "$LAB_DIR/ports.log" | sort -r | xargs)"
expect "other lines there" 5 "$(wc -l <"$LAB_DIR/ports.log")"

watching json --json --events session --remote "$LAB_REMOTE:7000"
asked_and_told() {
  traffic blue udp "$LAB_REMOTE" 7000 --name blue --ports 20001-20001 >"$LAB_DIR/asked"
  control flush --namespace blue >"$LAB_DIR/out"
  grep -q session_ended "$LAB_DIR/json.log"
}
wait_until 20 asked_and_told || fail "JSON: no session is told"
expect "JSON: an object a line" "blue udp 10.0.0.2:20001 $LAB_REMOTE:7000 outbound flushed 1" \
  "$(jq -r 'select(.event == "session_ended") |
    "\(.namespace) \(.protocol) \(.internal) \(.remote) \(.direction) \(.cause) \(.outbound.packets)"' "$LAB_DIR/json.log" | head -n 1)"
expect "JSON: all lines are objects with a time" true \
  "$(jq -s "all(.[]; .time > 1e9 and .time <= $(date +%s) + 1)" "$LAB_DIR/json.log")"

expect "an event of no such kind: status" 1 "$(status_of control watch --events nonsense)"
expect_match "an event of no such kind: what is said" "'nonsense' is no kind of event \(allowed: mapping" "$(cat "$LAB_DIR/out")"
expect "a tenant that is none: status" 1 "$(status_of control watch --namespace nobody)"
expect "events by state: status" 2 "$(status_of control watch --state active)"

# --- ends, and places
for name in all green ports json; do kill -INT "${LAB_PID[$name]}"; done
for name in all green ports json; do ended "$name" 0; done
for i in {1..8}; do watching "place$i"; done
expect "a ninth watcher: status" 1 "$(status_of control watch)"
expect_match "a ninth watcher: what is said" "8 clients watch already" "$(cat "$LAB_DIR/out")"
expect "other commands meanwhile" 2 "$(control status --json | jq .namespaces)"
kill -KILL "${LAB_PID[place8]}"
one_more() {
  lab_spawn gw place8 "${SWNATCTL[@]}" watch
  wait_until 10 grep -qs . "$LAB_DIR/place8.log"
  grep -q ^TIME "$LAB_DIR/place8.log"
}
wait_until 20 one_more || fail "the place of a watcher that was killed is not free again"
passed "the place of a watcher that was killed is free again"
for i in {2..8}; do
  kill -INT "${LAB_PID[place$i]}"
  wait "${LAB_PID[place$i]}" || fail "a watcher does not end by Ctrl-C"
done

# --- a watcher that is stopped
# Each round refuses more packets than its socket and its queue hold; twice, for what the first one makes grow is
# everybody's.
memory() { awk '/^VmRSS/ { print $2 }' "/proc/$DAEMON/status"; }
DAEMON=$(control status --json | jq .pid)
watching quick --events session
kill -STOP "${LAB_PID[place1]}"
round() {
  local refused
  refused=$(count_of dropped_by_rule)
  lab_spawn blue flood /usr/bin/python3 "$HERE/traffic.py" flood "$LAB_REMOTE" 9 --seconds 600 --pause 0.001
  wait_until 60 counter_reaches dropped_by_rule $((refused + 20000)) || fail "too few packets are refused"
  kill "${LAB_PID[flood]}"
  wait "${LAB_PID[flood]}" || true
}
round
before=$(memory)
round
grown=$(($(memory) - before))
((grown < 1024)) || fail "the daemon grows with a watcher that is stopped: $grown kB"
passed "the daemon does not grow with a watcher that is stopped"
traffic blue udp "$LAB_REMOTE" 7000 --name blue --ports 30001-30001 >"$LAB_DIR/asked"
told quick "meanwhile, a session" "session made   blue udp 10\.0\.0\.2:30001 "
kill -CONT "${LAB_PID[place1]}"
told place1 "that it lost events" "$TIME [0-9]{4,} events lost\$"
expect_match "what came before it was stopped" "refused +blue" "$(sed '/ lost$/Q' "$LAB_DIR/place1.log")"
traffic blue udp "$LAB_REMOTE" 7000 --name blue --ports 30002-30002 >"$LAB_DIR/asked"
told place1 "what comes after that" "session made   blue udp 10\.0\.0\.2:30002 "

# --- the daemon hangs, or ends
kill -INT "${LAB_PID[place1]}"
wait "${LAB_PID[place1]}" || fail "a watcher does not end by Ctrl-C"
lab_spawn gw patient "${SWNATCTL[@]}" watch --timeout 1
wait_until 10 grep -qs . "$LAB_DIR/patient.log" || fail "watch does not begin"
kill -STOP "$DAEMON"
ended patient 1
expect_match "patient: what is said of a daemon that hangs" 'did not answer for 1 second' "$(cat "$LAB_DIR/patient.log")"
kill -CONT "$DAEMON"
end_daemon TERM
ended quick 1
expect_match "quick: what is said at the daemon's end" 'the daemon ended' "$(tail -n 1 "$LAB_DIR/quick.log")"
