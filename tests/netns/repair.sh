#!/bin/bash
# What others change in the kernel under the running daemon is put back, with a line that says what, and tenants'
# traffic goes on: rules, chains, policy routing, sysctls, interfaces that were down, or made or named anew. What is
# not the daemon's to change (`down`, another `up`, rules by hand) is told, as is everything with repair = false.
# shellcheck source-path=SCRIPTDIR source=lib.sh
source "$(dirname "$0")/lib.sh"

rules_of() { control status --json | jq -r ".rules.$1"; }
state_is() { [[ $(rules_of state) == "$1" ]]; }
status_has() { control status | grep -Eqx -- "$1"; }
has_logged() { grep -Eq -- "$1" "$LAB_DIR/daemon.log"; }
differences() { control status --json | jq -c .rules; }
repaired_since() { (($(rules_of repairs) > $1)); }
reaches() { lab_exec "$1" ping -q -c 1 -W 1 "$2" >/dev/null; }
all_reach() {
  local tenant remote
  for tenant in blue green; do
    for remote in "${LAB_REMOTES[@]}"; do reaches "$tenant" "$remote" || return; done
  done
}

# expect_state STATE WHAT: both as JSON and as text.
expect_state() {
  wait_until 60 state_is "$1" || fail "$2: expected '$1', saw $(differences)"
  expect_match "$2" "(^|"$'\n'")rules: $1" "$(control status)"
}

expect_traffic() {
  wait_until 60 all_reach || fail "no traffic: $1"
  passed "traffic passes: $1"
}

# mended WHAT COMMAND…: what the command does in the gateway is undone.
mended() {
  local what=$1 before
  before=$(rules_of repairs)
  shift
  lab_exec gw "$@"
  wait_until 60 repaired_since "$before" || fail "$what: nothing is put back: $(differences)"
  expect_state "as configured" "$what"
  expect_traffic "$what"
}

our_rules() { lab_exec gw ip rule show pref 5300; }
delete_our_rules() {
  lab_exec gw sh -c 'while ip rule del pref 5300; do :; done 2>/dev/null; while ip -6 rule del pref 5300; do :; done 2>/dev/null'
}
blue_table=$((0x53000001))

start_lab
start_swnat
expect_state "as configured" "after up"
expect_traffic "after up"
expect_match "metrics: all is well" 'swnat_rules_as_configured 1' "$(control metrics)"

# --- rules
mended "nft flush ruleset" nft flush ruleset
has_logged 'rules: put back: nft table inet swnat' || fail "no line says what was put back"
mended "nft delete table" nft delete table inet swnat
mended "a chain that was emptied" nft flush chain inet swnat guard
mended "an element of a set taken away" nft delete element inet swnat interfaces '{ "blue0" }'
mended "an element of a set that is somebody's" nft add element inet swnat interfaces '{ "stranger0" }'
mended "a chain of somebody's in the table" nft add chain inet swnat stranger
if grep -q SWNAT <<<"$(lab_exec gw iptables-save)"; then
  mended "iptables -F in raw" iptables -t raw -F
  mended "ip6tables -F in mangle" ip6tables -t mangle -F
  has_logged 'rules: put back: .*the chains of iptables' || fail "no line says that chains were put back"
fi

# --- policy routing and sysctls
our_rules >"$LAB_DIR/rules-before"
delete_our_rules
has_our_rules() { cmp -s "$LAB_DIR/rules-before" <(our_rules); }
wait_until 60 has_our_rules || fail "the ip rules are not put back"
expect_state "as configured" "ip rules deleted"
expect_traffic "ip rules deleted"
mended "a route deleted" ip route del 10.0.0.0/24 table "$blue_table"
mended "forwarding switched off" sh -c 'echo 0 >/proc/sys/net/ipv4/ip_forward'
mended "forwarding of one interface switched off" sh -c 'echo 0 >/proc/sys/net/ipv4/conf/blue0/forwarding'
mended "forwarding of IPv6 switched off" sh -c 'echo 0 >/proc/sys/net/ipv6/conf/all/forwarding'
mended "a sysctl that nobody tells of" sh -c 'echo 0 >/proc/sys/net/ipv4/fwmark_reflect'

# --- interfaces
waits='note: namespace blue waits for interface blue0'
readdress() { lab_address gw blue0 "$LAB_GATEWAY/24" "$LAB_GATEWAY6/64"; }
lab_exec gw ip link set blue0 down
wait_until 60 status_has "$waits, which is down" || fail "nobody says that blue0 is down: $(control status)"
expect_state "as configured" "an interface down"
reaches green "$LAB_REMOTE" || fail "green has no traffic while blue's interface is down"
lab_exec gw ip link set blue0 up
lab_address gw blue0 "$LAB_GATEWAY6/64"
expect_traffic "the interface up again"
expect_state "as configured" "the interface up again"

lab_exec gw ip link set blue0 down
lab_exec gw ip link set blue0 name other
lab_exec gw ip link set other up
wait_until 60 status_has "$waits" || fail "nobody says that blue0 is gone: $(control status)"
expect_state "as configured" "an interface with another name"
lab_exec gw ip link set other down
lab_exec gw ip link set other name blue0
lab_exec gw ip link set blue0 up
lab_address gw blue0 "$LAB_GATEWAY6/64"
expect_traffic "the interface with its name again"

lab_exec gw ip link delete blue0
wait_until 60 status_has "$waits" || fail "nobody says that blue0 is deleted: $(control status)"
lab_link blue eth0 "$LAB_TENANT/24 $LAB_TENANT6/64" gw blue0 "$LAB_GATEWAY/24 $LAB_GATEWAY6/64"
lab_default_route blue "$LAB_GATEWAY" "$LAB_GATEWAY6"
expect_traffic "an interface made again"
expect_state "as configured" "an interface made again"
expect "a sysctl of an interface made again" 2 "$(lab_exec gw cat /proc/sys/net/ipv4/conf/blue0/rp_filter)"
is_told_no_more() { ! status_has "$waits.*"; }
wait_until 60 is_told_no_more || fail "blue0 is still waited for"

# --- what is only told
lab_exec gw ip address del "$LAB_EXTERNAL/24" dev wan0
wait_until 60 status_has "note: external address $LAB_EXTERNAL is on no interface here" ||
  fail "nobody says that the external address is gone: $(control status)"
expect_state "as configured" "an external address on no interface"
lab_address gw wan0 "$LAB_EXTERNAL/24"
expect_traffic "the external address back"

before=$(rules_of repairs)
swnat down
expect_state missing "down under the running daemon"
has_logged '^swnat-nfq: rules: missing$' || fail "no line says that the rules are missing"
expect_match "metrics: missing" 'swnat_rules_as_configured 0' "$(control metrics)"
sed 's/^workers = .*/workers = 4/' "$LAB_DIR/swnat.toml" >"$LAB_DIR/four.toml"
lab_exec gw "$PROGRAMS/swnat-nfq" up --format "$FORMAT" --config "$LAB_DIR/four.toml"
wait_until 60 status_has 'rules: differ: up was run with another configuration \(queues 0-3, the daemon reads 0-1\)' ||
  fail "nobody says that other queues are used: $(control status)"
expect "repairs since down" "$before" "$(rules_of repairs)"
apply_rules
expect_state "as configured" "the right up again"
expect_traffic "the right up again"

# --- by hand
swnat down
expect_state missing "down before rules by hand"
lab_exec gw iptables -t raw -A PREROUTING -p udp --dport 9 -j NFQUEUE --queue-balance 0:3
by_hand='rules: differ: made by hand.*; chain PREROUTING of iptables raw names queues 2, 3, which nobody reads.*'
wait_until 60 status_has "$by_hand" || fail "nobody says that queues are not read: $(control status)"
passed "queues that nobody reads are told"
lab_exec gw iptables -t mangle -A INPUT -p udp --dport 9 -j NFQUEUE --queue-num 0
lab_exec blue bash -c "echo >/dev/udp/$LAB_GATEWAY/9"
lab_exec gw iptables -t raw -F
lab_exec blue bash -c "echo >/dev/udp/$LAB_GATEWAY/9"
lab_exec gw iptables -t mangle -A POSTROUTING -p udp --dport 9 -j NFQUEUE --queue-num 0
lab_exec gw bash -c "echo >/dev/udp/$LAB_REMOTE/9"
wait_until 60 has_logged "packets without a namespace's fwmark are queued on their way out" ||
  fail "nobody says that the gateway's own packets are queued: $(control status)"
passed "the gateway's own packets in a queue are told"
wait_until 60 has_logged 'a rule queues packets in a hook where nothing is translated' ||
  fail "nobody says that packets come from a wrong hook: $(control status)"
passed "packets in a wrong hook are told"
lab_exec gw iptables -t mangle -F
apply_rules
expect_state "as configured" "up after rules by hand"

# --- repair = false
LAB_SETTINGS[control.repair]=false
lab_write_config
control reload >/dev/null
before=$(rules_of repairs)
lab_exec gw nft delete table inet swnat
lab_exec gw ip route del 10.0.0.0/24 table "$blue_table"
wait_until 60 status_has 'rules: differ: nft table inet swnat is gone; ip -4 route 10.0.0.0/24 .* is gone' ||
  fail "what went is not told: $(control status)"
expect "repairs with repair = false" "$before" "$(rules_of repairs)"
lab_exec gw nft 'add table inet swnat; add counter inet swnat probe { packets 7 bytes 70; }'
expect "a counter of the rules" 7 "$(control stats --json | jq .dropped_by_rules.probe)"
expect_match "the rules' counters as text" 'DROPPED BY RULES'$'\n''      7  probe' "$(control stats)"
expect_match "the rules' counters in metrics" 'swnat_rules_dropped_total\{counter="probe"\} 7' "$(control metrics)"
LAB_SETTINGS[control.repair]=true
lab_write_config
control reload >/dev/null
expect_state "as configured" "repair = true by a reload"
expect_traffic "repair = true by a reload"

# --- somebody who undoes it again and again
for _ in {1..5}; do
  before=$(rules_of repairs)
  lab_exec gw nft delete table inet swnat
  wait_until 60 repaired_since "$before" || fail "what is undone again and again is not put back"
done
wait_until 60 has_logged 'nft table inet swnat is gone, again and again: somebody else changes it' ||
  fail "nobody says that repairs are undone"
passed "repairs that are undone again and again are told"

# --- a program that is asked about rules of others only, and cannot be
end_daemon
mkdir "$LAB_DIR/bin"
echo "no program" >"$LAB_DIR/bin/ip"
chmod +x "$LAB_DIR/bin/ip"
LAB_RULES=$'[[namespace]]\nname = "vpn"\nfwmark = "1000-1999"\n'
lab_write_config
apply_rules
lab_spawn gw daemon env "PATH=$LAB_DIR/bin:$PATH" "$PROGRAMS/swnat-nfq" run --config "$LAB_DIR/swnat.toml"
wait_until 30 ready_or_dead || true
is_ready || fail "the daemon is not ready"
wait_until 60 status_has "note: rules of others are not known: $LAB_DIR/bin/ip cannot be started: .*" ||
  fail "nobody says that a program cannot be asked: $(control status)"
mended "rules, though those of others are not known" nft delete table inet swnat
end_daemon
LAB_RULES=
lab_write_config
apply_rules
start_daemon

# --- a record that was lost: nothing is known, so nothing is put back
before=$(rules_of repairs)
rm "$LAB_DIR"/run/up-*.json
lab_exec gw nft delete table inet swnat
wait_until 60 status_has 'rules: differ: rules of swnat are there without a record of up; run it again.*' ||
  fail "nobody says that the record is gone: $(control status)"
apply_rules
expect_state "as configured" "up after the record was lost"
expect "repairs without a record" "$before" "$(rules_of repairs)"

# --- the end: all of it is undone, whoever put it back
swnat down
expect "rules left" "" "$(lab_exec gw nft list ruleset | grep -i swnat || true)$(our_rules)"
end_daemon TERM
expect "exit status of the daemon" 0 "$DAEMON_STATUS"
