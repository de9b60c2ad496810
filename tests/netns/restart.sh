#!/bin/bash
# Sessions outlive the daemon: a TCP connection goes on over kill -9 and over a stop, with the same external
# endpoint. State that is of no use is put aside with one line.
# shellcheck source-path=SCRIPTDIR source=lib.sh
source "$(dirname "$0")/lib.sh"

start_lab
STATE=$LAB_DIR/run/state
LAB_SETTINGS[control.state]="\"$STATE\""
start_swnat

head -c 3M /dev/urandom >"$LAB_DIR/sent"
lab_spawn remote sink bash -c "ncat --listen --recv-only $LAB_REMOTE 9000 >'$LAB_DIR/received'"
wait_until 10 lab_listens remote tcp 9000 || fail "the sink does not listen"
# One connection that sends a third of the file each time it is told to.
lab_spawn blue source bash -c "
  exec 3<>/dev/tcp/$LAB_REMOTE/9000
  for part in 0 1 2; do
    until [[ -e '$LAB_DIR/send-'\$part ]]; do sleep 0.05; done
    tail -c +\$((part * 1048576 + 1)) '$LAB_DIR/sent' | head -c 1048576 >&3
  done"
has_arrived() { [[ -e $LAB_DIR/received ]] && (($(stat -c %s "$LAB_DIR/received") >= $1)); }
send_part() {
  touch "$LAB_DIR/send-$1"
  wait_until 30 has_arrived $((($1 + 1) * 1048576)) || fail "part $1 does not arrive"
  passed "part $1 arrived"
}
endpoints() { sessions true | jq -c '[.namespace, .internal, .external, .remote]' | sort; }

send_part 0
endpoints >"$LAB_DIR/before"
end_daemon KILL
start_daemon
endpoints >"$LAB_DIR/after"
expect_same_file "sessions after kill -9" "$LAB_DIR/before" "$LAB_DIR/after"
expect_match "the daemon says what it took over" '1 session.* taken over' "$(cat "$LAB_DIR/daemon.log")"
send_part 1
end_daemon TERM
start_daemon
send_part 2
wait_until 10 cmp -s "$LAB_DIR/sent" "$LAB_DIR/received" || fail "what arrived is not what was sent"
passed "the file arrived byte for byte over one connection and three daemons"

# The same state cannot serve two daemons.
sed "s|^first = .*||; s|control.sock|other.sock|; s|^\[queue\]|[queue]\nfirst = 10|" "$LAB_DIR/swnat.toml" \
  >"$LAB_DIR/other.toml"
if lab_exec gw "$PROGRAMS/swnat-nfq" run --config "$LAB_DIR/other.toml" 2>"$LAB_DIR/other.out"; then
  fail "two daemons use one state"
fi
expect "lines of the second daemon" 1 "$(wc -l <"$LAB_DIR/other.out")"
expect_match "the second daemon names the file" "state $STATE: another daemon uses it" "$(cat "$LAB_DIR/other.out")"

# State of another configuration, which is put aside, and of use again with its own.
endpoints >"$LAB_DIR/before"
put_aside="put aside as $STATE.aside-1, starting without sessions"
end_daemon TERM
cp "$STATE" "$LAB_DIR/copy"
LAB_SETTINGS[nat.max_sessions]=1000
LAB_SETTINGS[nat.session_limit]=1000
lab_write_config
start_daemon
expect_match "another max_sessions" "state $STATE: was written with another max_sessions; $put_aside" \
  "$(cat "$LAB_DIR/daemon.log")"
expect_same_file "what was put aside" "$LAB_DIR/copy" "$STATE.aside-1"
expect "sessions with another max_sessions" "" "$(sessions true)"
end_daemon TERM
mv "$STATE.aside-1" "$STATE"
unset 'LAB_SETTINGS[nat.max_sessions]'
lab_write_config
start_daemon
endpoints >"$LAB_DIR/after"
expect_same_file "sessions that were put aside, attached later" "$LAB_DIR/before" "$LAB_DIR/after"

# A file that is no state at all.
end_daemon TERM
head -c 10000 /dev/urandom >"$STATE"
cp "$STATE" "$LAB_DIR/copy"
start_daemon
expect_match "a damaged file" "state $STATE: is no session memory; $put_aside" "$(cat "$LAB_DIR/daemon.log")"
expect_same_file "the damaged file" "$LAB_DIR/copy" "$STATE.aside-1"
expect "sessions after a damaged file" "" "$(sessions true)"
lab_exec blue ping -q -c 1 -W 2 "$LAB_REMOTE" >"$LAB_DIR/ping.out" || fail "no translation after a damaged file"
passed "translation after a damaged file"
