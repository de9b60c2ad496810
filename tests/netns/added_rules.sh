#!/bin/bash
# Rules that are added to the running daemon: a forward works from outside over both families, is listed beside the
# file's, outlives a reload and kill -9, and ends by its lifetime or its removal, which ends its sessions, while all other
# traffic goes on; a drop drops until it is removed. The kernel's rules need not follow. Not everybody may add them, and
# what is wrong is told.
# shellcheck source-path=SCRIPTDIR source=lib.sh
source "$(dirname "$0")/lib.sh"

tenant_addresses=()
for family in "${LAB_FAMILIES[@]}"; do tenant_addresses+=("${LAB_TENANT_OF[family]}"); done

start_lab
STATE=$LAB_DIR/run/state
LAB_SETTINGS[control.state]="\"$STATE\""
LAB_RULES=$(forward tcp 40443 green 8080)
start_swnat
lab_serve_http_at blue blue-http 8080 "${tenant_addresses[@]}"
lab_serve_http_at green green-http 8080 "${tenant_addresses[@]}"

fetch() { lab_exec "$1" curl -sS --fail --max-time 20 "${@:2}"; }
url() { echo "http://$(lab_endpoint "${LAB_EXTERNAL_OF[$1]}" "$2")/1"; }
can_fetch() { fetch "$1" --connect-timeout 1 "$2" >"$LAB_DIR/fetch.out" 2>&1; }
# What comes for a port of nobody's gets no answer: neither a page nor a refusal.
expect_silence() { # family, port
  local status=0
  fetch remote --connect-timeout 1 "$(url "$1" "$2")" >"$LAB_DIR/fetch.out" 2>&1 || status=$?
  expect "IPv$1: port $2 is silent (curl's status of no answer)" 28 "$status"
}
add() { # family, port, OPTION…
  control forward add --protocol tcp --namespace blue --to "$(lab_endpoint "${LAB_TENANT_OF[$1]}" 8080)" \
    --external "$(lab_endpoint "${LAB_EXTERNAL_OF[$1]}" "$2")" "${@:3}"
}
remove() { # family, port
  control forward remove --protocol tcp --external "$(lab_endpoint "${LAB_EXTERNAL_OF[$1]}" "$2")"
}
forwards_of() { control forward list --json | jq -r ".forwards[] | select(.origin == \"$1\") | .external" | sort; }
rules_state() { control status --json | jq -r .rules.state; }

lab_serve answers tcp 7000 /usr/bin/python3 "$HERE/traffic.py" serve "$LAB_REMOTE" 7000
others_go_on() {
  traffic blue connections "$LAB_REMOTE" 7000 --count 1 --timeout 5 >"$LAB_DIR/others.out" ||
    fail "$1: blue's own traffic does not go on"
  can_fetch remote "$(url 4 40443)" || fail "$1: the file's forward does not go on"
  passed "$1: other traffic goes on"
}
others_go_on "at first"

# --- a forward
for family in "${LAB_FAMILIES[@]}"; do
  expect_silence "$family" 45080
  expect_match "IPv$family: added" "^forwarding tcp .*:45080 to .*:8080 of blue" "$(add "$family" 45080 --note "a camera")"
  can_fetch remote "$(url "$family" 45080)" || fail "IPv$family: what was added does not forward"
  passed "IPv$family: it works from outside"
  can_fetch green "$(url "$family" 45080)" || fail "IPv$family: another tenant does not reach it"
  passed "IPv$family: and for another tenant"
done
added=$(for family in "${LAB_FAMILIES[@]}"; do lab_endpoint "${LAB_EXTERNAL_OF[family]}" 45080; done | sort)
expect "listed as added" "$added" "$(forwards_of "run time")"
expect "listed as the file's" "${#LAB_FAMILIES[@]}" "$(forwards_of file | wc -l)"
table=$(control forward list)
expect_match "the table" 'ORIGIN +OWNER.*green .*file.*blue .*run time +operator .*a camera' "$(tr '\n' ' ' <<<"$table")"
expect "of one owner" 0 "$(control forward list --owner pcp --json | jq '.forwards | length')"
expect "of one namespace" "${#LAB_FAMILIES[@]}" "$(control forward list --namespace 'b*' --json | jq '.forwards | length')"
expect "the kernel's rules" "as configured" "$(rules_state)"
others_go_on "beside an added forward"

# --- it outlives a reload, kill -9 and a stop
control reload >"$LAB_DIR/reload.out"
expect "after a reload" "$added" "$(forwards_of "run time")"
expect_match "the reload changed nothing" 'nothing changed' "$(cat "$LAB_DIR/reload.out")"
is_kept() { [[ $(jq '.forwards | length' "$STATE.rules") == "${#LAB_FAMILIES[@]}" ]]; }
wait_until 5 is_kept || fail "what was added is not kept"
expect "who may read the file" 600 "$(stat -c %a "$STATE.rules")"
# A connection through it that goes on over the restart.
lab_spawn blue echo ncat --listen --keep-open --exec /bin/cat "$LAB_TENANT" 8081
wait_until 10 lab_listens blue tcp 8081 || fail "the echo does not listen"
control forward add --protocol tcp --namespace blue --to "$LAB_TENANT:8081" --external "$LAB_EXTERNAL:45081" >"$LAB_DIR/add.out"
is_kept_too() { grep -q 45081 "$STATE.rules"; }
wait_until 5 is_kept_too || fail "the second is not kept"
lab_spawn remote talk bash -c "
  exec 3<>/dev/tcp/$LAB_EXTERNAL/45081
  for part in 0 1 2; do
    until [[ -e '$LAB_DIR/say-'\$part ]]; do sleep 0.05; done
    echo \"\$part\" >&3 && read -r -t 5 -u 3 heard && echo \"heard \$heard\"
  done"
say() {
  touch "$LAB_DIR/say-$1"
  wait_until 10 grep -qsx "heard $1" "$LAB_DIR/talk.log" || fail "the connection by an added forward does not go on: $1"
  passed "the connection by an added forward goes on: $1"
}
say 0
end_daemon KILL
start_daemon
expect_match "the daemon says what it took over" '3 added rules taken over' "$(cat "$LAB_DIR/daemon.log")"
say 1
for family in "${LAB_FAMILIES[@]}"; do
  can_fetch remote "$(url "$family" 45080)" || fail "IPv$family: after kill -9 it does not forward"
done
end_daemon TERM
start_daemon
say 2
expect "after kill -9 and a stop" $((${#LAB_FAMILIES[@]} + 1)) "$(forwards_of "run time" | wc -l)"

# --- the file comes to have the same external endpoint
LAB_RULES+=$'\n'$(forward tcp 45080 green 8080)
lab_write_config
expect_match "the reload tells what it drops" 'forward tcp .*:45080 .*is dropped: the file has' "$(control reload)"
expect "of the added ones that one is left" "$LAB_EXTERNAL:45081" "$(forwards_of "run time")"
LAB_RULES=$(forward tcp 40443 green 8080)
lab_write_config
control reload >"$LAB_DIR/reload.out"

# --- removed: its sessions end, and the outside gets silence
expect_match "sessions by it" '[1-9]' "$(sessions '.external | endswith(":45081")' | wc -l)"
control forward remove --protocol tcp --namespace blue --to "$LAB_TENANT:8081" >"$LAB_DIR/remove.out"
expect "sessions by what was removed" "" "$(sessions '.external | endswith(":45081")')"
expect_silence 4 45081
others_go_on "after a removal"

# --- a lifetime
for family in "${LAB_FAMILIES[@]}"; do
  add "$family" 45082 --lifetime 1h >"$LAB_DIR/add.out"
  can_fetch remote "$(url "$family" 45082)" || fail "IPv$family: with a lifetime it does not forward"
  expect_match "IPv$family: what is left of an hour" '^(3[56][0-9][0-9])' \
    "$(control forward list --json | jq '[.forwards[].lifetime_left // 0] | max')"
  expect_match "IPv$family: adding it again renews the lifetime" "45082.* for [0-9.]+s" "$(add "$family" 45082 --lifetime 2)"
done
is_over() { [[ -z $(forwards_of "run time") ]]; }
wait_until 20 is_over || fail "the lifetime does not end: $(control forward list)"
for family in "${LAB_FAMILIES[@]}"; do expect_silence "$family" 45082; done
expect "sessions by what is over" "" "$(sessions '.external | endswith(":45082")')"
others_go_on "after a lifetime's end"

# --- ports that the daemon chooses
traffic blue udp "$LAB_REMOTE" 7000 --ports 20005 >"$LAB_DIR/udp.out"
mapped=$(sessions '.protocol == "udp" and (.internal | endswith(":20005"))' | jq -r .external)
expect_match "a mapping" ':[0-9]+$' "$mapped"
expect_match "a forward to an endpoint that has a mapping gets its external endpoint" "^forwarding udp $mapped to" \
  "$(control forward add --protocol udp --namespace blue --to "$LAB_TENANT:20005")"
traffic blue udp "$LAB_REMOTE" 7000 --ports 20005 >"$LAB_DIR/udp.out"
expect "the tenant goes on with it" "20005" "$(cat "$LAB_DIR/udp.out")"
expect "by the same external endpoint" "$mapped" \
  "$(sessions '.protocol == "udp" and (.internal | endswith(":20005"))' | jq -r .external)"
expect_match "a port that is taken, where any will do" "^forwarding tcp $LAB_EXTERNAL:[0-9]+ to" \
  "$(control forward add --protocol tcp --namespace green --to "$LAB_TENANT:9" --external "$LAB_EXTERNAL:40443" --any-port)"
control forward add --protocol tcp --namespace green --to "$LAB_TENANT:9" --external "$LAB_EXTERNAL:40443" --any-port \
  --note again >"$LAB_DIR/add.out"
expect "added again it is still one" 1 "$(control forward list --json | jq '[.forwards[] | select(.to | endswith(":9"))] | length')"
control forward remove --protocol tcp --namespace green --to "$LAB_TENANT:9" >"$LAB_DIR/remove.out"
control forward remove --protocol udp --namespace blue --to "$LAB_TENANT:20005" >"$LAB_DIR/remove.out"

# --- a drop
reaches_port() { traffic "$1" connections "$LAB_REMOTE" 7000 --count 1 --timeout 2 >"$LAB_DIR/reach.out" 2>&1; }
before=$(count_of dropped_by_rule)
expect_match "a drop" '^drop [0-9]+: tcp to port 7000 of blue$' "$(control drop add --protocol tcp --ports 7000 --namespace blue)"
if reaches_port blue; then fail "what is dropped passes"; fi
expect_at_least "packets dropped by a rule" $((before + 1)) "$(count_of dropped_by_rule)"
reaches_port green || fail "another tenant's packets are dropped"
passed "it drops blue's packets, and no others"
expect_match "the table of drops" 'NUMBER +NAMESPACE.*blue +tcp +7000 +run time +operator' "$(control drop list | tr '\n' ' ')"
end_daemon KILL
start_daemon
if reaches_port blue; then fail "a drop does not outlive kill -9"; fi
number=$(control drop list --json | jq '.drops[0].number')
control drop remove "$number" >"$LAB_DIR/remove.out"
reaches_port blue || fail "a drop that was removed drops"
passed "it drops over kill -9 and until it is removed"
control drop add --protocol icmp --lifetime 1 >"$LAB_DIR/add.out"
can_ping() { lab_exec green ping -q -c 1 -W 1 "$LAB_REMOTE" >"$LAB_DIR/ping.out"; }
wait_until 10 can_ping || fail "a drop does not end with its lifetime"
expect "drops" 0 "$(control drop list --json | jq '.drops | length')"

# --- bad input
refused() { # PATTERN ARGUMENT…
  local status=0
  control "${@:2}" >"$LAB_DIR/refused.out" 2>&1 || status=$?
  ((status != 0)) || fail "not refused: ${*:2}"
  expect_match "refused: ${*:2}" "$1" "$(cat "$LAB_DIR/refused.out")"
}
to=$LAB_TENANT:8080
plain=(forward add --protocol tcp --namespace blue --to "$to")
refused 'is taken: the file has' "${plain[@]}" --external "$LAB_EXTERNAL:40443"
refused 'not among external.ports, 32768-65535' "${plain[@]}" --external "$LAB_EXTERNAL:80"
refused 'is not among \[external\] addresses' "${plain[@]}" --external 192.0.2.1:45000
refused 'is no external endpoint' "${plain[@]}" --external wan0
refused 'must be a number of seconds' "${plain[@]}" --lifetime soon
refused 'printable' "${plain[@]}" --owner $'a\tb'
refused 'must be one of "tcp", "udp"' forward add --protocol icmp --namespace blue --to "$to"
refused 'is no \[\[namespace\]\]' forward add --protocol tcp --namespace red --to "$to"
refused "lies in none of namespace \"blue\"'s subnets" forward add --protocol tcp --namespace blue --to 192.0.2.9:80
refused 'is no address and port' forward add --protocol tcp --namespace blue --to 10.0.0.2
refused "is the file's: edit it" forward remove --protocol tcp --external "$LAB_EXTERNAL:40443"
refused 'no such forward' forward remove --protocol tcp --external "$LAB_EXTERNAL:40444"
refused 'which forward is meant' forward remove --protocol tcp
refused 'has no ports' drop add --protocol icmp --ports 25
refused 'is no port range' drop add --protocol tcp --ports smtp
refused 'no such drop' drop remove 77
expect "rules after all that" "" "$(forwards_of "run time")"

# A port of the gateway's own.
lab_spawn gw own ncat --listen --keep-open 0.0.0.0 45090
withheld() { (($(control ports --json | jq '[.ports[] | select(.protocol == "tcp") | .withheld] | max') > 0)); }
wait_until 10 withheld || fail "the daemon does not know the gateway's socket"
refused 'a socket of the gateway has the port' "${plain[@]}" --external "$LAB_EXTERNAL:45090"

# --- who may
# The folders above may be closed to other users, so socket and program are found from where they are.
cp "$PROGRAMS/swnatctl" "$LAB_DIR/run"
as_reader() (
  cd "$LAB_DIR/run"
  setpriv --reuid 40001 --regid 40001 --groups "$(stat -c %g control.sock)" --inh-caps=-all \
    ./swnatctl --socket control.sock "$@"
)
expect "a reader sees the file's" "${#LAB_FAMILIES[@]}" "$(as_reader forward list --json | jq '.forwards | length')"
for words in "forward add --protocol tcp --namespace blue --to $to" "forward remove --protocol tcp --external $LAB_EXTERNAL:1" \
  "drop add --protocol tcp" "drop remove 1"; do
  read -ra arguments <<<"$words"
  if as_reader "${arguments[@]}" >"$LAB_DIR/reader.out" 2>&1; then fail "a reader may: $words"; fi
  expect_match "a reader may not: $words" 'changes things: only root may' "$(cat "$LAB_DIR/reader.out")"
done

# --- what was kept is of no use
add 4 45083 >"$LAB_DIR/add.out"
wait_until 5 grep -q 45083 "$STATE.rules" || fail "it is not kept"
end_daemon TERM
head -c 300 /dev/urandom >"$STATE.rules"
start_daemon
expect_match "a damaged file is put aside" "added rules $STATE.rules: .*put aside as $STATE.rules.aside" "$(cat "$LAB_DIR/daemon.log")"
expect "rules without it" "" "$(forwards_of "run time")"
others_go_on "without it"
expect "the kernel's rules" "as configured" "$(rules_state)"
