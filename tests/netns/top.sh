#!/bin/bash
# swnatctl top in a real terminal, by what tmux shows of it: keys, another size, a daemon that goes away, and each way to
# end, after which the terminal is as it was; and top without a terminal.
# shellcheck source-path=SCRIPTDIR source=lib.sh
source "$(dirname "$0")/lib.sh"

SWNATCTL=("$PROGRAMS/swnatctl" --socket "$LAB_DIR/run/control.sock")
REMOTE=${LAB_REMOTE//./\\.}

status_of() { # COMMAND…: its status; what it says goes to LAB_DIR/out
  local status=0
  "$@" >"$LAB_DIR/out" 2>&1 || status=$?
  echo "$status"
}

start_lab
LAB_SETTINGS[green.session_limit]=5
start_swnat
lab_serve answers tcp 7000 /usr/bin/python3 "$HERE/traffic.py" serve "$LAB_REMOTE" 7000

# --- top without a terminal
lab_spawn blue pings ping -q -i 0.02 "$LAB_REMOTE"
traffic green udp "$LAB_REMOTE" 7000 --name green --ports 20001-20005 >"$LAB_DIR/asked"
green_has() { [[ $(control namespaces --json | jq '.namespaces[] | select(.name == "green").sessions') == "$1" ]]; }
wait_until 10 green_has 5 || fail "green has not its sessions"
expect "top without a terminal: status" 1 "$(status_of control top </dev/null)"
expect_match "top without a terminal: what is said" "swnatctl top --batch" "$(cat "$LAB_DIR/out")"
control top --batch --count 2 --interval 0.2 --sort sessions | cat >"$LAB_DIR/batch"
expect "top --batch: tables" 2 "$(grep -c '^NAMESPACE  SESSIONS  LIMIT  PORTS  NEW/S  OUT P/S' "$LAB_DIR/batch")"
expect "top --batch: by sessions" "green blue green blue" "$(sed -nE 's/^(blue|green) .*/\1/p' "$LAB_DIR/batch" | xargs)"
expect_match "top --batch: green's line" "green +5 +5 +5 +0 +0 +0 +0 +0" "$(cat "$LAB_DIR/batch")"
expect_match "top --batch: blue's line" "blue +1 +20000 +1 +0 +[1-9][0-9.k]* +[1-9][0-9.k]* " "$(cat "$LAB_DIR/batch")"
control top -b -n 1 -i 0.2 --sort bytes --limit 1 >"$LAB_DIR/batch"
expect "top --batch --limit 1: by bytes" "blue" "$(sed -nE 's/^(blue|green) .*/\1/p' "$LAB_DIR/batch" | xargs)"
control top -b -n 1 -i 0.2 --by session --filter icmp >"$LAB_DIR/batch"
expect_match "top --batch by session" "blue +icmp +10\.0\.0\.2:[0-9]+ +$REMOTE +203\.0\.113\.1:" "$(tail -n 1 "$LAB_DIR/batch")"
expect "top by what is none: status" 2 "$(status_of control top --by nothing)"

# --- top in a terminal
lab_tmux() { lab_exec gw tmux -S "$LAB_DIR/tmux" -f /dev/null "$@"; }
screen() { lab_tmux capture-pane -p "$@" -t lab; }
keys() { lab_tmux send-keys -t lab "$@"; }
type_line() { keys -l "$1" && keys Enter; }
shows() { screen | grep -qE "$1"; }
shows_not() { ! shows "$1"; }
sees() { # WHAT REGULAR-EXPRESSION
  wait_until 20 shows "$2" || fail "top: $1: expected a line like '$2', saw:"$'\n'"$(screen)"
  passed "top: $1"
}
sees_not() {
  wait_until 20 shows_not "$2" || fail "top: $1: expected no line like '$2', saw:"$'\n'"$(screen)"
  passed "top: $1"
}
order_is() { [[ $(screen | sed -nE 's/^(blue|green) .*/\1/p' | xargs) == "$1" ]]; }
has_order() { # WHAT NAMES
  wait_until 20 order_is "$2" || fail "top: $1: expected '$2', saw:"$'\n'"$(screen)"
  passed "top: $1: $2"
}
top_pid() {
  local pid
  for pid in $(lab_pids); do
    [[ $(cat "/proc/$pid/comm" 2>/dev/null) != swnatctl ]] || echo "$pid"
  done
}
# What the shell in the terminal says after it: top's status, and how the terminal is set.
is_over() { shows "^over $1 \.\$" && [[ $(stty --file="$TERMINAL" -g) == "$STTY" ]]; }
is_left() { # HOW STATUS
  wait_until 10 is_over "$2" || fail "top: $1: expected status $2 and the terminal as it was, saw:"$'\n'"$(screen)"
  passed "top: $1: status $2, the terminal is as it was"
  type_line clear
  sees_not "$1: the screen is clear" over
}
# Longer than what is waited for: nothing may wait for a daemon that hangs.
TOP="${SWNATCTL[*]} --timeout 60 top --interval 0.2"
run_top() { # BEFORE: what stands before the command
  type_line "$1 $TOP; echo over \$? ."
  sees "begins${1:+ with $1}" '^blue .* [1-9][0-9.]*k? '
}

lab_tmux new-session -d -s lab -x 100 -y 24 "PS1='$ ' bash --norc --noprofile"
sees "a shell" '^\$'
TERMINAL=$(lab_tmux display-message -p -t lab '#{pane_tty}')
STTY=$(stty --file="$TERMINAL" -g)
run_top ""
sees "all together" '^namespaces 2, sessions 6, [0-9.]+ new/s, out [1-9][0-9.]*k? p/s'
sees "heads" '^NAMESPACE +SESSIONS +LIMIT +PORTS +NEW/S +OUT P/S +OUT B/S +IN P/S +IN B/S'
has_order "by bytes" "blue green"
keys s
has_order "s: by sessions" "green blue"
keys r
has_order "r: the other way round" "blue green"
sees "r is told" 'sorted by sessions \(reverse\)'
keys r n
has_order "n: by name" "blue green"
keys m
sees "m: by new sessions" 'sorted by new'
keys n
keys /
keys -l GREe
has_order "/: a filter while it is typed" "green"
sees "/: the filter" '^/GREe'
keys Enter
sees "a filter that counts" '^filter: GREe'
keys / Escape / BSpace BSpace BSpace BSpace Enter
has_order "no filter" "blue green"
keys h
sees "h: help" 'arrows, page keys, Home'
keys x
sees "help ends" '^NAMESPACE'
keys d
keys -l 0.1
sees "d: an interval is asked for" '^seconds \(0.1 to 3600\): 0.1'
keys Enter
sees "d: the interval" 'every 0.1 s'
keys Space
sees "space: paused" ' paused'
control flush --namespace green >"$LAB_DIR/out"
control top -b -n 2 -i 0.2 >"$LAB_DIR/batch"
expect "top --batch meanwhile, of a tenant without sessions" 0 "$(grep -c ^green "$LAB_DIR/batch" || true)"
sees "what was is still there" '^green +5 '
keys Space
sees_not "space: it goes on" '^green|paused'
keys v
sees "v: by session" "blue +icmp +10\.0\.0\.2:[0-9]+ +$REMOTE +203"
keys v
sees "v: by namespace" '^blue '

# Narrower, lower, and as before.
lab_tmux resize-window -t lab -x 60 -y 8
sees "narrow: cut" '^NAMESPACE +SESSIONS +LIMIT +PORTS +NEW/S +OUT P/S +OUT B/S'
sees_not "narrow: cut" 'IN B/S|h help  q quit.'
is_low() { [[ $(screen | tail -n 1) == 'h help  q quit' && $(screen | wc -l) == 8 ]]; }
wait_until 10 is_low || fail "top: the last of 8 lines is another one: $(screen)"
passed "top: low: the last line is the last"
lab_tmux resize-window -t lab -x 100 -y 24
sees "wide again" 'IN B/S'

# The daemon goes away and comes back, and hangs.
end_daemon KILL
sees "a daemon that is gone" '^the daemon does not answer; trying again: /'
sees "a daemon that is gone: what was known" '^blue '
start_daemon
sees_not "a daemon that is back" 'does not answer'
sees "a daemon that is back" '^blue .* [1-9][0-9.]*k? '
kill -STOP "${LAB_PID[daemon]}"
is_asked() { lab_exec gw ss -xlH src "$LAB_DIR/run/control.sock" | grep -qE '^u_str +LISTEN +[1-9]'; }
wait_until 10 is_asked || fail "top does not ask a daemon that hangs: $(lab_exec gw ss -xl)"
keys q
is_left "q while the daemon hangs" 0
kill -CONT "${LAB_PID[daemon]}"

run_top ""
keys C-c
is_left "Ctrl-C" 0
run_top ""
kill -TERM "$(top_pid)"
is_left "SIGTERM" 143
run_top TERM=vt100
keys /
keys -l blu
sees "on a vt100" '^/blu'
keys Enter q
is_left "on a vt100" 0
type_line "TERM=dumb $TOP; echo over \$? ."
sees "a terminal that cannot: what is said" "'dumb'.*"
is_left "a terminal that cannot" 1

# A tenant at its limit is red, where there are colours.
traffic green udp "$LAB_REMOTE" 7000 --name green --ports 20001-20005 >"$LAB_DIR/asked"
wait_until 10 green_has 5 || fail "green has not its sessions"
is_red() { screen -e | grep green | grep -q $'\e\[31m'; }
run_top ""
wait_until 10 is_red || fail "top: green's line is not red: $(screen -e)"
passed "top: a tenant at its limit is red"
keys q
is_left "q" 0
run_top NO_COLOR=1
sees "green's line" '^green '
if is_red; then fail "top: a line is red in spite of NO_COLOR"; fi
passed "top: nothing is red with NO_COLOR"
keys q
is_left "q" 0

# A terminal that goes away ends it.
run_top ""
lab_tmux kill-server
no_top() { [[ -z $(top_pid) ]]; }
wait_until 10 no_top || fail "top goes on without its terminal"
passed "top ends with its terminal"
