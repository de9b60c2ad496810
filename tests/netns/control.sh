#!/bin/bash
# The control socket: clients that send nonsense or nothing, go away, or are slow; and what swnatctl makes of an
# answer that is cut.
# shellcheck source-path=SCRIPTDIR source=lib.sh
source "$(dirname "$0")/lib.sh"

SOCKET=$LAB_DIR/run/control.sock
client() { /usr/bin/python3 "$HERE/control.py" "$@"; }

start_lab
start_swnat
lab_serve answers tcp 7000 /usr/bin/python3 "$HERE/traffic.py" serve "$LAB_REMOTE" 7000

client nonsense "$SOCKET" || fail "nonsense is not refused"
passed "nonsense is refused, each with one line"
client gone "$SOCKET" || fail "clients that go away hurt the daemon"
expect "status after clients that went away" 2 "$(control status --json | jq .namespaces)"

# Three echo requests of 128 bytes, and their answers.
lab_exec green ping -q -c 3 -i 0.1 -W 1 -s 100 "$LAB_REMOTE" >"$LAB_DIR/ping.out" || fail "green does not reach the remote"
three='{"packets":3,"bytes":384}'
for list in namespaces sessions; do
  expect "$list: green's traffic in JSON" "$three $three" "$(control "$list" --json |
    jq -r ".${list}[] | select((.name // .namespace) == \"green\") | \"\(.outbound) \(.inbound)\"")"
  expect_match "$list: green's traffic" '^green .* 3 +384 +3 +384$' "$(control "$list" | grep ^green)"
done
for metric in "packets_total 3" "bytes_total 384"; do
  for direction in outbound inbound; do
    expect "metrics: green's ${metric% *}, $direction" "${metric#* }" "$(control metrics |
      sed -n "s/^swnat_namespace_${metric% *}{namespace=\"green\",direction=\"$direction\"} //p")"
  done
done

# More than the socket holds for a client that does not read.
lab_exec blue /usr/bin/python3 "$HERE/traffic.py" udp "$LAB_REMOTE" 7000 --name blue --ports 20001-23000 >"$LAB_DIR/asked"
expect "sessions in the list" 3000 "$(control sessions --json | jq '[.sessions[] | select(.namespace == "blue")] | length')"
for command in namespaces sessions metrics; do
  expect "the last line of $command" '{"end":true}' "$(client list "$SOCKET" "$command" | tail -n 1)"
done
client slow "$SOCKET" >"$LAB_DIR/slow.out"
[[ $(tail -n 1 "$LAB_DIR/slow.out") != '{"end":true}' ]] || fail "a cut list has the last line of a whole one"
passed "a list that was read too slowly has no last line"
expect "status after a slow client" 2 "$(control status --json | jq .namespaces)"

# Sessions by what they match: listed, and ended. The ping's may be over by now, or not.
control flush --namespace green >"$LAB_DIR/out"
count() { control sessions "$@" --json | jq '.sessions | length'; }
expect "sessions of 100 internal ports" 100 "$(count --internal 10.0.0.0/24:20001-20100)"
expect "sessions of the other tenant" 0 "$(count --namespace green)"
expect "sessions with every option" 3000 "$(count --namespace blue --protocol udp --internal 10.0.0.2 \
  --external 203.0.113.1 --remote "$LAB_REMOTE:7000" --state active --idle 0s)"
expect "no session idle for an hour" 0 "$(count --idle 1h)"
expect "flush by internal ports" "ended 100 sessions" "$(control flush --internal :20001-20100)"
expect "sessions after that" 2900 "$(control status --json | jq .sessions)"
expect "flush of the other tenant" 0 "$(control flush --namespace green --json | jq .ended)"
status=0
control flush --namespace nobody >"$LAB_DIR/out" 2>"$LAB_DIR/err" || status=$?
expect "flush of a tenant that is none: status" 1 "$status"
expect_match "flush of a tenant that is none: what is said" "'nobody' is no namespace" "$(cat "$LAB_DIR/err")"
expect "flush of all" "ended 2900 sessions" "$(control flush </dev/null)"
expect "sessions after that" 0 "$(control status --json | jq .sessions)"
at_terminal() { # what is typed, swnatctl's options …
  local typed=$1
  shift
  echo "$typed" | script --quiet --return --command "'$PROGRAMS/swnatctl' --socket '$SOCKET' $*" /dev/null
}
status=0
at_terminal n flush >"$LAB_DIR/out" || status=$?
expect "flush of all at a terminal, not confirmed: status" 1 "$status"
expect_match "flush of all at a terminal" "End all sessions of all namespaces" "$(cat "$LAB_DIR/out")"
expect_match "flush of all at a terminal, confirmed" "ended 0 sessions" "$(at_terminal y flush)"
expect_match "flush of some at a terminal" "ended 0 sessions" "$(at_terminal n flush --namespace blue)"

# Who may. Members of the socket's group read; what changes something is root's and the admin group's.
# The folders above may be closed to other users, so socket and program are found from where they are.
cp "$PROGRAMS/swnatctl" "$LAB_DIR/run"
as_user() ( # supplementary groups, swnatctl's arguments …
  cd "$LAB_DIR/run"
  setpriv --reuid 40001 --regid 40001 --groups "$1" --inh-caps=-all ./swnatctl --socket "$(basename "$SOCKET")" "${@:2}"
)
refused_to_user() { # what, groups, pattern, swnatctl's arguments …
  local status=0
  as_user "$2" "${@:4}" >"$LAB_DIR/out" 2>"$LAB_DIR/err" || status=$?
  expect "$1: status" 1 "$status"
  expect_match "$1: $(cat "$LAB_DIR/err")" "$3" "$(cat "$LAB_DIR/err")"
}
readers=$(stat -c %g "$SOCKET")
admins=$(getent group daemon | cut -d: -f3)
expect "a user of the socket's group reads" 2 "$(as_user "$readers" status --json | jq .namespaces)"
refused_to_user "any command by another user" 40002 "permission denied; run as root, or as a member" status
refused_to_user "flush without an admin group" "$readers,$admins" "only root may, not uid 40001; control.admin_group" flush
refused_to_user "reload without an admin group" "$readers,$admins" "only root may, not uid 40001" reload
LAB_SETTINGS[control.admin_group]='"daemon"'
lab_write_config
control reload
expect_match "flush by the admin group, after a reload" "ended [0-9]+ session" "$(as_user "$(stat -c %g "$SOCKET"),$admins" flush)"
chmod 666 "$SOCKET"
refused_to_user "flush by another group" 40002 "members of the group daemon .control.admin_group. may, not uid 40001" flush
expect "flush by root" 0 "$(control flush --json | jq .ended)"
rm "$LAB_DIR/run/swnatctl"

# swnatctl, asking a daemon that ends in the middle.
cut_short() { # what, the daemon's answer, pattern
  local status=0
  client answer "$LAB_DIR/run/cut.sock" "$2" &
  wait_until 10 test -S "$LAB_DIR/run/cut.sock" || fail "the cut answer's socket does not appear"
  "$PROGRAMS/swnatctl" --socket "$LAB_DIR/run/cut.sock" sessions --json >"$LAB_DIR/out" 2>"$LAB_DIR/err" || status=$?
  wait $!
  expect "$1: status" 1 "$status"
  if [[ -s $LAB_DIR/out ]] && jq . "$LAB_DIR/out" >"$LAB_DIR/document" 2>&1; then fail "$1: there is a whole document"; fi
  passed "$1: no whole document"
  expect_match "$1: $(cat "$LAB_DIR/err")" "^swnatctl: .*$3" "$(cat "$LAB_DIR/err")"
}
cut_short "no answer" '' 'closed the connection'
cut_short "a list that ends early" '{"ok":true}\n{"namespace":"blue"}\n' 'ended its answer early'
cut_short "a line that ends early" '{"ok":true}\n{"namespace":' 'in the middle of its answer'
cut_short "no JSON" 'hello\n' "not swnat-nfq's"

# What is not a socket stays, and is named.
end_daemon TERM
echo precious >"$SOCKET"
if swnat run 2>"$LAB_DIR/err"; then fail "a file in the socket's place is taken over"; fi
expect "the daemon's words" \
  "swnat-nfq: control socket $SOCKET: a file that is no socket is in the way; remove it" "$(cat "$LAB_DIR/err")"
expect "the file in the socket's place" precious "$(cat "$SOCKET")"
rm "$SOCKET"
# What a daemon left that was killed does not.
start_daemon
end_daemon KILL
[[ -S $SOCKET ]] || fail "kill -9 removed the socket"
start_daemon
passed "a socket that a killed daemon left is replaced"

# With all standard streams closed no text ends up in a file that was opened in their place.
end_daemon TERM
LAB_SETTINGS[control.state]="\"$LAB_DIR/run/state\""
lab_write_config
lab_spawn gw daemon bash -c "exec '$PROGRAMS/swnat-nfq' run --config '$LAB_DIR/swnat.toml' <&- >&- 2>&-"
answers() { control status >"$LAB_DIR/out" 2>&1; }
wait_until 30 answers || fail "a daemon without standard streams does not answer"
for stream in 0 1 2; do
  expect "standard stream $stream" /dev/null \
    "$(readlink "/proc/$(control status --json | jq .pid)/fd/$stream")"
done
