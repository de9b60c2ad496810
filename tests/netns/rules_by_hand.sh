#!/bin/bash
# The blocks of docs/rules-by-hand.md, as they stand there, in place of `up`: both tenants, both families, traffic both
# ways, hairpins, fragments, path MTU discovery, one queue and several. Nothing leaks with the daemon away, without the
# queues' rules, and without any rules. Mistakes are told by the daemon, and `down` says what it leaves.
# shellcheck source-path=SCRIPTDIR source=lib.sh
source "$(dirname "$0")/lib.sh"

PAGE=$ROOT/docs/rules-by-hand.md
declare -A pattern=([blue]=b1b1b1b1 [green]=93939393)

# block HEADING: the fenced block below it.
block() {
  awk -v heading="$1" '
    /^#/ { within = $0 ~ "^#+ " heading "$" }
    within && /^```/ { if (inside) exit; inside = 1; next }
    within && inside' "$PAGE"
}

# paste HEADING: the block, in a shell on the gateway.
paste() {
  local text
  text=$(block "$1")
  [[ -n $text ]] || fail "the page has no block below '$1'"
  lab_exec gw bash -e <<<"$text" >"$LAB_DIR/paste.out" 2>&1 || fail "the block below '$1': $(cat "$LAB_DIR/paste.out")"
}

# configure WORKERS: the page's configuration, with files of this test's own, and hairpins that need no permission.
configure() {
  {
    block 'The configuration' | sed "s/^workers = 1$/workers = $1/"
    printf '[nat]\nfiltering = "endpoint-independent"\n[control]\nsocket = "%s"\nstate = ""\n' "$LAB_DIR/run/control.sock"
  } >"$LAB_DIR/swnat.toml"
}

if [[ $FORMAT == auto ]]; then
  FORMAT=nft
  lab_probe=$(nft -c -f - 2>&1 <<<'table inet probe { chain x { queue to 0; }; }') || FORMAT=iptables
  echo "format: $FORMAT $lab_probe"
fi

remove_queues() {
  local command chain
  if [[ $FORMAT == nft ]]; then
    for chain in incoming outgoing; do lab_exec gw nft "delete chain inet by_hand $chain"; done
    return
  fi
  for command in iptables ip6tables; do
    lab_exec gw $command -t raw -F
    lab_exec gw $command -t mangle -F
  done
}

start_servers() {
  local family
  for family in "${LAB_FAMILIES[@]}"; do
    lab_serve "answers-$family" tcp 7000 /usr/bin/python3 "$HERE/traffic.py" serve "${LAB_REMOTE_OF[family]}" 7000
    lab_serve_at gw "own-$family" tcp "5182$family" /usr/bin/python3 "$HERE/traffic.py" serve "${LAB_EXTERNAL_OF[family]}" \
      "5182$family"
  done
}

# traffic.py as a client, that waits as long as this machine may need.
exchange() { traffic "$@" --timeout 20; }

# Answers, over three protocols, from equal endpoints of both tenants at once. Small and large ones, which are fragments.
ask() {
  local family=$1 remote=${LAB_REMOTE_OF[$1]}
  exchange "$TENANT" udp "$remote" 7000 --name "$TENANT" --ports 6001-6010 | sed 's/^/udp /'
  exchange "$TENANT" tcp "$remote" 7000 --name "$TENANT" --ports 6001-6010 | sed 's/^/tcp /'
  tenant ping -e 4242 -c 3 -i 0.1 -W 20 -p "${pattern[$TENANT]}" "$remote"
  tenant ping -e 4243 -c 3 -i 0.1 -W 20 -s 8000 -p "${pattern[$TENANT]}" "$remote"
}
expect_traffic() { # when
  local family tenant log
  for family in "${LAB_FAMILIES[@]}"; do
    both "ask-$family" ask "$family"
    for tenant in blue green; do
      log=$LAB_DIR/ask-$family-$tenant.log
      expect "$1, IPv$family: answers to $tenant" "udp $(echo {6001..6010}) tcp $(echo {6001..6010})" \
        "$(grep -E '^(udp|tcp)' "$log" | xargs)"
      expect "$1, IPv$family: $tenant's pings that were answered" "3 3" \
        "$(sed -nE 's/.* ([0-9]+) received.*/\1/p' "$log" | xargs)"
      expect "$1, IPv$family: bytes in $tenant's pings that are not its own" "" "$(grep 'wrong data byte' "$log" || true)"
    done
  done
}

end_server() {
  kill "${LAB_PID[$1]}"
  wait "${LAB_PID[$1]}" 2>/dev/null || true
}

# Green reaches what blue serves, by the external endpoint that blue's port has got.
expect_hairpins() { # when
  local family external
  for family in "${LAB_FAMILIES[@]}"; do
    exchange blue udp "${LAB_REMOTE_OF[family]}" 7000 --name blue --ports 7001 >"$LAB_DIR/hairpin.out"
    mapping() {
      sessions ".namespace == \"blue\" and .protocol == \"udp\" and (.internal | endswith(\":7001\")) and
        (.remote | contains(\"${LAB_REMOTE_OF[family]}\"))" | jq -r .external | head -n 1
    }
    is_mapped() { [[ -n $(mapping) ]]; }
    wait_until 10 is_mapped || fail "$1, IPv$family: blue gets no mapping"
    external=$(mapping)
    lab_serve_at blue "served-$family" udp 7001 /usr/bin/python3 "$HERE/traffic.py" serve "${LAB_TENANT_OF[family]}" 7001
    expect "$1, IPv$family: green is answered by blue" "20001 20002 20003" \
      "$(exchange green udp "${LAB_EXTERNAL_OF[family]}" "${external##*:}" --name green --ports 20001-20003)"
    end_server "served-$family"
  done
}

# What no session belongs to is silent, and the gateway's own sockets are served, in the NAT's ports too.
expect_gateway() { # when
  local family
  for family in "${LAB_FAMILIES[@]}"; do
    expect "$1, IPv$family: a socket of the gateway in the NAT's ports" "20001" \
      "$(exchange remote udp "${LAB_EXTERNAL_OF[family]}" "5182$family" --name remote --ports 20001)"
    lab_exec gw ping -q -c 1 -W 20 "${LAB_REMOTE_OF[family]}" >"$LAB_DIR/ping.out" || fail "$1: the gateway's own ping is lost"
    lab_exec remote ping -q -c 1 -W 20 "${LAB_EXTERNAL_OF[family]}" >"$LAB_DIR/ping.out" || fail "$1: the gateway answers no ping"
    if lab_exec remote ncat -w 1 "${LAB_EXTERNAL_OF[family]}" 44444 </dev/null 2>"$LAB_DIR/silent.out"; then
      fail "$1: nobody's port is open"
    fi
    expect_match "$1, IPv$family: a port of nobody's is silent" '(timed out|TIMEOUT)' "$(cat "$LAB_DIR/silent.out")"
  done
}

# The link to blue becomes narrow: the far end learns it from an error that the gateway makes about translated packets.
expect_path_mtu() { # when
  local family
  ip -n "$(lab_netns gw)" link set blue0 mtu 1300
  for family in "${LAB_FAMILIES[@]}"; do
    expect "$1, IPv$family: large answers over a narrow link" "6021 6022" \
      "$(exchange blue tcp "${LAB_REMOTE_OF[family]}" 7000 --name blue --ports 6021-6022 --size 4000)"
  done
  ip -n "$(lab_netns gw)" link set blue0 mtu 1500
}

# --- leaks

sent_by() { lab_exec "$1" cat /sys/class/net/eth0/statistics/tx_packets; }
all_sent() {
  local tenant
  for tenant in blue green; do (($(sent_by "$tenant") >= start[$tenant] + 20)) || return; done
}
expect_no_leak() { # when
  local tenant
  local -A start
  for tenant in blue green; do start[$tenant]=$(sent_by "$tenant"); done
  wait_until 30 all_sent || fail "the tenants send nothing: the test shows nothing"
  wait_until 20 is_drained leaked || fail "tcpdump does not keep up"
  expect "$1: packets with a private address outside" 0 "$(taken leaked)"
}
start_floods() {
  local tenant family
  for tenant in blue green; do
    for family in "${LAB_FAMILIES[@]}"; do
      lab_spawn "$tenant" "flood-$tenant-$family" ping -q -i 0.1 "${LAB_REMOTE_OF[family]}"
    done
  done
}

# --- what is wrong is told

says() { control status | grep -Eq -- "$1"; }
expect_told() { # what, extended regular expression
  wait_until 90 says "$2" || fail "$1: not in the status: $(control status)"
  grep -Eq -- "$2" "$LAB_DIR/daemon.log" || fail "$1: not in the log"
  passed "told: $1"
}

# append HOOK QUEUES: a rule that queues what goes to UDP port 9.
append() {
  local -A priority=([input]=0 [postrouting]=-151)
  if [[ $FORMAT == nft ]]; then
    lab_exec gw nft -f - <<<"table inet wrong_$1 {
      chain wrong { type filter hook $1 priority ${priority[$1]}; udp dport 9 queue to ${2/:/-}; }
    }"
  else
    lab_exec gw iptables -t mangle -I "${1^^}" -p udp --dport 9 -j NFQUEUE --queue-balance "$2"
  fi
}
send_to_port_9() { lab_exec "$1" bash -c "echo >/dev/udp/$2/9"; }

expect_mistakes_told() {
  expect_told "rules by hand" 'rules: differ: made by hand, so they are neither compared nor put back'
  append postrouting 0:3
  expect_told "queues that nobody reads" 'names queues 2, 3, which nobody reads; the daemon reads 0-1'
  expect_match "queues that nobody reads are in the metrics" 'swnat_rules_unread_queues 2' "$(control metrics)"
  # Some value of the hash is a queue that is read.
  for address in "$LAB_REMOTE" 203.0.113.{101..120}; do send_to_port_9 gw "$address"; done
  expect_counter unknown_namespace 1
  expect_told "the gateway's own packets" "packets without a namespace's fwmark are queued on their way out"
  append input 0:1
  send_to_port_9 blue "$LAB_GATEWAY"
  expect_counter wrong_hook 1
  expect_told "a wrong hook" 'a rule queues packets in a hook where nothing is translated'
}

# `down` without any `up`: it says what it leaves, and leaves it.
expect_down_to_be_true() {
  local where="chain outgoing of nft table inet by_hand"
  [[ $FORMAT == nft ]] || where="chain PREROUTING of iptables raw"
  snapshot "$LAB_DIR/before-down"
  swnat down 2>"$LAB_DIR/down.out" || fail "down fails: $(cat "$LAB_DIR/down.out")"
  expect_match "down says what it leaves" \
    "^swnat-nfq: there is nothing of \`up\`'s here; rules that \`up\` did not make are left as they are: .*$where \(queues 0, 1\)" \
    "$(cat "$LAB_DIR/down.out")"
  expect "lines that down says" 1 "$(wc -l <"$LAB_DIR/down.out")"
  snapshot "$LAB_DIR/after-down"
  expect_same_file "down leaves all" "$LAB_DIR/before-down" "$LAB_DIR/after-down"
}

# --- the test

start_lab
start_servers
capture remote eth0 leaked '(ip and net 10.0.0.0/8) or (ip6 and net fd00::/8)'

paste 'Fwmarks and the guard'
paste 'Routes and sysctls'
start_floods
expect_no_leak "no queues yet"
configure 1
for heading in "$FORMAT, one queue" "$FORMAT, several queues"; do
  paste "$heading"
  expect_no_leak "$heading: no daemon"
  start_daemon
  expect_traffic "$heading"
  if [[ $heading != *several* ]]; then # the number of queues is no matter
    expect_hairpins "$heading"
    expect_gateway "$heading"
    expect_path_mtu "$heading"
  fi
  expect_no_leak "$heading: under traffic"
  end_daemon KILL
  expect_no_leak "$heading: after kill -9"
  [[ $heading != *several* ]] || break
  remove_queues
  configure 2
done

start_daemon
expect_mistakes_told
expect_down_to_be_true

remove_queues
lab_exec gw nft flush ruleset
expect_no_leak "all rules flushed"

paste 'Fwmarks and the guard'
paste 'Take them away'
expect "tables of nft left" "" "$(lab_exec gw nft list tables | grep by_hand || true)"
for family in "${LAB_FAMILIES[@]}"; do
  expect "IPv$family: rules of routing left" "" "$(lab_exec gw ip "-$family" rule | grep '^12.:' || true)"
done
expect_no_leak "taken away"
lab_exec gw sysctl -qw net.ipv4.ip_forward=1
leaks_are_seen() { (($(taken leaked) > 0)); }
wait_until 20 leaks_are_seen || fail "without any rules nothing leaks: the test shows nothing"
