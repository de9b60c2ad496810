#!/bin/bash
# Tenants that come and go: interfaces that match the pattern of a range become members of it, each with a fwmark, rules
# and routes of its own, and are gone with their interface; their sessions and their fwmark's are nobody else's.
# shellcheck source-path=SCRIPTDIR source=lib.sh
source "$(dirname "$0")/lib.sh"

# A range of three: `ppp0` and others come to it, all with the same addresses.
range='[[namespace]]
name       = "pppoe"
fwmark     = "1000-1002"
interfaces = ["ppp*"]
subnets    = ["10.0.0.0/24", "fd00::/64"]'

# customer PLACE INTERFACE: who comes by this interface of the gateway, always as 10.0.0.2 and fd00::2.
customer() {
  if ! [[ " ${LAB_PLACES[*]} " == *" $1 "* ]]; then
    lab_add_place "$1" || fail "no place $1"
    LAB_PLACES+=("$1")
  fi
  lab_link gw "$2" "10.0.0.1/24 fd00::1/64" "$1" eth0 "$LAB_TENANT/24 $LAB_TENANT6/64" || fail "no link $2"
  lab_default_route "$1" 10.0.0.1 fd00::1
}
leaves() { ip -n "$(lab_netns gw)" link delete "$1"; }
fwmark_of() { awk -v name="$1" '$2 == name && $3 != 0 { print $1 }' "$LAB_DIR"/run/members-*.txt; }
is_member() { [[ -n $(fwmark_of "$1") ]]; }
is_no_member() { [[ -z $(fwmark_of "$1") ]]; }
serves() { reaches "$1" "$LAB_REMOTE" && reaches "$1" "$LAB_REMOTE6"; }
elements() { lab_exec gw nft --json list set inet swnat members | jq '[.nftables[].set // empty | .elem // [] | .[]] | length'; }
has_elements() { [[ $(elements) == "$1" ]]; }
is_as_configured() { [[ $(control status --json | jq -r .rules.state) == "as configured" ]]; }
reports() { grep -q "$1" "$LAB_DIR/daemon.log"; }

start_lab
LAB_SETTINGS[control.state]="\"$LAB_DIR/run/state\""
LAB_NAMESPACES=(blue)
LAB_RULES=$range
lab_write_config
swnat check || fail "a pattern that matches nothing is no fault"

# One is there before `up`, and one comes while the daemon runs.
customer early ppp0
apply_rules
expect "the fwmark of who was there before" 1000 "$(fwmark_of ppp0)"
start_daemon
wait_until 20 serves early || fail "who was there before up is not served: $(control stats)"
capture remote eth0 outside "src net 10.0.0.0/24 or src net fd00::/64"
customer late ppp1
wait_until 20 serves late || fail "who came later is not served: $(control stats)"
expect "the fwmark of who came later" 1001 "$(fwmark_of ppp1)"
expect "whose interface it is" ppp1 "$(control namespaces --json | jq -r '.namespaces[] | select(.name == "pppoe-1001") | .interface')"
reaches blue "$LAB_REMOTE" || fail "a tenant with an interface of its own is not served"
wait_until 30 is_as_configured || fail "rules with members differ: $(control status)"

# Both have 10.0.0.2, and each has what it asked for.
lab_serve answers tcp 7000 /usr/bin/python3 "$HERE/traffic.py" serve "$LAB_REMOTE" 7000
for name in early late; do traffic "$name" tcp "$LAB_REMOTE" 7000 --name "$name" --ports 6001-6010 >"$LAB_DIR/$name.out"; done
for name in early late; do expect "connections of $name" "$(echo {6001..6010})" "$(grep '^6001' "$LAB_DIR/$name.out")"; done
expect_at_least "sessions of pppoe-1000" 10 "$(sessions '.namespace == "pppoe-1000"' | wc -l)"
expect_at_least "sessions of pppoe-1001" 10 "$(sessions '.namespace == "pppoe-1001"' | wc -l)"

# Who goes takes its sessions along, and has its fwmark again when it comes back.
no_sessions_of() { [[ -z $(sessions ".namespace == \"$1\"") ]]; }
leaves ppp0
wait_until 20 is_no_member ppp0 || fail "ppp0 is a member without an interface"
wait_until 20 no_sessions_of pppoe-1000 || fail "sessions of who is gone: $(sessions true)"
expect_at_least "sessions of who stays" 10 "$(sessions '.namespace == "pppoe-1001"' | wc -l)"
customer early ppp0
wait_until 20 serves early || fail "who comes back is not served"
expect "the fwmark of who comes back" 1000 "$(fwmark_of ppp0)"

# Another customer with the same name, at once: nothing of the one before is its.
traffic early udp "$LAB_REMOTE" 7000 --name early --ports 7001-7005 >/dev/null || true
leaves ppp0
customer other ppp0
wait_until 20 serves other || fail "another customer with the name is not served"
expect "sessions of the one before" "" "$(sessions '.namespace == "pppoe-1000" and (.internal | test(":(700[1-5]|600[0-9])$"))')"

# The daemon is killed; meanwhile one comes and one goes.
end_daemon KILL
leaves ppp1
customer new ppp9
start_daemon
wait_until 20 serves new || fail "who came while no daemon was there is not served"
wait_until 20 serves other || fail "who was there over a kill is not served"
expect "the fwmark over a kill" 1000 "$(fwmark_of ppp0)"
expect "who went meanwhile" "" "$(fwmark_of ppp1)"
expect "sessions of who went meanwhile" "" "$(sessions '.namespace == "pppoe-1001"')"

# More than there are fwmarks: told once, blocked, and served when one is free.
customer late ppp1
wait_until 20 serves late || fail "the third is not served"
customer fourth ppp3
wait_until 20 reports 'no fwmark left for 1 interface' || fail "nothing is said of who finds no fwmark"
if reaches fourth "$LAB_REMOTE"; then fail "who has no fwmark is served"; fi
expect "who has none" "" "$(fwmark_of ppp3)"
expect_at_least "packets of who has none" 1 "$(lab_exec gw nft --json list counter inet swnat waiting_member | jq '[.nftables[].counter.packets? // empty] | add')"
leaves ppp9
wait_until 20 serves fourth || fail "who waited is not served"
passed "who waited has the fwmark $(fwmark_of ppp3)"

# Another name is another interface; what is flushed comes back.
rename_link gw ppp3 lan3
wait_until 20 is_no_member ppp3 || fail "an interface of another name is a member"
wait_until 20 has_elements 2 || fail "members in the set: $(elements)"
lab_exec gw nft flush set inet swnat members
wait_until 30 has_elements 2 || fail "what was flushed is not put back: $(control status)"
lab_exec gw nft delete table inet swnat
wait_until 30 serves late || fail "a member is not served when its table was deleted: $(control status)"
apply_rules
wait_until 20 serves late || fail "a member is not served after another up"
wait_until 30 is_as_configured || fail "rules differ in the end: $(control status)"

# How long one waits, in milliseconds. Told, and not asserted: the machine may have other work.
waits=()
for _ in {1..15}; do
  before=$(date +%s%N)
  lab_exec gw ip link add ppp5 type veth peer name peer5
  lab_exec gw ip link set ppp5 up
  wait_until 20 is_member ppp5 || fail "ppp5 is no member"
  waits+=($((($(date +%s%N) - before) / 1000000)))
  leaves ppp5
  wait_until 20 is_no_member ppp5 || fail "ppp5 is still a member"
done
printf 'from the interface to the member, with the programs that look: median %s ms\n' "$(printf '%s\n' "${waits[@]}" | sort -n | sed -n 8p)"

end_capture outside
expect "packets that left as they were" "" "$(packets outside | sed -n 1,3p)"

# A member by another name has what members have, its sysctls among it.
rename_link gw ppp1 ppp-late
wait_until 20 is_member ppp-late || fail "a member of another name is no member"
wait_until 20 serves late || fail "a member of another name is not served"
rename_link gw ppp-late ppp1
wait_until 20 is_member ppp1 || fail "a member of its former name is no member"
expect "accept_local of who had another name meanwhile" 1 "$(lab_exec gw cat /proc/sys/net/ipv4/conf/ppp1/accept_local)"

# After `down` fwmarks are given anew: who gets another's has none of its sessions.
traffic other udp "$LAB_REMOTE" 7000 --name other --ports 7201-7205 >"$LAB_DIR/other.out"
others='.namespace == "pppoe-1000" and (.internal | test(":720[1-5]$"))'
expect_at_least "sessions of who is to go" 5 "$(sessions "$others" | wc -l)"
leaves lan3
end_daemon
leaves ppp0
swnat down
apply_rules
expect "the fwmark that another had" 1000 "$(fwmark_of ppp1)"
start_daemon
wait_until 20 serves late || fail "who has another's fwmark is not served"
expect "sessions of who had it before" "" "$(sessions "$others")"

# `down` takes all of it, of who came later too.
end_daemon
swnat down
if lab_exec gw nft list tables | grep -q 'inet swnat'; then fail "the table stays"; fi
expect "rules and routes of ours that stay" "" "$(for family in -4 -6; do
  lab_exec gw ip "$family" rule
  lab_exec gw ip "$family" route show table all
done | grep -E 'proto 83|lookup 13925' || true)"
expect "files that stay" "" "$(find "$LAB_DIR/run" -name 'members*' -o -name 'up-*')"
for key in rp_filter accept_local; do
  expect "$key of a member that is still there" \
    "$(lab_exec gw cat "/proc/sys/net/ipv4/conf/default/$key")" "$(lab_exec gw cat "/proc/sys/net/ipv4/conf/ppp1/$key")"
done
