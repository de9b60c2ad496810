#!/bin/bash
# What swnatctl shows of sessions, mappings, namespaces and ports: every filter, orders, limits, columns, counts, and
# JSON as one document or in lines, with the traffic of both families.
# shellcheck source-path=SCRIPTDIR source=lib.sh
source "$(dirname "$0")/lib.sh"

start_lab
LAB_NAMESPACES+=(vpn)
LAB_SETTINGS[vpn.fwmark]='"1000-1009"'
LAB_SETTINGS[external.ports]='"32768-40767"'
LAB_RULES=$(forward udp 40053 green 5353)
start_swnat
for port in 7000 7001; do
  for family in "${LAB_FAMILIES[@]}"; do
    lab_serve "answers-$family-$port" tcp "$port" /usr/bin/python3 "$HERE/traffic.py" serve "${LAB_REMOTE_OF[family]}" "$port"
  done
done
families=${#LAB_FAMILIES[@]}

# Of each family: 40 ports of blue's over UDP to one remote port, of which 10 to the other too; 5 of green's over TCP; and
# an echo request of green's.
ask_remote() { # tenant, tcp or udp, family, port, its own ports
  traffic "$1" "$2" "${LAB_REMOTE_OF[$3]}" "$4" --name "$1" --ports "$5" >"$LAB_DIR/asked" || fail "$1 is not answered"
}
for family in "${LAB_FAMILIES[@]}"; do
  ask_remote blue udp "$family" 7000 20001-20040
  ask_remote blue udp "$family" 7001 20001-20010
  ask_remote green tcp "$family" 7000 20001-20005
  lab_exec green ping -q -c 1 -W 2 "${LAB_REMOTE_OF[family]}" >"$LAB_DIR/ping.out" || fail "green does not reach the remote"
done
all=$((56 * families))

count() { control count "$@"; }
listed() { control "$@" --json-lines | wc -l; }

expect "sessions, counted" "$all" "$(count)"
expect "sessions, counted in JSON" "$all" "$(count --json | jq .count)"
expect "sessions, listed" "$all" "$(listed sessions)"
expect "mappings, listed" $((46 * families)) "$(listed mappings)"

# Each filter, for all that take them.
filtered() { # sessions and mappings of each family, then the filter
  local sessions=$(($1 * families)) mappings=$(($2 * families))
  shift 2
  expect "count $*" "$sessions" "$(count "$@")"
  expect "sessions $*" "$sessions" "$(listed sessions "$@")"
  expect "mappings $*" "$mappings" "$(listed mappings "$@")"
}
filtered 50 40 --namespace blue
filtered 50 40 --namespace 'b*'
filtered 56 46 --namespace '*e*'
filtered 0 0 --namespace vpn
filtered 0 0 --namespace vpn-1003
filtered 0 0 --namespace 'vpn-100?'
filtered 0 0 --namespace vpn-1003-1007
filtered 5 5 --protocol tcp
filtered 1 1 --protocol icmp
filtered 20 10 --internal :20001-20010 --protocol udp
filtered 10 10 --remote :7001
filtered 5 5 --namespace green --remote :7000
filtered 56 46 --external :32768-40767
filtered 0 0 --external :1-1023
filtered 51 41 --state active
filtered 56 46 --idle 0
filtered 0 0 --idle 1h
filtered 56 46 --idle '<1h'
filtered 56 46 --age 0
filtered 0 0 --age 1h
filtered 56 46 --age '<1h'
for family in "${LAB_FAMILIES[@]}"; do
  expect "sessions of one family's remote" 56 "$(count --remote "${LAB_REMOTE_OF[family]}")"
  expect "mappings of one family's external address" 46 "$(listed mappings --external "${LAB_EXTERNAL_OF[family]}")"
done
expect "sessions of an internal network" 56 "$(count --internal 10.0.0.0/24)"

# What a mapping is shown with: green's forward has sessions of others only.
expect "sessions of mappings that two share" $((20 * families)) \
  "$(control mappings --internal :20001-20010 --protocol udp --json | jq '[.mappings[].sessions] | add')"
expect "packets of such a mapping" "2 2" "$(control mappings --internal 10.0.0.2:20001 --protocol udp --json |
  jq -r '.mappings[0] | "\(.outbound.packets) \(.inbound.packets)"')"
expect "remotes of mappings that any may share" null "$(control mappings --json | jq -c '[.mappings[].remote] | unique[]')"
echo question | lab_exec remote ncat --udp --send-only "${LAB_EXTERNAL_OF[4]}" 40053
forward_is_used() { [[ $(control mappings --external :40053 --json | jq -c '[.mappings[] | .forward, .namespace, .sessions]') == '[true,"green",1]' ]]; }
wait_until 10 forward_is_used || fail "a forward's mapping: $(control mappings --external :40053)"
passed "a forward's mapping is shown as such"
control flush --external :40053 >"$LAB_DIR/out"

# Counted apart.
expect "count by namespace" "{\"blue\":$((50 * families)),\"green\":$((6 * families))}" \
  "$(control count --by namespace --json | jq -c .by)"
expect "count by protocol" $((5 * families)) "$(control count --by protocol --json | jq .by.tcp)"
expect "count by state" $((51 * families)) "$(control count --by state --json | jq .by.active)"
expect_match "count by protocol, as text" "$((5 * families)) +tcp" "$(control count --by protocol)"

# Orders and limits.
expect "a limit" 7 "$(listed sessions --limit 7)"
expect "a limit that is not reached" "$all" "$(listed sessions --limit 100000)"
ordered() { # command, key, what jq compares
  expect "$1 by $2" true "$(control "$1" --sort "$2" --json | jq "[.$1[] | $3] | . == sort")"
  expect "$1 by $2, reversed" true "$(control "$1" --sort "$2" --reverse --json | jq "[.$1[] | $3] | . == (sort | reverse)")"
}
for command in sessions mappings; do
  ordered $command namespace .fwmark
  ordered $command packets '-(.outbound.packets + .inbound.packets)'
  ordered $command bytes '-(.outbound.bytes + .inbound.bytes)'
done
for command in sessions mappings; do
  expect "$command by age" true "$(control "$command" --sort age --json | jq "[.${command}[].age] | . == sort and .[0] > 0 and .[0] < 3600")"
done
ordered sessions state .state
ordered mappings sessions '-.sessions'
expect "the first ports" "20001 20002 20003" "$(control sessions --namespace blue --remote "$LAB_REMOTE:7000" --sort internal \
  --limit 3 --json-lines | jq -r '.internal | split(":") | last' | xargs)"
expect "the last ports" "20040 20039" "$(control sessions --namespace blue --remote "$LAB_REMOTE:7000" --sort internal \
  --reverse --limit 2 --json-lines | jq -r '.internal | split(":") | last' | xargs)"
expect "of how many" "$all" "$(control sessions --sort idle --limit 2 --json | jq .of)"

# JSON is one document, and what it lists stands in lines of its own.
expect "keys of the document" '["sessions"]' "$(control sessions --json | jq -c keys)"
expect "lines of the document" $((all + 4)) "$(control sessions --json | wc -l)"
expect "an empty list" '{"sessions":[]}' "$(control sessions --protocol gre --json | jq -c .)"
expect "lines of an empty list" 0 "$(listed sessions --protocol gre)"
expect "status in a line" 1 "$(listed status)"
status=0
control sessions --json --json-lines >"$LAB_DIR/out" 2>&1 || status=$?
expect "both forms at once: status" 2 "$status"

# Text: columns, and no more than a terminal's width, but each address whole.
expect "chosen columns" "INTERNAL STATE" "$(control sessions --columns internal,state | head -n 1 | xargs)"
expect "an order is kept in text" 20001 "$(control sessions --namespace blue --sort internal --limit 1 --columns internal |
  tail -n 1 | grep -o '[0-9]*$')"
for width in 40 80 200; do
  script --quiet --return --command "stty cols $width; '$PROGRAMS/swnatctl' --socket '$LAB_DIR/run/control.sock' sessions" \
    /dev/null </dev/null | tr -d '\r' >"$LAB_DIR/shown"
  expect "lines wider than $width characters" 0 "$(awk -v width=$width 'length > width' "$LAB_DIR/shown" | wc -l)"
  control sessions --json | jq -r '.sessions[] | .internal, .external, .remote' | sort -u >"$LAB_DIR/ends"
  expect "endpoints that are cut at $width characters" "" "$(comm -23 "$LAB_DIR/ends" <(grep -oFf "$LAB_DIR/ends" "$LAB_DIR/shown" | sort -u))"
done
expect "columns of no terminal" 13 "$(control sessions | head -n 1 | sed 's/  \+/\n/g' | wc -l)"

# Namespaces.
expect "namespaces" "blue green" "$(control namespaces --json | jq -r '.namespaces[].name' | xargs)"
expect "all namespaces" 12 "$(listed namespaces --all)"
expect "some namespaces" "vpn-1003 vpn-1004" "$(control namespaces --all --namespace vpn-1003-1004 --json | jq -r '.namespaces[].name' | xargs)"
expect "one namespace" $((50 * families)) "$(control namespaces --namespace blue --json | jq '.namespaces[].sessions')"
control namespaces --interval 2 --json >"$LAB_DIR/rates" &
rates=$!
until ! kill -0 "$rates" 2>/dev/null; do lab_exec blue ping -q -c 2 -i 0.1 -W 1 "$LAB_REMOTE" >"$LAB_DIR/ping.out"; done
wait "$rates"
expect "blue sends, and green does not" "true 0" \
  "$(jq -r '[.namespaces[].rates.outbound.packets] | "\(.[0] > 0) \(.[1])"' "$LAB_DIR/rates")"
expect_match "rates as text" "BYTES/S IN" "$(control namespaces --interval 1)"
control flush --protocol icmp >"$LAB_DIR/out"

# Ports: 8000 of each address and protocol; the forward has one of UDP's of each.
port() { control ports --json | jq -r ".ports[] | select(.external == \"$LAB_EXTERNAL\" and .protocol == \"$1\") | $2"; }
expect "addresses and protocols" $((3 * families)) "$(listed ports)"
expect "UDP ports: used, total" "41 8000" "$(port udp '"\(.used) \(.total)"')"
expect "TCP ports: used, total" "5 8000" "$(port tcp '"\(.used) \(.total)"')"
expect "each is counted once" 8000 "$(port udp '.used + .resting + .withheld + .free')"
control flush --protocol udp --remote "$LAB_REMOTE" >"$LAB_DIR/out"
expect "UDP ports after a flush: used, resting" "1 40" "$(port udp '"\(.used) \(.resting)"')"
expect_match "ports as text" "^EXTERNAL +PROTOCOL +USED +RESTING +WITHHELD +FREE +TOTAL" "$(control ports)"

# What is wrong is told with what is allowed: by swnatctl, and by the daemon.
wrong() { # status, what is said, arguments
  local status=0 expected=$1 said=$2
  shift 2
  control "$@" >"$LAB_DIR/out" 2>"$LAB_DIR/err" || status=$?
  expect "$*: status" "$expected" "$status"
  expect_match "$*: $(head -n 1 "$LAB_DIR/err")" "$said" "$(cat "$LAB_DIR/err")"
  expect "$*: output" "" "$(cat "$LAB_DIR/out")"
}
wrong 2 "'size' is no column .allowed.*: namespace, protocol, internal" sessions --columns internal,size
wrong 2 "limit" sessions --limit 0
wrong 2 "limit" mappings --limit many
wrong 2 "sort" sessions --reverse
wrong 2 "namespace" count --by remote
wrong 2 "interval" namespaces --interval 0
wrong 2 "sort" count --sort idle
wrong 1 "'size' is nothing to sort by .allowed: age, idle, expires" sessions --sort size
wrong 1 "'state' is nothing to sort by .allowed: age, idle, sessions" mappings --sort state
wrong 1 "4097 are more than can be sorted .allowed: a limit of 1 to 4096" sessions --sort idle --limit 4097
wrong 1 "'31d' is no age .allowed: seconds .*, up to 30d" count --age 31d
wrong 1 "'vpn-1010' is no namespace .allowed: a name" count --namespace vpn-1010
wrong 1 "'x\*' is no namespace" namespaces --namespace 'x*'
wrong 1 "is no protocol" mappings --protocol tpc

# More than is told at once: in an order a part is kept, and said to be one.
lab_exec blue /usr/bin/python3 "$HERE/traffic.py" udp "$LAB_REMOTE" 7000 --name blue --ports 21001-26000 >"$LAB_DIR/asked"
expect_at_least "sessions" 5000 "$(count --namespace blue)"
expect "a count of none of many" 0 "$(count --namespace vpn)"
expect "mappings, none of many" 0 "$(listed mappings --namespace vpn)"
expect_at_least "sessions made, of all" 5000 "$(control status --json | jq .sessions_made)"
expect "sessions made, of the namespaces together" "$(control status --json | jq .sessions_made)" \
  "$(control namespaces --json | jq '[.namespaces[].sessions_made] | add')"
expect "in an order" 4096 "$(control sessions --sort idle --json-lines | wc -l)"
control sessions --sort bytes --columns internal >"$LAB_DIR/out" 2>"$LAB_DIR/err"
expect_match "a part is said to be one" "the first 4096 of [0-9]+" "$(cat "$LAB_DIR/err")"
expect "without an order" "$(count)" "$(listed sessions)"

# Where each session has a mapping of its own, it is shown with its remote.
end_daemon TERM
LAB_SETTINGS[nat.mapping]='"address-and-port-dependent"'
lab_write_config
start_daemon
for port in 7000 7001; do ask_remote blue udp 4 "$port" 20001-20003; done
expect "mappings, each with a session of its own" 6 "$(listed mappings)"
expect "their remotes" "$LAB_REMOTE:7000 $LAB_REMOTE:7001" "$(control mappings --json | jq -r '[.mappings[].remote] | unique[]' | xargs)"
expect "those of one remote" 3 "$(listed mappings --remote :7001)"
