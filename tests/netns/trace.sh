#!/bin/bash
# What `swnatctl trace` says of a packet is what then happens to one: rules, limits, mappings, ports, routes, and rules
# that are gone. Asking changes nothing.
# shellcheck source-path=SCRIPTDIR source=lib.sh
source "$(dirname "$0")/lib.sh"

STRANGER=203.0.113.101
ASKED=10.0.0.243 # nobody has it
NOWHERE=192.0.2.5

# What the daemon shows of itself, but for what time alone changes.
shown() {
  control sessions --json | jq -S 'del(.sessions[].age, .sessions[].idle, .sessions[].expires_in)'
  control ports --json | jq -S .
  control stats --json | jq -S '.packets'
}
# trace_json ARGUMENT…: the whole answer; what the daemon shows must be the same afterwards.
trace_json() {
  shown >"$LAB_DIR/before"
  control trace --json "$@" || fail "swnatctl trace $* failed"
  shown >"$LAB_DIR/after"
  diff "$LAB_DIR/before" "$LAB_DIR/after" >&2 || fail "swnatctl trace $* changed something"
}
outcome_in() { jq -r '.outcome | .verdict + " " + .reason' <<<"$1"; }
# step_in ANSWER STEP KEY: of the one step of that name.
step_in() { jq -r --arg step "$2" --arg key "$3" '.steps[] | select(.step == $step) | .[$key]' <<<"$1"; }
# send TENANT ADDRESS PORT FROM-PORTS: datagrams, answered or not.
send() { traffic "$1" udp "$2" "$3" --ports "$4" --timeout 0.3 >"$LAB_DIR/send.out" || true; }
session_of() { sessions ".namespace == \"$1\" and .internal == \"$2\" and .remote == \"$3\""; }
# count_rises REASON COMMAND…: whether it counts more afterwards.
count_rises() {
  local before
  before=$(count_of "$1")
  "${@:2}"
  wait_until 5 counter_reaches "$1" $((before + 1)) || fail "$1 is not counted: $(count_of "$1")"
  passed "and $1 is counted"
}

start_lab
lab_address remote eth0 "$STRANGER/24"
LAB_SETTINGS[nat.at_limit]='"refuse"'
LAB_SETTINGS[blue.session_limit]=12
LAB_SETTINGS[control.repair]=false
LAB_RULES="
[[drop]]
protocol = \"udp\"
port     = \"6881-6889\"

[[drop]]
protocol  = \"udp\"
port      = 25
namespace = \"blue\"

[[redirect]]
protocol = \"udp\"
from     = \"$ASKED:53\"
to       = \"$LAB_REMOTE:5353\"

$(forward tcp 40080 blue 8080)
"
start_swnat
lab_serve_http_at blue blue-http 8080 "$LAB_TENANT"
ip -n "$(lab_netns blue)" route add "$ASKED" via "$LAB_GATEWAY"

# A new mapping with a port of its own, in both families.
for family in "${LAB_FAMILIES[@]}"; do
  from=$(lab_endpoint "${LAB_TENANT_OF[family]}" 40002)
  to=$(lab_endpoint "${LAB_REMOTE_OF[family]}" 7000)
  answer=$(trace_json --namespace blue --from "$from" --to "$to" --protocol udp)
  expect "IPv$family: a first datagram" "accept translated_outbound" "$(outcome_in "$answer")"
  expect "IPv$family: steps, none of which stops it" \
    "rules namespace route queue drop session_limit max_sessions external timeout answer ok" \
    "$(jq -r '[.steps[].step] + ([.steps[].result] | unique) | join(" ")' <<<"$answer")"
  expect "IPv$family: its queue" 1 "$(step_in "$answer" queue queue)"
  expect "IPv$family: the way out" wan0 "$(step_in "$answer" route interface)"
  expect "IPv$family: the answer's way" blue0 "$(step_in "$answer" answer interface)"
  told=$(lab_endpoint "$(step_in "$answer" external address)" "$(step_in "$answer" external port)")
  before=$(control status --json | jq '.queues[1].received')
  send blue "${LAB_REMOTE_OF[family]}" 7000 40002
  expect "IPv$family: the external endpoint that was foretold" "$told" "$(session_of blue "$from" "$to" | jq -r .external)"
  expect_at_least "IPv$family: and it came by the queue" $((before + 1)) "$(control status --json | jq '.queues[1].received')"
  answer=$(trace_json --namespace blue --from "$from" --to "$to" --protocol udp)
  expect "IPv$family: its session, once it has one" "$told" "$(step_in "$answer" session external)"
  other=$(lab_endpoint "${LAB_REMOTE_OF[family]}" 7001)
  answer=$(trace_json --namespace blue --from "$from" --to "$other" --protocol udp)
  expect "IPv$family: its mapping, for another remote" mapping "$(step_in "$answer" external source)"
  send blue "${LAB_REMOTE_OF[family]}" 7001 40002
  expect "IPv$family: the other remote sees the same endpoint" "$told" "$(session_of blue "$from" "$other" | jq -r .external)"
done

# A port that another has already.
answer=$(trace_json --namespace green --from "$LAB_TENANT:40002" --to "$LAB_REMOTE:7000" --protocol udp)
expect "green with the same port gets any other" "any null" \
  "$(step_in "$answer" external source) $(step_in "$answer" external port)"
send green "$LAB_REMOTE" 7000 40002
expect_match "which it gets" "^$LAB_EXTERNAL:[0-9]*$" "$(session_of green "$LAB_TENANT:40002" "$LAB_REMOTE:7000" | jq -r .external)"

# Rules.
answer=$(trace_json --namespace blue --to "$LAB_REMOTE:25" --protocol udp)
expect "a port that a rule forbids to blue" "drop dropped_by_rule" "$(outcome_in "$answer")"
expect "by the second rule of the file" 2 "$(step_in "$answer" drop rule)"
count_rises dropped_by_rule send blue "$LAB_REMOTE" 25 40004
expect "green may" "accept translated_outbound" \
  "$(outcome_in "$(trace_json --namespace green --to "$LAB_REMOTE:25" --protocol udp)")"

answer=$(trace_json --namespace blue --from "$LAB_TENANT:40006" --to "$ASKED:53" --protocol udp)
expect "a redirected name" "accept translated_outbound PREROUTING 1" \
  "$(outcome_in "$answer") $(step_in "$answer" queue hook) $(step_in "$answer" redirect rule)"
told=$(lab_endpoint "$(step_in "$answer" external address)" "$(step_in "$answer" external port)")
send blue "$ASKED" 53 40006
expect "goes there" "$told" "$(session_of blue "$LAB_TENANT:40006" "$LAB_REMOTE:5353" | jq -r .external)"

# From outside.
answer=$(trace_json --external "$LAB_EXTERNAL:40002" --remote "$STRANGER:7777" --protocol udp)
expect "a stranger to blue's mapping" "pass filtered stop" "$(outcome_in "$answer") $(step_in "$answer" filtering result)"
count_rises filtered traffic remote udp "$LAB_EXTERNAL" 40002 --sources "$STRANGER" --ports 7777 --timeout 0.3
answer=$(trace_json --external "$LAB_EXTERNAL:40999" --remote "$LAB_REMOTE:7777" --protocol udp)
expect "an endpoint of nobody's" "pass no_mapping" "$(outcome_in "$answer")"
count_rises no_mapping traffic remote udp "$LAB_EXTERNAL" 40999 --ports 7777 --timeout 0.3
answer=$(trace_json --external "$LAB_EXTERNAL:40080" --remote "$LAB_REMOTE:41000" --protocol tcp)
expect "a forwarded port" "accept translated_inbound blue0" "$(outcome_in "$answer") $(step_in "$answer" route interface)"
told=$(step_in "$answer" forward internal)
lab_exec remote curl -sS --fail --local-port 41000 "http://$LAB_EXTERNAL:40080/1" >"$LAB_DIR/fetched"
expect "leads there" "$told" "$(sessions ".remote == \"$LAB_REMOTE:41000\"" | jq -r .internal)"
answer=$(trace_json --namespace green --to "$LAB_EXTERNAL:40080" --protocol tcp)
expect "green to blue's forward" "accept translated_hairpin blue0" \
  "$(outcome_in "$answer") $(step_in "$answer" route interface)"
count_rises translated_hairpin lab_exec green curl -sS --fail -o "$LAB_DIR/fetched" "http://$LAB_EXTERNAL:40080/2"

# What the kernel does alone.
ping_out() { lab_exec blue ping -c 1 -W 1 "$NOWHERE" || true; }
expect "the gateway's own address" "pass local" \
  "$(outcome_in "$(trace_json --namespace blue --to "$LAB_GATEWAY:22" --protocol tcp)")"
expect "a port that is not the NAT's" "pass not_queued" \
  "$(outcome_in "$(trace_json --external "$LAB_EXTERNAL:22" --remote "$LAB_REMOTE:5" --protocol tcp)")"
expect "no route" "drop no_route" "$(outcome_in "$(trace_json --namespace blue --to "$NOWHERE:7000" --protocol udp)")"
expect_match "says the kernel" "Net Unreachable" "$(ping_out)"
ip -n "$(lab_netns gw)" route add unreachable "$NOWHERE"
expect "an unreachable one" "drop unreachable" \
  "$(outcome_in "$(trace_json --namespace blue --to "$NOWHERE:7000" --protocol udp)")"
expect_match "says the kernel" "Host Unreachable" "$(ping_out)"
ip -n "$(lab_netns gw)" route replace blackhole "$NOWHERE"
expect "a blackhole" "drop blackhole" "$(outcome_in "$(trace_json --namespace blue --to "$NOWHERE:7000" --protocol udp)")"
expect_match "of which nobody hears" " 100% packet loss" "$(ping_out)"
expect "sessions to there" "" "$(sessions ".remote | startswith(\"$NOWHERE\")")"
expect "a source that is not blue's" "drop forged_source" \
  "$(outcome_in "$(trace_json --namespace blue --from 10.9.9.9 --to "$LAB_REMOTE:80" --protocol tcp)")"

# The limit.
send blue "$LAB_REMOTE" 7002 40100-40140
answer=$(trace_json --namespace blue --from "$LAB_TENANT:40200" --to "$LAB_REMOTE:7002" --protocol udp)
expect "blue at its limit" "drop session_limit 12 of 12" \
  "$(outcome_in "$answer") $(step_in "$answer" session_limit used) of $(step_in "$answer" session_limit limit)"
count_rises session_limit send blue "$LAB_REMOTE" 7002 40200
expect "green is not" "accept translated_outbound" \
  "$(outcome_in "$(trace_json --namespace green --to "$LAB_REMOTE:7002" --protocol udp)")"

# For people.
control trace --namespace blue --to "$LAB_REMOTE:25" --protocol udp >"$LAB_DIR/text"
expect "the last line" "outcome: drop, dropped_by_rule: to a destination that a rule forbids" "$(tail -n 1 "$LAB_DIR/text")"
expect "lines wider than 80 columns" 0 "$(awk 'length > 80' "$LAB_DIR/text" | wc -l)"
# refused TEXT ARGUMENT…
refused() {
  local text=$1
  if control trace "${@:2}" >"$LAB_DIR/refused.out" 2>"$LAB_DIR/refused.err"; then fail "trace ${*:2} is answered"; fi
  expect "trace ${*:2}: lines of error" 1 "$(wc -l <"$LAB_DIR/refused.err")"
  expect_match "which says why" "$text" "$(cat "$LAB_DIR/refused.err")"
}
refused "'red' is no namespace" --namespace red --to "$LAB_REMOTE:80" --protocol tcp
refused "has no port" --namespace blue --to "$LAB_REMOTE" --protocol tcp
refused "a protocol must be named" --namespace blue --to "$LAB_REMOTE:80"
refused "different families" --namespace blue --from "$LAB_TENANT" --to "[$LAB_REMOTE6]:80" --protocol tcp
refused "is no external address" --external "$LAB_REMOTE:80" --remote "$LAB_REMOTE:1" --protocol tcp

# Rules that are changed, and gone.
rules_say() { [[ $(step_in "$(control trace --json --namespace green --to "$LAB_REMOTE:80" --protocol tcp)" rules state) == "$1" ]]; }
lab_exec gw ip rule del priority "$(lab_exec gw ip rule | awk -F: '/blackhole/ { print $1; exit }')"
wait_until 30 rules_say differ || fail "a rule that was taken away is not told"
answer=$(trace_json --namespace green --to "$LAB_REMOTE:80" --protocol tcp)
expect "a rule that was taken away" "fault accept translated_outbound" \
  "$(step_in "$answer" rules result) $(outcome_in "$answer")"
swnat down
wait_until 30 rules_say missing || fail "rules that are gone are not told"
expect "without rules" "unknown rules_missing" \
  "$(outcome_in "$(trace_json --namespace green --to "$LAB_REMOTE:80" --protocol tcp)")"
