#!/bin/bash
# Bad input: one clear line on stderr, a status that is not 0, and nothing changed.
# shellcheck source-path=SCRIPTDIR source=lib.sh
source "$(dirname "$0")/lib.sh"

# refused WHAT PATTERN COMMAND…: it fails with exactly one line, which matches.
refused() {
  local what=$1 pattern=$2 status=0
  shift 2
  timeout 20 "$@" >"$LAB_DIR/out" 2>"$LAB_DIR/err" </dev/null || status=$?
  ((status != 0 && status < 124)) || fail "$what: expected a status from 1 to 123, saw $status"
  [[ $(wc -l <"$LAB_DIR/err") == 1 ]] ||
    fail "$what: expected one line on stderr, saw: $(cat "$LAB_DIR/err")"
  expect_match "$what: $(cat "$LAB_DIR/err")" "$pattern" "$(cat "$LAB_DIR/err")"
  snapshot "$LAB_DIR/after"
  expect_same_file "$what: nothing changed" "$LAB_DIR/before" "$LAB_DIR/after"
}

in_gw=(ip netns exec "$(lab_netns gw)")
nfq=$PROGRAMS/swnat-nfq
config=$LAB_DIR/swnat.toml

start_lab
snapshot "$LAB_DIR/before"

# --- what the file says
# bad_value SETTING TOML PATTERN: refused by check, up and run with the line.
bad_value() {
  local setting=$1 good=${LAB_SETTINGS[$1]-none} line program
  LAB_SETTINGS[$setting]=$2
  lab_write_config
  line=$(grep -n "^${setting#*.} = " "$config" | head -n 1 | cut -d: -f1)
  for program in check up run; do
    refused "$program with $setting = $2" "^$config:$line: .*$3" "${in_gw[@]}" "$nfq" "$program" --config "$config"
  done
  if [[ $good == none ]]; then unset "LAB_SETTINGS[$setting]"; else LAB_SETTINGS[$setting]=$good; fi
  lab_write_config
}
bad_value external.ports '"40000-39999"' '40000-39999|ports'
bad_value external.addresses '["203.0.113.256"]' '203\.0\.113\.256'
bad_value nat.colour '"blue"' 'colour'
bad_value nat.session_limit '"many"' 'session_limit'
bad_value timeouts.udp '"2 fortnights"' 'udp|fortnights'
refused "check of a file that is not there" 'nowhere\.toml' "$nfq" check --config "$LAB_DIR/nowhere.toml"

# A line that is no TOML, and a fwmark used twice.
printf '[external\n' >"$config"
refused "check of a file that is no TOML" "^$config:[0-9]+: " "$nfq" check --config "$config"
LAB_SETTINGS[green.fwmark]=1
lab_write_config
refused "check of a fwmark used twice" "^$config:[0-9]+: .*fwmark" "$nfq" check --config "$config"
LAB_SETTINGS[green.fwmark]=2
lab_write_config
printf '\n[[forward]]\nprotocol = "tcp"\nexternal = "192.0.2.1:80"\nnamespace = "blue"\nto = "10.0.0.2:80"\n' >>"$config"
refused "check of a forward of a foreign address" "^$config:[0-9]+: .*192\.0\.2\.1" "$nfq" check --config "$config"
lab_write_config

# --- what the machine lacks
no_right=("${in_gw[@]}" setpriv --bounding-set=-all --inh-caps=-all)
for program in up down run; do
  refused "$program without the right to" 'root' "${no_right[@]}" "$nfq" "$program" --config "$config"
done
# With ever fewer files that can be opened: whatever fails, nothing is said to be missing that is there.
few_files() { # program, how many
  local files
  for files in "${@:2}"; do
    refused "$1 with $files files" 'Too many open files' "${in_gw[@]}" bash -c \
      "ulimit -n $files && exec '$nfq' $1 --config '$config'"
    [[ ! $(cat "$LAB_DIR/err") =~ 'there is no'|'kernel has no' ]] || fail "$1 with $files files: something is said to be missing"
  done
}
few_files up 5
few_files run 12 11 7 5
LAB_SETTINGS[external.interface]='"nowhere0"'
lab_write_config
for program in up run; do
  refused "$program without the external interface" 'nowhere0' "${in_gw[@]}" "$nfq" "$program" --config "$config"
done
LAB_SETTINGS[external.interface]='"wan0"'
lab_write_config
refused "swnatctl without a daemon" "$LAB_DIR/run/control.sock" \
  "$PROGRAMS/swnatctl" --socket "$LAB_DIR/run/control.sock" status

# --- what is taken
apply_rules
start_daemon
snapshot "$LAB_DIR/before"
refused "a second daemon" 'control\.sock|queue' "${in_gw[@]}" "$nfq" run --config "$config"
sed 's/control\.sock/other.sock/' "$config" >"$LAB_DIR/other.toml"
refused "a second daemon with a socket of its own" 'queue 0' "${in_gw[@]}" "$nfq" run --config "$LAB_DIR/other.toml"
lab_exec blue ping -q -c 1 -W 2 "$LAB_REMOTE" >"$LAB_DIR/ping.out" || fail "the first daemon does not translate any more"
passed "the first daemon still translates"
