#!/bin/bash
# Programs as a stranger meets them: each explains itself, ends with the status that it says, tells one line of what is
# wrong on standard error, colours nothing that is not to be, and marks its lines for the journal alone.
# shellcheck source-path=SCRIPTDIR source=lib.sh
source "$(dirname "$0")/lib.sh"

nfq=$PROGRAMS/swnat-nfq
ctl=$PROGRAMS/swnatctl

# --- help
# explains COMMAND… -- PATTERN…: says all that on standard output, and nothing else.
explains() {
  local command=() pattern
  while [[ $1 != -- ]]; do command+=("$1") && shift; done
  shift
  run "${command[@]}"
  ((STATUS == 0)) || fail "${command[*]}: expected status 0, saw $STATUS: $(cat "$DIR/err")"
  [[ ! -s $DIR/err ]] || fail "${command[*]}: expected nothing on stderr, saw: $(cat "$DIR/err")"
  (($(wc -l <"$DIR/out") >= 3)) || fail "${command[*]}: expected some lines, saw: $(cat "$DIR/out")"
  for pattern in "$@"; do
    grep -qE -e "$pattern" "$DIR/out" || fail "${command[*]}: expected '$pattern', saw: $(cat "$DIR/out")"
  done
  passed "${command[*]##*/} explains itself"
}
# Names in the list of commands of a program's help.
commands_of() { "$1" --help | awk '/^Subcommands:/ { on = 1; next } /^$/ { on = 0 } on { print $1 }'; }

explains "$nfq" --help -- '--config FILE' 'swnat-nfq check' 'Exit status: 0 .* 1 .* 2 '
explains "$ctl" --help -- '--socket PATH' 'For example: swnatctl' 'Exit status: 0 .* 1 .* 2 '
(($(commands_of "$nfq" | wc -l) >= 6)) || fail "swnat-nfq: no commands in: $("$nfq" --help)"
(($(commands_of "$ctl" | wc -l) >= 14)) || fail "swnatctl: no commands in: $("$ctl" --help)"
for command in $(commands_of "$nfq"); do explains "$nfq" "$command" --help -- "Usage: swnat-nfq $command" '-c,--config FILE'; done
for command in $(commands_of "$ctl"); do explains "$ctl" "$command" --help -- "Usage: swnatctl $command" '-s,--socket PATH' '--json'; done
for tool in demo install-packages lab lint test bench/gateway bench/plot; do
  for word in --help -h; do explains "$ROOT/tools/$tool" "$word" -- "tools/$tool|plot"; done
done

# --- what ends how
# ends STATUS PATTERN COMMAND…: with exactly one line on standard error, which matches, and nothing on the other.
ends() {
  local status=$1 pattern=$2
  shift 2
  run "$@"
  [[ $STATUS == "$status" ]] || fail "$*: expected status $status, saw $STATUS: $(cat "$DIR/err")"
  [[ $(wc -l <"$DIR/err") == 1 && ! -s $DIR/out ]] || fail "$*: expected one line on stderr, saw: $(cat "$DIR/err" "$DIR/out")"
  grep -qE -e "$pattern" "$DIR/err" || fail "$*: expected '$pattern', saw: $(cat "$DIR/err")"
  passed "$status: $(cat "$DIR/err")"
}
no_socket=$DIR/none.sock
printf '[external]\ninterfaze = "wan0"\n' >"$DIR/bad.toml"
cat >"$DIR/good.toml" <<TOML
[external]
interface = "nowhere0"
addresses = ["203.0.113.1"]
[control]
socket = "$no_socket"
state = ""
[[namespace]]
name = "blue"
fwmark = 1
interfaces = ["blue0"]
subnets = ["10.0.0.0/24"]
TOML

ends 2 "^swnatctl: a command is missing \(see swnatctl --help\)$" "$ctl"
ends 2 "^swnatctl: 'sesions' is no command; did you mean 'sessions'\? \(see swnatctl --help\)$" "$ctl" sesions
ends 2 "^swnatctl: 'help' is no command \(see" "$ctl" help
ends 2 "'--namspace' is no option of swnatctl sessions; did you mean '--namespace'\?" "$ctl" sessions --namspace blue
ends 2 "'--namspace' is no option .* '--namespace'" "$ctl" sessions --namspace=blue
ends 2 "'--sokcet' is no option of swnatctl; did you mean '--socket'\?" "$ctl" --sokcet x status
ends 2 "'-x' is no option of swnatctl status" "$ctl" status -x
ends 2 "'blue' is not expected by swnatctl status" "$ctl" status blue
ends 2 "'[^']*x1b.*' is no command" "$ctl" $'\e[31m'
ends 2 "^swnatctl: --limit lacks its NUMBER \(see swnatctl sessions --help\)$" "$ctl" sessions --limit
ends 2 "--limit: " "$ctl" sessions --limit many
ends 2 "--by: 'protcol' is not allowed; did you mean 'protocol'\? .*namespace, protocol, state" "$ctl" count --by protcol
ends 2 "--sort: 'byte' is not allowed; did you mean 'bytes'\?" "$ctl" top --sort byte
ends 2 "'intrenal' is no column; did you mean 'internal'\?" "$ctl" sessions --columns intrenal
ends 2 "action: 'reopne' .* 'reopen'" "$ctl" log reopne
ends 2 "endpoint is required" "$ctl" who
ends 2 "is no external endpoint" "$ctl" who nonsense --log /dev/null
ends 2 "'yesterday' is no time" "$ctl" who 203.0.113.1:1 --at yesterday --log /dev/null
ends 2 "--protocol: 'tpc' is no protocol; did you mean 'tcp'\?" "$ctl" who 203.0.113.1:1 --protocol tpc --log /dev/null
ends 2 "completion bash\|zsh" "$ctl" completion fish
ends 1 "$no_socket: the daemon is not running, or its control\.socket is another one \(--socket PATH\)" "$ctl" -s "$no_socket" status
ends 1 "there is no such log" "$ctl" who 203.0.113.1:1 --log "$DIR/none"
ends 2 "^swnat-nfq: 'chekc' is no command; did you mean 'check'\? \(see swnat-nfq --help\)$" "$nfq" chekc
ends 2 "'--confg' is no option of swnat-nfq; did you mean '--config'\?" "$nfq" --confg x
ends 2 "--format: 'ntf' is not allowed; did you mean 'nft'\?" "$nfq" up --format ntf
ends 2 "'now' is not expected by swnat-nfq up" "$nfq" up now
ends 1 "^$DIR/none\.toml: .*No such file" "$nfq" check --config "$DIR/none.toml"
# The table lacks more, which is told too.
run "$nfq" check -c "$DIR/bad.toml"
if [[ $STATUS != 1 ]] || ! grep -q 'bad.toml:2: unknown key "interfaze".*did you mean "interface"' "$DIR/err"; then
  fail "check of an unknown key: saw $STATUS: $(cat "$DIR/err")"
fi
ends 1 "nothing waits for a confirmation" "$nfq" confirm -c "$DIR/good.toml"

run "$nfq" check -c "$DIR/good.toml"
[[ $STATUS == 0 && ! -s $DIR/err && -s $DIR/out ]] || fail "check of a good file: saw $STATUS: $(cat "$DIR/out" "$DIR/err")"
passed "0: $(head -n 1 "$DIR/out")"
for program in "$nfq" "$ctl"; do
  run "$program" --version
  [[ $STATUS == 0 && $(cat "$DIR/out") =~ ^(swnat-nfq|swnatctl)\ [0-9.]+$ ]] || fail "--version: saw $(cat "$DIR/out" "$DIR/err")"
done

# --- colours
# coloured WANTED NAME=VALUE…: whether a build step's heading is, on a terminal with that environment.
coloured() {
  local wanted=$1 seen=no
  shift
  # shellcheck disable=SC2016
  env -u NO_COLOR TERM=xterm "$@" script -qec "bash -c 'ROOT=$ROOT; source $ROOT/tools/steps; printf \"%s\" \"\$BOLD\"'" /dev/null \
    >"$DIR/out" </dev/null
  if grep -q $'\e' "$DIR/out"; then seen=yes; fi
  [[ $seen == "$wanted" ]] || fail "colours with '$*': expected $wanted, saw $seen"
  passed "colours with '$*': $seen"
}
coloured yes
coloured yes NO_COLOR=
coloured no NO_COLOR=1
coloured no TERM=dumb
[[ -z $(bash -c "ROOT=$ROOT; source $ROOT/tools/steps; printf '%s' \"\$BOLD\"") ]] || fail "colours without a terminal"

# --- the journal
: >"$DIR/journal"
stream=$(stat -c '%d:%i' "$DIR/journal")
JOURNAL_STREAM=$stream run "$nfq" check -c "$DIR/none.toml"
! grep -q '^<' "$DIR/err" || fail "what is not the journal got a priority: $(cat "$DIR/err")"
for arguments in "check -c $DIR/bad.toml" "confirm -c $DIR/good.toml" "chekc"; do
  # shellcheck disable=SC2086
  JOURNAL_STREAM=$stream "$nfq" $arguments >/dev/null 2>>"$DIR/journal" || true
done
(($(wc -l <"$DIR/journal") >= 4)) || fail "the journal lacks lines: $(cat "$DIR/journal")"
! grep -vE '^<3>[^<]' "$DIR/journal" || fail "the journal got lines without the priority of errors"
passed "lines for the journal carry a priority: $(tail -n 1 "$DIR/journal")"
