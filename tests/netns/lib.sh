# shellcheck shell=bash disable=SC2016,SC2034,SC2119,SC2120
# What the tests in this folder share: a lab with swnat running in it, checks that say what was expected and
# what was seen, and a clean end. To be sourced first. A test is started with the folder of the programs as its
# only argument (build/ if there is none).

set -Eeuo pipefail

ROOT=$(dirname "$(dirname "$(dirname "$(readlink -f "${BASH_SOURCE[0]}")")")")
HERE=$ROOT/tests/netns
PROGRAMS=$(readlink -f "${1:-$ROOT/build}")
# shellcheck source-path=SCRIPTDIR source=../../tools/lab
source "$ROOT/tools/lab"
# shellcheck source-path=SCRIPTDIR source=../../tools/lab-servers
source "$ROOT/tools/lab-servers"

TEST=$(basename "$0" .sh)
# Starts with what tools/test set, so that it finds what a killed test left.
LAB_NAME=${SWNAT_TEST_RUN:-$$-$RANDOM}-$TEST-$$
LAB_DIR=${TMPDIR:-/tmp}/swnat-$LAB_NAME

if ((EUID != 0)); then
  echo "skipped: must be root to make network namespaces"
  exit 77
fi
for program in swnat-nfq swnatctl; do
  if [[ ! -x $PROGRAMS/$program ]]; then
    echo "no $program in '$PROGRAMS'; build first: cmake -S . -B build && cmake --build build" >&2
    exit 1
  fi
done

# --- saying what is wrong

fail() {
  printf 'FAILED: %s\n' "$*" >&2
  exit 1
}

passed() { printf 'ok: %s\n' "$*"; }

# expect WHAT EXPECTED SEEN
expect() {
  [[ $3 == "$2" ]] || fail "$1: expected '$2', saw '$3'"
  passed "$1: ${2:-none}"
}

# expect_at_least WHAT MINIMUM SEEN
expect_at_least() {
  (($3 >= $2)) || fail "$1: expected at least $2, saw $3"
  passed "$1: $3"
}

# expect_match WHAT EXTENDED-REGULAR-EXPRESSION SEEN
expect_match() {
  [[ $3 =~ $2 ]] || fail "$1: expected a match of '$2', saw '$3'"
  passed "$1"
}

# expect_same_file WHAT FILE FILE
expect_same_file() {
  if ! diff "$2" "$3" >"$LAB_DIR/difference"; then
    head -n 40 "$LAB_DIR/difference" >&2
    fail "$1: the two differ (< before, > after)"
  fi
  passed "$1"
}

# --- the end, whatever its cause

sanitizer_reports() {
  grep -lE 'ERROR: (Address|Leak|Thread)Sanitizer|WARNING: ThreadSanitizer|runtime error:' \
    "$LAB_DIR"/*.log 2>/dev/null || true
}

show_logs() {
  local log
  for log in "$LAB_DIR"/*.log; do
    [[ -s $log ]] || continue
    echo "--- $(basename "$log")" >&2
    tail -n 25 "$log" >&2
  done
}

finish() {
  local status=$?
  trap '' HUP INT TERM
  trap - ERR
  set +e
  if [[ -d $LAB_DIR ]]; then
    if [[ -n ${LAB_PID[daemon]:-} ]]; then end_daemon; fi
    if [[ -n $(sanitizer_reports) ]]; then
      echo "FAILED: a sanitizer reported in $(sanitizer_reports)" >&2
      status=1
    fi
    ((status == 0)) || show_logs
  fi
  lab_down
  ((status != 0)) || echo "passed: $TEST"
  exit "$status"
}

trap finish EXIT
trap 'echo "FAILED: ${BASH_SOURCE[0]##*/}:$LINENO: $BASH_COMMAND" >&2' ERR
trap 'exit 129' HUP
trap 'exit 130' INT
trap 'exit 143' TERM

# --- swnat in the lab

# The kernel's own choice unless a person says otherwise.
FORMAT=${SWNAT_FORMAT:-auto}

swnat() { lab_exec gw "$PROGRAMS/swnat-nfq" "$@" --config "$LAB_DIR/swnat.toml"; }

control() { "$PROGRAMS/swnatctl" --socket "$LAB_DIR/run/control.sock" "$@"; }

apply_rules() { swnat up --format "$FORMAT"; }

is_ready() { grep -qs '^swnat-nfq: ready' "$LAB_DIR/daemon.log"; }
is_running() { kill -0 "${LAB_PID[$1]}" 2>/dev/null; }
ready_or_dead() { is_ready || ! is_running daemon; }

# Starts the daemon and waits until it is ready. What earlier daemons of the test wrote is kept in another file.
start_daemon() {
  if [[ -e $LAB_DIR/daemon.log ]]; then cat "$LAB_DIR/daemon.log" >>"$LAB_DIR/daemon-before.log"; fi
  lab_spawn gw daemon "$PROGRAMS/swnat-nfq" run --config "$LAB_DIR/swnat.toml"
  wait_until 30 ready_or_dead || true
  is_ready || fail "the daemon is not ready"
}

# end_daemon [SIGNAL]: sets DAEMON_STATUS to its exit status, 128 + SIGNAL if a signal ended it.
DAEMON_STATUS=
end_daemon() {
  local daemon=${LAB_PID[daemon]}
  unset 'LAB_PID[daemon]'
  DAEMON_STATUS=0
  kill -"${1:-TERM}" "$daemon" 2>/dev/null || true
  kill -CONT "$daemon" 2>/dev/null || true # a test may have failed while it was stopped
  { wait "$daemon" || DAEMON_STATUS=$?; } 2>/dev/null
}

# The lab with the rules applied and the daemon ready. LAB_SETTINGS may be changed between the first two.
start_lab() {
  lab_up || fail "the lab could not be made"
}
start_swnat() {
  lab_write_config
  apply_rules
  start_daemon
}

# rename_link PLACE FROM TO: with its addresses and routes.
rename_link() {
  local netns addresses routes family each
  netns=$(lab_netns "$1")
  if ip -n "$netns" link set "$2" name "$3" 2>/dev/null; then return; fi
  # Before Linux 6.2 only one that is down can be renamed, which takes its IPv6 addresses and its routes.
  mapfile -t addresses < <(ip -n "$netns" -6 -oneline address show dev "$2" scope global | awk '{ print $4 }')
  mapfile -t routes < <(for family in -4 -6; do
    ip -n "$netns" "$family" route show dev "$2" | { grep -v 'proto kernel' || true; } | sed "s/^/$family /"
  done)
  ip -n "$netns" link set "$2" down
  ip -n "$netns" link set "$2" name "$3"
  ip -n "$netns" link set "$3" up
  for each in "${addresses[@]}"; do ip -n "$netns" address add "$each" dev "$3" nodad; done
  for each in "${routes[@]}"; do
    read -ra each <<<"$each"
    ip -n "$netns" "${each[0]}" route replace "${each[@]:1}" dev "$3"
  done
}

# forward PROTOCOL EXTERNAL-PORT NAMESPACE PORT: a [[forward]] of each family for LAB_RULES.
forward() {
  local family
  for family in "${LAB_FAMILIES[@]}"; do
    cat <<TOML
[[forward]]
protocol  = "$1"
external  = "$(lab_endpoint "${LAB_EXTERNAL_OF[family]}" "$2")"
namespace = "$3"
to        = "$(lab_endpoint "${LAB_TENANT_OF[family]}" "$4")"

TOML
  done
}

# To a web server of blue's, and a name server of green's.
forwards() {
  forward tcp 40080 blue 8080
  forward udp 40053 green 5353
}

# --- looking at it

# count_of NAME: a counter of `swnatctl stats`, by the name of its reason.
count_of() {
  control stats --json |
    jq --arg name "$1" '[.. | objects | select(has($name)) | .[$name] | numbers] | add // 0'
}

# counter_reaches NAME VALUE
counter_reaches() { (($(count_of "$1") >= $2)); }

# expect_counter NAME VALUE: waits until it is reached; packets may still be on their way.
expect_counter() {
  wait_until 5 counter_reaches "$1" "$2" ||
    fail "counter $1: expected at least $2, saw $(count_of "$1")"
  passed "counter $1 reached $2"
}

# sessions JQ-CONDITION: the sessions it holds for, one compact JSON object a line.
sessions() { control sessions --json | jq -c ".sessions[] | select($1)"; }

closed_session_is_gone() { [[ -z $(sessions '.internal | endswith(":9999")') ]]; }

# Waits until a session of blue's that was opened and closed just now is gone: so much time has then passed for all
# others, be the machine as slow as it may. Needs a short timeouts.tcp_transitory.
outlive_a_closed_session() {
  lab_serve brief tcp 9999 ncat --listen --send-only "$LAB_REMOTE" 9999
  lab_exec blue ncat --recv-only --source-port 9999 "$LAB_REMOTE" 9999 || fail "a short connection is not made"
  wait_until 20 closed_session_is_gone || fail "a closed session is kept: $(sessions true)"
  passed "a session that was opened and closed meanwhile is gone"
}

# --- clients, and a host further away

# traffic PLACE ARGUMENT…: traffic.py there.
traffic() { lab_exec "$1" /usr/bin/python3 "$HERE/traffic.py" "${@:2}"; }

# reaches PLACE ADDRESS: whether one of three pings is answered.
reaches() { lab_exec "$1" ping -q -c 3 -i 0.1 -W 1 "$2" >"$LAB_DIR/reaches-$1.out" 2>&1; }

# A host behind the remote, which becomes a router with link far0; the gateway's default routes lead there.
FAR_OF=([4]=198.51.100.7 [6]=2001:db8:2::7)

# add_far [ADDRESS/LENGTH…]: with these addresses too.
add_far() {
  lab_add_place far || fail "the far host could not be made"
  LAB_PLACES+=(far)
  lab_link remote far0 "198.51.100.1/24 2001:db8:2::1/64" far eth0 "${FAR_OF[4]}/24 ${FAR_OF[6]}/64 $*" ||
    fail "the far link could not be made"
  lab_default_route far 198.51.100.1 2001:db8:2::1
  lab_default_route gw "$LAB_REMOTE" "$LAB_REMOTE6"
  lab_exec remote sh -c 'echo 1 >/proc/sys/net/ipv4/ip_forward
    echo 1 >/proc/sys/net/ipv6/conf/all/forwarding
    for key in all/send_redirects eth0/send_redirects far0/send_redirects; do echo 0 >/proc/sys/net/ipv4/conf/$key; done'
  # Tenants are one address to the outside, which hosts answer with one error a second only.
  for place in gw remote far; do
    lab_exec "$place" sh -c 'echo 0 >/proc/sys/net/ipv4/icmp_ratelimit; echo 0 >/proc/sys/net/ipv6/icmp/ratelimit'
  done
  wait_until 10 lab_is_settled || fail "the far link does not come up"
}

# snapshot FILE: all that `up` may change in the gateway, in a form that two can be compared in.
snapshot() {
  {
    lab_exec gw iptables-save | sed -E '/^#/d; s/\[[0-9]+:[0-9]+\]//'
    lab_exec gw ip6tables-save | sed -E '/^#/d; s/\[[0-9]+:[0-9]+\]//'
    lab_exec gw nft list ruleset | sed -E 's/counter packets [0-9]+ bytes [0-9]+/counter/'
    lab_exec gw ip -4 rule
    lab_exec gw ip -6 rule
    lab_exec gw ip -4 route show table all
    lab_exec gw ip -6 route show table all
    # Some cannot be read before they are set.
    lab_exec gw find /proc/sys/net/ipv4 /proc/sys/net/ipv6 -type f -readable ! -name flush \
      ! -name stable_secret -exec grep -H '' {} + | sort
    find "$LAB_DIR/run" | sort
  } >"$1" 2>"$LAB_DIR/snapshot.log"
}

# --- captures

# capture PLACE INTERFACE NAME TCPDUMP-ARGUMENT…: writes LAB_DIR/NAME.pcap until end_capture NAME. Bytes beyond
# a frame of usual size are left out, so that the kernel's buffer holds many frames.
capture() {
  local place=$1 interface=$2 name=$3
  shift 3
  lab_spawn "$place" "$name" tcpdump -Z root -n -U --immediate-mode -B 32768 -s 2000 -i "$interface" \
    -w "$LAB_DIR/$name.pcap" "$@"
  wait_until 10 grep -qs 'listening on' "$LAB_DIR/$name.log" || fail "tcpdump does not start: $name"
}

# How many packets tcpdump took so far: it says so on SIGUSR1.
taken() {
  kill -USR1 "${LAB_PID[$1]}"
  tail -n 1 "$LAB_DIR/$1.log" | sed -nE 's/.* ([0-9]+) packets? captured.*/\1/p'
}

# Whether tcpdump has caught up: it takes no more.
is_drained() {
  local before
  before=$(taken "$1")
  sleep 0.3
  [[ -n $before && $(taken "$1") == "$before" ]]
}

# Ends it and checks that it missed nothing.
end_capture() {
  wait_until 20 is_drained "$1" || fail "tcpdump does not keep up: $1"
  kill -INT "${LAB_PID[$1]}"
  wait "${LAB_PID[$1]}" || fail "tcpdump failed: $1"
  grep -q '^0 packets dropped by kernel' "$LAB_DIR/$1.log" || fail "the capture $1 is not complete"
}

# packets NAME [DISPLAY-FILTER [TSHARK-ARGUMENT…]]: packets in the capture, one a line.
packets() {
  local name=$1 filter=${2:-}
  shift $(($# < 2 ? $# : 2))
  tshark -n -r "$LAB_DIR/$name.pcap" -Y "$filter" "$@" 2>"$LAB_DIR/tshark.err" ||
    fail "tshark: $(cat "$LAB_DIR/tshark.err")"
}

# --- both tenants at once

# both NAME COMMAND…: runs a function or command for each tenant, named in $TENANT, at the same time; its
# output goes to LAB_DIR/NAME-TENANT.log. Fails if either does.
both() {
  local name=$1 status=0 tasks=()
  shift
  for TENANT in blue green; do
    "$@" </dev/null >"$LAB_DIR/$name-$TENANT.log" 2>&1 &
    tasks+=($!)
  done
  unset TENANT
  wait "${tasks[0]}" || status=$?
  wait "${tasks[1]}" || status=$?
  ((status == 0)) || fail "$name: a tenant's command failed with status $status"
}

# tenant COMMAND…: in the namespace of $TENANT.
tenant() { lab_exec "$TENANT" "$@"; }
