#!/bin/bash
# A million sessions are listed: all of them arrive, the daemon hardly grows, and meanwhile it answers others, loses no
# packet, and goes on at a signal.
# shellcheck source-path=SCRIPTDIR source=lib.sh
source "$(dirname "$0")/lib.sh"

SESSIONS=${SWNAT_SESSIONS:-1000000}
GROWTH_MAX=16384 # KiB

start_lab
LAB_SETTINGS[control.state]="\"$LAB_DIR/run/state\""
LAB_SETTINGS[nat.max_sessions]=$((SESSIONS + 1000))
LAB_SETTINGS[nat.session_limit]=$((SESSIONS + 1000))
LAB_SETTINGS[timeouts.udp]='"1d"'
lab_write_config
"$PROGRAMS/fill-state" "$LAB_DIR/swnat.toml" "$SESSIONS" || fail "the state is not made"
start_swnat
expect "sessions taken over" "$SESSIONS" "$(control status --json | jq .sessions)"

memory_of() { awk -v what="$1:" '$1 == what { print $2 }' "/proc/${LAB_PID[daemon]}/status"; } # VmRSS, VmHWM: in KiB
echo 5 >"/proc/${LAB_PID[daemon]}/clear_refs"                                                  # VmHWM begins anew
before=$(memory_of VmRSS)

is_streaming() { is_running stream && [[ -s $LAB_DIR/sessions ]]; }
lab_spawn blue pings ping -q -i 0.05 "$LAB_REMOTE"
"$PROGRAMS/swnatctl" --socket "$LAB_DIR/run/control.sock" --timeout 60 sessions --json-lines >"$LAB_DIR/sessions" &
LAB_PID[stream]=$!
wait_until 30 is_streaming || fail "no session is listed"
# What ended before the list did was answered while that was made.
answered=0
while is_running stream; do
  status=$(control status --json | jq .sessions)
  counted=$(control count --namespace green)
  none=$(control count --state reset)
  kill -USR1 "${LAB_PID[daemon]}"
  is_running stream || break
  [[ $((status >= SESSIONS)) == 1 && $counted == $((SESSIONS / 2)) && $none == 0 ]] ||
    fail "answers meanwhile: $status sessions, $counted of green, $none reset"
  answered=$((answered + 1))
done
wait "${LAB_PID[stream]}" || fail "the list was cut"
unset 'LAB_PID[stream]'
expect_at_least "answered meanwhile" 1 "$answered"
kill -INT "${LAB_PID[pings]}"
wait "${LAB_PID[pings]}" || true
unset 'LAB_PID[pings]'
expect_match "pings meanwhile" ' 0% packet loss' "$(cat "$LAB_DIR/pings.log")"

expect_at_least "lines" "$SESSIONS" "$(wc -l <"$LAB_DIR/sessions")"
expect "UDP sessions, each once" "$SESSIONS" \
  "$(grep '"protocol":"udp"' "$LAB_DIR/sessions" | grep -oE '"namespace":"[a-z]+"|"(internal|remote)":"[^"]*"' | paste - - - | sort -u | wc -l)"
expect "the last line is whole" true "$(tail -n 1 "$LAB_DIR/sessions" | jq 'has("age")')"
growth=$(($(memory_of VmHWM) - before))
((growth <= GROWTH_MAX)) || fail "the daemon grew by $growth KiB, of at most $GROWTH_MAX"
passed "the daemon grew by no more than $GROWTH_MAX KiB: $growth"
expect "the first of an order" 3 "$(control sessions --sort age --limit 3 --json-lines | wc -l)"
expect "mappings" 2000 "$(control mappings --protocol udp --json-lines | wc -l)"
expect "sessions of mappings" "$SESSIONS" "$(control mappings --protocol udp --json-lines | jq -s 'map(.sessions) | add')"
