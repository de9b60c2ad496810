#!/bin/bash
# Ports on request: two tenants that are both 10.0.0.2 ask at once, by clients that others wrote (natpmpc of libnatpmp,
# libtorrent's PCP) and by one of our own for what these do not do, and are reached from outside through what they
# were given. Lifetimes, deletion, nonces, limits, kept sessions; restarts of either program, with the epoch and what is
# announced; a flood from one tenant, while the other is served.
# shellcheck source-path=SCRIPTDIR source=lib.sh
source "$(dirname "$0")/lib.sh"

[[ -x $PROGRAMS/swnat-pcp ]] || fail "no swnat-pcp in $PROGRAMS"

# pcp PLACE ARGUMENT…: pcp.py there.
pcp() { lab_exec "$1" /usr/bin/python3 "$HERE/pcp.py" "${@:2}"; }
is_synchronised() { grep -qs '^swnat-pcp: the daemon has' "$LAB_DIR/pcp.log"; }
start_pcp() {
  lab_spawn gw pcp "$PROGRAMS/swnat-pcp" --config "$LAB_DIR/swnat.toml"
  wait_until 20 is_synchronised || fail "swnat-pcp does not come to know what the daemon has"
}
PCP_STATUS=
end_pcp() { # sets PCP_STATUS to its exit status
  local pid=${LAB_PID[pcp]}
  unset 'LAB_PID[pcp]'
  PCP_STATUS=0
  kill -TERM "$pid"
  { wait "$pid" || PCP_STATUS=$?; } 2>/dev/null
}
write_config() { # enabled, most, lifetime
  LAB_RULES="[pcp]
enabled = $1
max_per_namespace = $2
lifetime = \"$3\""
  lab_write_config
}
external_of() { sed -nE 's/.* external ([^ ]+)$/\1/p' <<<"$1"; }
epoch_of() { sed -nE 's/.* epoch ([0-9]+).*/\1/p' <<<"$1"; }
# who PROTOCOL ENDPOINT: the tenant's server that answers there, asked from outside.
who() {
  local address=${2%:*}
  address=${address#[}
  pcp remote ask "$1" "${address%]}" "${2##*:}"
}
is_nobody() { [[ $(who "$1" "$2") == "no answer" ]]; }
# map TENANT PORT OPTION…: asks for a UDP port, by PCP, for an hour.
map() { pcp "$1" map "$LAB_GATEWAY" --port "$2" --lifetime 3600 "${@:3}"; }

start_lab
LAB_SETTINGS[control.state]="\"$LAB_DIR/run/state\""
write_config true 8 1h
start_swnat
capture blue eth0 first "udp port 5350"
start_pcp
# serve_name TENANT PORT: a server over TCP and UDP that answers with the tenant's name.
serve_name() {
  lab_spawn "$1" "name-$1-$2" /usr/bin/python3 "$HERE/pcp.py" name "$1" "$2"
  wait_until 10 lab_listens "$1" tcp "$2" || fail "$1's server does not listen"
}
for port in 7000 7001 7002; do
  serve_name blue "$port"
  serve_name green "$port"
done

# --- natpmpc, both tenants at once

ask_natpmp() {
  tenant natpmpc -a 0 7000 udp 3600
  tenant natpmpc -a 0 7000 tcp 3600
}
both natpmp ask_natpmp
declare -A natpmp
for tenant in blue green; do
  log=$LAB_DIR/natpmp-$tenant.log
  expect_match "natpmpc: $tenant is told the external address" "Public IP address : $LAB_EXTERNAL" "$(cat "$log")"
  for protocol in udp tcp; do
    port=$(sed -nE "s/^Mapped public port ([0-9]+) protocol ${protocol^^} to local port 7000 lifti?me.*/\1/p" "$log")
    natpmp[$tenant-$protocol]=$port
    expect "natpmpc: $tenant is reached from outside over $protocol" "$tenant" "$(who "$protocol" "$LAB_EXTERNAL:$port")"
  done
done
[[ ${natpmp[blue-udp]} != "${natpmp[green-udp]}" ]] || fail "both tenants have one port"
lab_exec blue natpmpc -a 0 7000 udp 0 >"$LAB_DIR/natpmp-end.log"
wait_until 5 is_nobody udp "$LAB_EXTERNAL:${natpmp[blue-udp]}" || fail "a port that was given back is open"
passed "natpmpc: a port that was given back is closed"
expect "natpmpc: green's stays" green "$(who udp "$LAB_EXTERNAL:${natpmp[green-udp]}")"

# --- PCP, by libtorrent

for tenant in blue green; do
  lab_exec "$tenant" env OWN_ADDRESS="$LAB_TENANT" /usr/bin/python3 "$HERE/pcp.py" torrent "$LAB_GATEWAY" 7100 \
    >"$LAB_DIR/torrent-$tenant.log" 2>&1 || fail "libtorrent gets no port: $(cat "$LAB_DIR/torrent-$tenant.log")"
  expect_match "libtorrent: $tenant asks by PCP" 'transport: PCP protocol: tcp' "$(cat "$LAB_DIR/torrent-$tenant.log")"
  port=$(sed -nE 's/.*successfully mapped port.*TCP\/([0-9]+)$/\1/p' "$LAB_DIR/torrent-$tenant.log" | sed -n 1p)
  serve_name "$tenant" 7100 # in the place of libtorrent, which has ended
  expect "libtorrent: $tenant is reached from outside" "$tenant" "$(who tcp "$LAB_EXTERNAL:$port")"
done

# --- PCP, of both families; who may change what

for family in "${LAB_FAMILIES[@]}"; do
  server=$LAB_GATEWAY
  [[ $family == 4 ]] || server=$LAB_GATEWAY6
  for tenant in blue green; do
    answer=$(pcp "$tenant" map "$server" --port 7002 --protocol tcp --lifetime 3600 --nonce 0a0a0a0a0a0a0a0a0a0a0a0a)
    expect_match "IPv$family: $tenant gets a port by PCP" '^SUCCESS lifetime 3600 ' "$answer"
    external=$(external_of "$answer")
    expect "IPv$family: $tenant is reached from outside" "$tenant" "$(who tcp "$external")"
    # Another host of the tenant, or another program, has another nonce.
    expect_match "IPv$family: another nonce changes nothing" '^NOT_AUTHORIZED ' \
      "$(pcp "$tenant" map "$server" --port 7002 --protocol tcp --lifetime 0 --nonce 0b0b0b0b0b0b0b0b0b0b0b0b)"
    expect "IPv$family: $tenant is still reached" "$tenant" "$(who tcp "$external")"
    expect_match "IPv$family: the right one deletes" '^SUCCESS lifetime 0 ' \
      "$(pcp "$tenant" map "$server" --port 7002 --protocol tcp --lifetime 0 --nonce 0a0a0a0a0a0a0a0a0a0a0a0a)"
    wait_until 5 is_nobody tcp "$external" || fail "a port that was deleted is open"
  done
done

wanted=$(external_of "$(map blue 7002)")
expect_match "a suggestion that another tenant has leads to another port" '^SUCCESS ' "$(map green 7002 --suggest "$wanted")"
expect_match "with PREFER_FAILURE it is refused" '^CANNOT_PROVIDE_EXTERNAL ' \
  "$(map green 7001 --suggest "$wanted" --prefer-failure)"
# Nor does anybody get a port that another has sessions on, and these go on.
lab_serve echoes tcp 7100 /usr/bin/python3 "$HERE/traffic.py" serve "$LAB_REMOTE" 7100
traffic green udp "$LAB_REMOTE" 7100 --ports 7650 >"$LAB_DIR/mapped.out"
mapped=$(control sessions --namespace green --internal :7650 --json | jq -r '.sessions[0].external')
expect_match "with PREFER_FAILURE a port that another tenant uses is refused" '^CANNOT_PROVIDE_EXTERNAL ' \
  "$(map blue 7003 --protocol udp --suggest "$mapped" --prefer-failure)"
expect "whose it is still" "$mapped" "$(control sessions --namespace green --internal :7650 --json | jq -r '.sessions[0].external')"
expect_match "a port beyond the NAT's, such as the gateway's own, is refused" '^CANNOT_PROVIDE_EXTERNAL ' \
  "$(map green 7001 --suggest "$LAB_EXTERNAL:22" --prefer-failure)"
expect_match "THIRD_PARTY is refused" '^UNSUPP_OPTION ' "$(map blue 7009 --third-party 10.0.0.9)"
expect_match "another client's address is refused" '^ADDRESS_MISMATCH ' "$(map blue 7009 --client 10.0.0.9)"
expect_match "another version is told ours" '^UNSUPP_VERSION ' "$(map blue 7009 --version 1)"
expect_match "all protocols are refused" '^UNSUPP_PROTOCOL ' "$(pcp blue map "$LAB_GATEWAY" --protocol all --lifetime 60)"
expect "from outside nobody is answered" "no answer" "$(pcp remote announce "$LAB_EXTERNAL" --attempts 2)"

# --- kept sessions

answer=$(pcp blue peer "$LAB_GATEWAY" --port 7500 --remote "$LAB_REMOTE:9000" --lifetime 3600)
expect_match "a session is kept" '^SUCCESS lifetime 3600 ' "$answer"
expect "it is there, before a packet was sent" "[\"blue\",\"$(external_of "$answer")\",0]" \
  "$(sessions '.internal == "10.0.0.2:7500"' | jq -c '[.namespace, .external, .outbound.packets]')"

# --- limits

write_config true 4 1h
kill -HUP "${LAB_PID[pcp]}"
wait_until 10 grep -qs 'reloaded' "$LAB_DIR/pcp.log" || fail "swnat-pcp does not reload"
expect_match "at its limit blue gets no more" '^USER_EX_QUOTA ' "$(map blue 7010)"

# --- restarts

end_capture first
expect_at_least "announcements that hosts heard of the first start" 3 \
  "$(packets first "ip.dst == 224.0.0.1 && portcontrol" | wc -l)"
# Green's by natpmpc, and blue's by PCP.
expect_same_port() {
  expect "$1: green's port is open" green "$(who tcp "$LAB_EXTERNAL:${natpmp[green-tcp]}")"
  expect "$1: blue's port is open" blue "$(who udp "$wanted")"
}
before=$(epoch_of "$(pcp blue announce "$LAB_GATEWAY")")
capture blue eth0 restart "udp port 5350"
end_pcp
expect "swnat-pcp ends when it is told" 0 "$PCP_STATUS"
start_pcp
answer=$(map blue 7002)
expect_match "after its restart the nonce is known" '^SUCCESS ' "$answer"
expect "and the port is the same" "$wanted" "$(external_of "$answer")"
expect_match "and another nonce is another's" '^NOT_AUTHORIZED ' "$(map blue 7002 --nonce 0b0b0b0b0b0b0b0b0b0b0b0b)"
expect_at_least "and the epoch went on" "$before" "$(epoch_of "$answer")"
expect_same_port "after a restart of swnat-pcp"

end_daemon KILL
start_daemon
expect_same_port "after the daemon was killed"
is_answered() { [[ $(pcp blue announce "$LAB_GATEWAY" --attempts 1) == SUCCESS* ]]; }
wait_until 20 is_answered || fail "nobody is answered after a restart of the daemon"
expect_at_least "the epoch went on" "$before" "$(epoch_of "$(pcp blue announce "$LAB_GATEWAY")")"
end_capture restart
expect "announcements while nothing was lost" 0 "$(packets restart | wc -l)"

# --- a link that goes and comes

green_is() { [[ $(pcp green announce "$LAB_GATEWAY" --attempts 1) == "$1"* ]]; }
rename_link gw green0 gone0
wait_until 10 green_is "no answer" || fail "a link that is no tenant's is served"
rename_link gw gone0 green0
wait_until 20 green_is SUCCESS || fail "a link that comes later is not served"
passed "a link that comes later is served"

# --- what is lost is told

capture blue eth0 lost "udp port 5350"
end_daemon
rm "$LAB_DIR/run/state.rules"
start_daemon
has_announced() { [[ $(taken lost) -ge 4 ]]; }
wait_until 30 has_announced || fail "hosts are not told that state was lost"
end_capture lost
epoch=$(epoch_of "$(pcp blue announce "$LAB_GATEWAY")")
((epoch < before)) || fail "the epoch goes on though the daemon has lost what was given: $epoch"
passed "the epoch began anew: $epoch"
is_nobody udp "$wanted" || fail "a port that was lost is open"
expect_at_least "announcements by PCP" 1 "$(packets lost 'ip.dst == 224.0.0.1 && portcontrol' | wc -l)"
expect_at_least "announcements of the address by NAT-PMP" 1 \
  "$(packets lost 'ip.dst == 224.0.0.1 && nat-pmp' | wc -l)"
if lab_has_ipv6; then
  expect_at_least "announcements over IPv6" 1 "$(packets lost 'ipv6.dst == ff02::1 && portcontrol' | wc -l)"
fi

# --- the end of a lifetime

write_config true 64 3s
kill -HUP "${LAB_PID[pcp]}"
wait_until 10 grep -qs 'reloaded' "$LAB_DIR/pcp.log" || fail "swnat-pcp does not reload"
answer=$(map blue 7001)
expect_match "a short lifetime is given" '^SUCCESS lifetime 3 ' "$answer"
wait_until 20 is_nobody udp "$(external_of "$answer")" || fail "a port is open when its time is over"
passed "a port is closed when its time is over"

# --- a flood

lab_spawn blue flood /usr/bin/python3 "$HERE/pcp.py" flood "$LAB_GATEWAY" 8
for attempt in 1 2 3 4 5; do
  expect_match "while blue floods, green gets a port ($attempt)" '^SUCCESS ' \
    "$(map green "720$attempt" --attempts 4)"
done
is_running flood || fail "the flood ended too early"
kill "${LAB_PID[flood]}"
expect_match "and the daemon answers" '"ok"|pid' "$(control status --json)"

# --- off

write_config false 8 1h
kill -HUP "${LAB_PID[pcp]}"
is_off() { [[ $(pcp green announce "$LAB_GATEWAY" --attempts 1) == "no answer" ]]; }
wait_until 10 is_off || fail "tenants are answered though it is off"
passed "where it is off nobody is answered"

# --- wrong arguments

status=0
"$PROGRAMS/swnat-pcp" --conf x >"$LAB_DIR/usage.out" 2>&1 || status=$?
expect "wrong arguments end with" 2 "$status"
status=0
"$PROGRAMS/swnat-pcp" --config /nonexistent >"$LAB_DIR/usage.out" 2>&1 || status=$?
expect "a configuration that cannot be read ends with" 1 "$status"
