#!/bin/bash
# What the daemon's signals do: SIGUSR1 prints counters, SIGHUP reloads and keeps sessions, SIGTERM and SIGINT
# stop cleanly.
# shellcheck source-path=SCRIPTDIR source=lib.sh
source "$(dirname "$0")/lib.sh"

ask() { lab_exec blue /usr/bin/python3 "$HERE/traffic.py" udp "$LAB_REMOTE" 7000 --name blue --ports "$1"; }
times_in_log() { grep -c "$1" "$LAB_DIR/daemon.log" || true; }
log_has() { (($(times_in_log "$1") >= $2)); }
signal_daemon() { kill -"$1" "${LAB_PID[daemon]}"; }

start_lab
start_swnat
lab_serve answers tcp 7000 /usr/bin/python3 "$HERE/traffic.py" serve "$LAB_REMOTE" 7000

expect "answered" "20001 20002 20003" "$(ask 20001-20003)"
lab_exec blue ip address add 172.31.0.1/32 dev eth0
lab_exec blue ping -q -c 1 -W 1 -I 172.31.0.1 "$LAB_REMOTE" >"$LAB_DIR/forged.out" || true
expect_counter forged_source 1
signal_daemon USR1
wait_until 10 log_has translated_outbound 1 || fail "SIGUSR1 prints no counters"
expect_match "SIGUSR1 prints the packets by reason" 'translated_outbound[^0-9]*3([^0-9]|$)' \
  "$(grep translated_outbound "$LAB_DIR/daemon.log")"
expect_match "SIGUSR1 prints what the rules dropped" 'dropped by rules:.* forged_source +1' "$(cat "$LAB_DIR/daemon.log")"

before=$(sessions true | jq -c '[.namespace, .internal, .external, .remote]' | sort)
LAB_SETTINGS[blue.session_limit]=3
lab_write_config
signal_daemon HUP
new_limit_counts() { [[ $(ask 20004 >"$LAB_DIR/ask.out" && sessions '.namespace == "blue"' | wc -l) == 3 ]]; }
wait_until 10 new_limit_counts || fail "the limit of the reloaded file does not count"
passed "the limit of the reloaded file counts"
wait_until 10 log_has "reloaded .*; .*namespace.* changed: blue$" 1 || fail "what a reload changed is not told"
kept=$(sessions true | jq -c '[.namespace, .internal, .external, .remote]' | sort)
expect "sessions from before the reload that are still the same" 2 \
  "$(comm -12 <(echo "$before") <(echo "$kept") | wc -l)"

# A damaged file changes nothing.
echo 'nonsense = [' >>"$LAB_DIR/swnat.toml"
signal_daemon HUP
wait_until 10 log_has "swnat.toml:[0-9]*:" 1 || fail "a reload of a damaged file says nothing"
is_running daemon || fail "a reload of a damaged file ended the daemon"
expect "answered after a refused reload" "20003" "$(ask 20003)"
# Nor does one that would end the parser, or reading it.
refused_reload() { # what, pattern
  signal_daemon HUP
  wait_until 10 log_has "$2" 1 || fail "a reload of $1 says nothing"
  is_running daemon || fail "a reload of $1 ended the daemon"
  passed "a reload of $1 is refused"
}
printf 'a%.0s.' {1..50000} >"$LAB_DIR/swnat.toml"
refused_reload "a key of 50,000 parts" "swnat.toml:1: a key has too many parts"
rm "$LAB_DIR/swnat.toml"
mkfifo "$LAB_DIR/swnat.toml"
refused_reload "a pipe" "swnat.toml: is a pipe"
rm "$LAB_DIR/swnat.toml"
expect "answered after a reload of a pipe" "20003" "$(ask 20003)"
# Nor does what cannot change while the daemon runs.
LAB_SETTINGS[queue.workers]=1
lab_write_config
signal_daemon HUP
wait_until 10 log_has 'workers' 1 || fail "a reload with another number of workers says nothing"
expect "answered after the second refused reload" "20003" "$(ask 20003)"
LAB_SETTINGS[queue.workers]=2
lab_write_config

printed=$(times_in_log translated_outbound)
end_daemon TERM
expect "exit status after SIGTERM" 0 "$DAEMON_STATUS"
expect_at_least "counters printed at exit" $((printed + 1)) "$(times_in_log translated_outbound)"
expect "control sockets left" "" "$(find "$LAB_DIR/run" -type s)"
expect "queues left" "" "$(lab_exec gw cat /proc/net/netfilter/nfnetlink_queue)"

start_daemon
end_daemon INT
expect "exit status after SIGINT" 0 "$DAEMON_STATUS"
