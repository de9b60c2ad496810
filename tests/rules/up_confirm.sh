#!/bin/bash
# `up --confirm`: what nobody confirms is taken back, to what was there before: an earlier `up`, or nothing. What is
# confirmed stays, at the terminal or by another process. A lost terminal decides nothing.
# shellcheck source-path=SCRIPTDIR source=lib.sh
. "$(dirname -- "$0")/lib.sh"

make_interfaces blue0 green0 wan0
socket=$folder/run/swnat/control.sock.confirm

# In the background; `asked` waits until it waits.
up_confirm() { # time, how to run it...
  local time=$1
  shift
  : >"$folder/up.out"
  "$@" "$program" up --config "$config" --confirm "$time" >>"$folder/up.out" 2>&1 </dev/null &
  waiting=$!
}
asked() {
  until grep -q "in place for" "$folder/up.out"; do
    kill -0 "$waiting" 2>/dev/null || { fail "it ended: $(cat "$folder/up.out")" && return 1; }
    sleep 0.1
  done
}
expect_status() { # what, status
  local status=0
  wait "$waiting" || status=$?
  [ "$status" -eq "$2" ] || fail "$1: exit status $status, expected $2: $(cat "$folder/up.out")"
}
expect_said() { grep -qF -- "$1" "$folder/up.out" || fail "expected \"$1\", but it said: $(cat "$folder/up.out")"; }

say "nobody confirms: nothing is left of a first up"
write_config
snapshot >"$folder/nothing"
up_confirm 2s
asked
snapshot >"$folder/during"
if cmp -s "$folder/nothing" "$folder/during"; then fail "it did nothing"; fi
expect_status "nobody confirmed" 1
expect_said "not confirmed: everything is as it was before"
snapshot >"$folder/after"
expect_same "a first up that nobody confirmed" "$folder/nothing" "$folder/after"
[ ! -e "$folder/run" ] || fail "a folder is left: $(find "$folder/run")"

say "nobody confirms: an earlier up is there again, with its record"
swnat up
snapshot >"$folder/earlier"
write_config "$green"
sed -i 's/40000-50000/20000-29999/' "$config"
up_confirm 2s
asked
expect_status "nobody confirmed" 1
snapshot >"$folder/after"
expect_same "an up over another that nobody confirmed" "$folder/earlier" "$folder/after"

say "another process confirms"
up_confirm 1m
asked
if [ "$(stat -c %a "$socket")" != 660 ]; then fail "$socket is open to others"; fi
swnat confirm || fail "confirm"
expect_status "confirmed" 0
expect_said "confirmed: it stays"
snapshot >"$folder/confirmed"
if cmp -s "$folder/earlier" "$folder/confirmed"; then fail "what was confirmed did not stay"; fi
swnat up
snapshot >"$folder/after"
expect_same "what was confirmed is what a plain up does" "$folder/confirmed" "$folder/after"
[ ! -e "$socket" ] || fail "$socket is left"

say "the terminal confirms"
write_config
"$here/at_terminal.py" "in place for" n,y "$program" up --config "$config" --confirm 1m >"$folder/up.out" ||
  fail "the terminal did not confirm"
expect_said "confirmed: it stays"
snapshot >"$folder/confirmed"
if cmp -s "$folder/after" "$folder/confirmed"; then fail "what the terminal confirmed did not stay"; fi

say "Ctrl-C and termination take it back at once, a lost terminal does not"
write_config "$green"
swnat up
snapshot >"$folder/with_green"
write_config
swnat up
snapshot >"$folder/blue_alone"
write_config "$green"
# A shell's background processes ignore SIGINT, unless it is told otherwise.
for signal in INT TERM; do
  up_confirm 1m env "--default-signal=INT"
  asked
  kill -HUP "$waiting"
  kill -"$signal" "$waiting"
  expect_status "SIG$signal" 1
  expect_said "not confirmed"
  snapshot >"$folder/after"
  expect_same "SIG$signal" "$folder/blue_alone" "$folder/after"
done
up_confirm 1m
asked
kill -HUP "$waiting"
swnat confirm || fail "confirm after the terminal was lost"
expect_status "confirmed after the terminal was lost" 0
expect_said "confirmed: it stays"
snapshot >"$folder/after"
expect_same "confirmed after the terminal was lost" "$folder/with_green" "$folder/after"

say "bad circumstances are told"
expect_error "nothing waits for a confirmation here" swnat confirm
for time in 0 5x 25h -1s ''; do
  status=0
  swnat up --confirm "$time" >"$folder/out" 2>&1 || status=$?
  [ "$status" -eq 2 ] || fail "--confirm '$time': exit status $status"
  grep -qF "allowed: 1s to 24h" "$folder/out" || fail "--confirm '$time': $(cat "$folder/out")"
done
swnat down
snapshot >"$folder/after"
expect_same "down" "$folder/nothing" "$folder/after"
finish
