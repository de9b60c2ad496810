#!/bin/bash
# Whatever happens to the daemon, the rules and the links, under traffic of both tenants and families, no packet of a
# tenant's leaves with a private address, by a link that is not the external one, or to the other tenant. One capture on
# all outside links sees every fault. `repaired`: what others change is put back by the daemon; `unrepaired`: it is not,
# and policy routing is what still holds.
# shellcheck source-path=SCRIPTDIR source=lib.sh
source "$(dirname "$0")/lib.sh"

part=${2:?repaired or unrepaired}
gw=$(lab_netns gw)

# --- traffic

senders=(blue green)
sent_by() { lab_exec "$1" cat /sys/class/net/eth0/statistics/tx_packets; }
all_sent() { # more packets than at the start
  local tenant
  for tenant in "${senders[@]}"; do (($(sent_by "$tenant") >= start[$tenant] + $1)) || return; done
}

# Waits until all senders sent that many more packets.
let_traffic_pass() {
  local tenant
  local -A start
  for tenant in "${senders[@]}"; do start[$tenant]=$(sent_by "$tenant"); done
  wait_until 20 all_sent "$1" || fail "the tenants send nothing: the test shows nothing"
}

# Both tenants, both families: datagrams, pings, and connections that start again whenever the NAT was away.
start_traffic() {
  local tenant family far
  for tenant in blue green; do
    for family in "${LAB_FAMILIES[@]}"; do
      far=${FAR_OF[family]}
      lab_spawn "$tenant" "flood-$tenant-$family" /usr/bin/python3 "$HERE/traffic.py" flood "$far" 7000 --name "$tenant" \
        --seconds 300 --pause 0.1
      lab_spawn "$tenant" "ping-$tenant-$family" ping -q -i 0.02 -w 300 "$far"
      lab_spawn "$tenant" "stream-$tenant-$family" timeout 300 bash -c "while :; do
          head -c 300K /dev/zero | timeout 3 ncat --send-only $far 9000; sleep 0.3
        done"
    done
  done
}

# The far host knows no way to a private address: who gets answers is translated.
answered() {
  local family
  for family in "${LAB_FAMILIES[@]}"; do
    lab_exec "$1" ping -q -c 1 -W 1 "${FAR_OF[family]}" >"$LAB_DIR/answered.out" 2>&1 || return
  done
}
expect_translation() { # when, tenants…
  local tenant
  for tenant in "${@:2}"; do
    wait_until 15 answered "$tenant" || fail "$1: $tenant is not translated"
  done
  passed "$1: translated: ${*:2}"
}

# --- what leaks: private addresses outside, anything at all by the second uplink, and one's data on the other's link

quiet='(ip or (ip6 and not ip6[6] == 0 and not (icmp6 and ip6[40] >= 133)))' # no neighbour discovery
datagrams_of() { echo "udp[8:4] = $1 or (ip6[6] == 17 and ip6[48:4] = $1)"; }
start_captures() {
  capture remote eth0 outside '(ip and net 10.0.0.0/8) or (ip6 and net fd00::/8)'
  capture uplink eth0 uplink "$quiet"
  capture blue eth0 at-blue "$(datagrams_of 0x67726565)"   # "gree"
  capture green eth0 at-green "$(datagrams_of 0x626c7565)" # "blue"
}
legs=(outside uplink at-blue at-green)
reports() { grep -c 'packets\? captured' "$LAB_DIR/$1.log" || true; }
has_reported() { (($(reports "$1") > $2)); }
# How many packets all captures took so far.
leaks_so_far() {
  local leg before sum=0
  for leg in "${legs[@]}"; do
    before=$(reports "$leg")
    taken "$leg" >"$LAB_DIR/taken.out"
    wait_until 10 has_reported "$leg" "$before" || fail "tcpdump says nothing: $leg"
    sum=$((sum + $(tail -n 1 "$LAB_DIR/$leg.log" | sed -nE 's/.* ([0-9]+) packets? captured.*/\1/p')))
  done
  echo $sum
}
known_leaks=0
expect_no_leak() { # during what
  local leaks
  leaks=$(leaks_so_far)
  expect "$1: packets that leaked" 0 $((leaks - known_leaks))
  known_leaks=$leaks
}

# --- faults

queue_lines() { lab_exec gw cat /proc/net/netfilter/nfnetlink_queue; }
no_queue_is_left() { [[ -z $(queue_lines) ]]; }
rename() { rename_link gw "$1" "$2"; }
flush_ruleset() { lab_exec gw nft flush ruleset; }
# Where nft and the kernel know tables with an owner, this is refused.
delete_table() { lab_exec gw nft delete table inet swnat 2>/dev/null || true; }
flush_iptables() {
  local command table
  for command in iptables ip6tables; do
    for table in raw mangle; do lab_exec gw "$command" -t $table -F; done
  done
}
better_route() { # add, delete
  ip -n "$gw" route "$1" default via 198.18.0.2 metric 1
  ip -6 -n "$gw" route "$1" default via 2001:db8:7::2 metric 1
}
configure() { # namespaces…
  LAB_NAMESPACES=("$@")
  lab_write_config
  apply_rules 2>"$LAB_DIR/up.err"
  control reload >"$LAB_DIR/reload.out"
}
up_without_green() {
  rename green0 other0
  apply_rules 2>"$LAB_DIR/up.err"
}
interface_down() { ip -n "$gw" link set "${1}0" down; }
interface_up() {
  ip -n "$gw" link set "${1}0" up
  ip -n "$gw" address replace "$LAB_GATEWAY6/64" dev "${1}0" # the kernel takes it away
}

# during WHAT FAULT UNDO: with the fault, then without. When the daemon puts nothing back, `up` is run.
repair=true
during() {
  local what="$1 (repair = $repair)"
  $2
  let_traffic_pass 300
  expect_no_leak "$what"
  $3
  if [[ $repair == false ]]; then apply_rules; fi
  expect_translation "after: $what" blue green
}
all_faults() {
  during "flush ruleset" flush_ruleset true
  during "table deleted" delete_table true
  during "iptables flushed" flush_iptables true
  during "tenant's interface renamed" "rename blue0 other0" "rename other0 blue0"
  during "external interface renamed" "rename wan0 other0" "rename other0 wan0"
  during "second uplink" "better_route add" "better_route delete"
  during "tenant out of the file" "configure blue" "configure blue green"
  during "up without a tenant's interface" up_without_green "rename other0 green0"
  during "up again" apply_rules true
}

# --- the lab, with a second uplink

# Else a port could be the other tenant's after a restart, and late answers would go there.
LAB_SETTINGS[control.state]="\"$LAB_DIR/state\""
start_lab
add_far
lab_add_place uplink || fail "the second uplink could not be made"
LAB_PLACES+=(uplink)
lab_link uplink eth0 "198.18.0.2/24 2001:db8:7::2/64" gw wan1 "198.18.0.1/24 2001:db8:7::1/64"
wait_until 10 lab_is_settled || fail "the second uplink does not come up"
# A default route that others can be better than.
for family in 4 6; do
  ip "-$family" -n "$gw" route delete default
  ip "-$family" -n "$gw" route add default via "${LAB_REMOTE_OF[family]}" metric 2000
done
for family in "${LAB_FAMILIES[@]}"; do
  lab_serve_at far "echo-$family" tcp 7000 /usr/bin/python3 "$HERE/traffic.py" serve "${FAR_OF[family]}" 7000 --echo
done
lab_serve_at far sink tcp 9000 ncat --listen --keep-open --recv-only 9000
# Else a tenant whose link goes down would ask for its gateway, which need not answer, and send nothing.
for tenant in blue green; do
  mac=$(ip -n "$gw" -json link show dev "${tenant}0" | jq -r '.[0].address')
  for gateway in "$LAB_GATEWAY" "$LAB_GATEWAY6"; do
    lab_exec "$tenant" ip neighbour replace "$gateway" lladdr "$mac" dev eth0 nud permanent
  done
done
start_captures
start_traffic

# --- before `up`; `up` with a tenant's interface down

before_the_daemon() {
  let_traffic_pass 300
  expect_no_leak "before up"
  interface_down blue
  senders=(green)
  apply_rules
  let_traffic_pass 300
  expect_no_leak "up with a tenant's interface down, no daemon"
  start_daemon
  expect_translation "a tenant's interface is down" green
  expect_no_leak "a tenant's interface down"
  interface_up blue
  senders=(blue green)
  expect_translation "the interface came up" blue green
  end_daemon KILL
}

# --- the daemon comes and goes, and others change what it set up

daemon_that_repairs() {
  for round in 1 2; do
    start_daemon
    expect_translation "round $round" blue green
    end_daemon KILL
    wait_until 5 no_queue_is_left || fail "a queue is left after kill -9: $(queue_lines)"
    let_traffic_pass 300
    expect_no_leak "after kill -9, round $round"
  done

  start_daemon
  all_faults
  swnat down
  let_traffic_pass 300
  expect_no_leak "after down"
  apply_rules
  expect_translation "after the second up" blue green
  end_daemon TERM
  expect "exit status of the daemon, stopped under traffic" 0 "$DAEMON_STATUS"
  expect "queues left" "" "$(queue_lines)"
  swnat down
  let_traffic_pass 300
  expect_no_leak "after the last down"
}

# --- the kernel forwards already when `up` is run, as beside Docker; and nothing is put back

daemon_that_repairs_nothing() {
  lab_exec gw sh -c 'echo 1 >/proc/sys/net/ipv4/ip_forward; echo 1 >/proc/sys/net/ipv6/conf/all/forwarding'
  let_traffic_pass 300
  expect_at_least "private addresses seen while the kernel forwards and there are no rules" 100 \
    $(($(leaks_so_far) - known_leaks))
  repair=false
  LAB_SETTINGS[control.repair]=false
  lab_write_config
  apply_rules
  known_leaks=$(leaks_so_far)
  let_traffic_pass 300
  expect_no_leak "forwarding on before up, no daemon"
  start_daemon
  expect_translation "forwarding on before up" blue green
  all_faults
  flush_ruleset
  rules_are_missed() { [[ $(control status --json | jq -r .rules.state) =~ ^(differ|missing)$ ]]; }
  wait_until 10 rules_are_missed || fail "nobody misses the rules: $(control status)"
  passed "status misses the rules"
  apply_rules
}

# --- one tenant alone, and what the outside sends to its mappings while its interface is down

one_tenant_alone() {
  configure blue
  expect_translation "blue alone" blue
  for family in "${LAB_FAMILIES[@]}"; do
    lab_exec blue ncat --udp --send-only --source-port 40100 "${FAR_OF[family]}" 7100 <<<question
  done
  mappings_are_there() { (($(sessions '.internal | endswith(":40100")' | wc -l) == ${#LAB_FAMILIES[@]})); }
  wait_until 5 mappings_are_there || fail "blue gets no mappings"
  interface_down blue
  senders=(green)
  while read -r external; do
    address=${external%:*}
    for _ in 1 2 3; do
      lab_exec far ncat --udp --send-only --source-port 7100 "$(tr -d '[]' <<<"$address")" "${external##*:}" <<<secret
    done
  done < <(sessions '.internal | endswith(":40100")' | jq -r .external)
  let_traffic_pass 300
  expect_no_leak "one tenant alone, its interface down"
  expect "sessions that are nobody's" "" "$(sessions ".internal | (startswith(\"$LAB_TENANT:\") or contains(\"$LAB_TENANT6\")) | not")"
}

case $part in
  repaired)
    before_the_daemon
    daemon_that_repairs
    ;;
  unrepaired)
    daemon_that_repairs_nothing
    one_tenant_alone
    ;;
esac

for leg in "${legs[@]}"; do end_capture "$leg"; done
expect "datagrams of green's at blue" "" "$(packets at-blue | sed -n 1,3p)"
expect "datagrams of blue's at green" "" "$(packets at-green | sed -n 1,3p)"
expect "packets by the second uplink" "" "$(packets uplink | sed -n 1,3p)"
