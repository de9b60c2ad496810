#!/bin/bash
# Whoever knows the endpoints of a connection, but not how far it has come, ends nothing: resets, FINs, data and SYNs
# in the server's name, all outside the window, leave live transfers and their sessions as they were (RFC 793
# section 3.4, RFC 5961), and the ends can still close them. A reset that is in the window does end one.
# shellcheck source-path=SCRIPTDIR source=lib.sh
source "$(dirname "$0")/lib.sh"

start_lab
LAB_SETTINGS[timeouts.tcp_transitory]='"2s"'
start_swnat

declare -A port=([blue]=9001 [green]=9002 [last]=9003)
declare -A server_next client_next external_port # sequence numbers that come next
head -c 1M /dev/urandom >"$LAB_DIR/first"
head -c 40M /dev/urandom >"$LAB_DIR/second"
cat "$LAB_DIR/first" "$LAB_DIR/second" >"$LAB_DIR/both"

# start_transfer NAME TENANT: sends the first part, and the second when LAB_DIR/go-on is there.
start_transfer() {
  local name=$1 tenant=$2
  lab_serve "server-$name" tcp "${port[$name]}" bash -c "
    { cat '$LAB_DIR/first'; until [[ -e '$LAB_DIR/go-on' ]]; do sleep 0.05; done; cat '$LAB_DIR/second'; } |
      timeout 120 ncat --listen --send-only $LAB_REMOTE ${port[$name]}"
  capture gw wan0 "syns-$name" "tcp port ${port[$name]} and tcp[tcpflags] & tcp-syn != 0"
  lab_spawn "$tenant" "client-$name" bash -c "
    timeout 120 ncat --recv-only --source-port 7001 $LAB_REMOTE ${port[$name]} >'$LAB_DIR/received-$name'"
  first_part_is_there() { cmp -s "$LAB_DIR/first" "$LAB_DIR/received-$name"; }
  wait_until 20 first_part_is_there || fail "the first part for $name does not arrive"
  end_capture "syns-$name"
  read -r server_next["$name"] client_next["$name"] external_port["$name"] < <(
    packets "syns-$name" "ip.src == $LAB_REMOTE" -T fields -e tcp.seq_raw -e tcp.ack_raw -e tcp.dstport)
  server_next[$name]=$((server_next[$name] + 1 + 1048576))
}
state() { sessions ".remote == \"$LAB_REMOTE:${port[$1]}\"" | jq -r .state; }
is_gone() { [[ -z $(state "$1") ]]; }

# forgery NAME DISTANCE HPING-ARGUMENT…: sets FORGERY to a command that sends segments in the server's name, so far
# from what comes next.
forgery() {
  FORGERY=(hping3 --quiet --baseport "${port[$1]}" --keep --destport "${external_port[$1]}" --win 8192
    --setseq $(((server_next[$1] + $2) & 0xffffffff)) "${@:3}" "$LAB_EXTERNAL")
}
# forge NAME DISTANCE COUNT HPING-ARGUMENT…: sends them. It counts as a failure for hping3 that nobody answers.
forge() {
  forgery "$1" "$2" --count "$3" --interval u1000 "${@:4}"
  lab_exec remote "${FORGERY[@]}" >>"$LAB_DIR/forged.log" 2>&1 || true
}
# Further than any window is wide, wherever the transfers are.
far=(0x40000000 0x80000000 -0x20000000)

for name in blue green; do start_transfer "$name" "$name"; done
capture blue eth0 at-blue "tcp port 7001 and src host $LAB_REMOTE"
before=$(count_of translated_inbound)
for name in blue green; do
  for distance in "${far[@]}"; do
    forge "$name" "$distance" 20 --fin --ack --setack "${client_next[$name]}"
    forge "$name" "$distance" 20 --syn
    forge "$name" "$distance" 20 --push --ack --data 100 --setack $(((client_next[$name] + 0x40000000) & 0xffffffff))
  done
done
# These last: nobody answers them, so that nothing resumes a session that they ended.
for name in blue green; do
  for distance in "${far[@]}"; do
    forge "$name" "$distance" 20 --rst
    forge "$name" "$distance" 20 --rst --ack --setack "${client_next[$name]}"
  done
done
expect_counter translated_inbound $((before + 2 * 3 * 5 * 20))
end_capture at-blue
expect "forged resets that reached blue" 120 "$(packets at-blue 'tcp.flags.reset == 1' | wc -l)"
for name in blue green; do expect "the state of $name's session" established "$(state "$name")"; done
outlive_a_closed_session
for name in blue green; do expect "the state of $name's session after a while" established "$(state "$name")"; done

# The same while data flow, and when a session that is closed is freed at once.
LAB_SETTINGS[timeouts.tcp_transitory]=0
lab_write_config
control reload >"$LAB_DIR/reload.out"
forgers=()
for name in blue green; do
  for distance in "${far[@]}"; do
    forgery "$name" "$distance" --interval u2000 --rst
    lab_spawn remote "forger-$name$distance" "${FORGERY[@]}"
    forgers+=("forger-$name$distance")
  done
done
before=$(count_of translated_inbound)
expect_counter translated_inbound $((before + 500))
touch "$LAB_DIR/go-on"
for name in blue green; do
  wait "${LAB_PID[client-$name]}" || fail "$name's client failed"
  cmp "$LAB_DIR/both" "$LAB_DIR/received-$name" || fail "what $name got is not what was sent"
  passed "$name got everything byte for byte"
  wait "${LAB_PID[server-$name]}" || fail "$name's server failed"
done
for forger in "${forgers[@]}"; do is_running "$forger" || fail "$forger did not run to the end of the transfer"; done
for name in blue green; do
  wait_until 10 is_gone "$name" || fail "$name's session is kept when its ends have closed it: $(state "$name")"
done
passed "the ends closed both connections"
for forger in "${forgers[@]}"; do
  kill -INT "${LAB_PID[$forger]}"
  wait "${LAB_PID[$forger]}" || true
done

# What hping3 sends is taken when it is in the window: then it does end a connection.
rm "$LAB_DIR/go-on"
start_transfer last blue
expect "the state of the last session" established "$(state last)"
forge last 0 1 --rst
wait_until 10 is_gone last || fail "a right reset does not end a session: $(state last)"
passed "a reset in the window ends a session"
if wait "${LAB_PID[client-last]}"; then fail "a right reset did not reach the client"; fi
passed "and its connection"
