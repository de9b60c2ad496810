#!/bin/bash
# A client that comes back from the same port, of which the session is still there: after a SYN that nobody answered,
# after one end or both lost the connection without a word, from inside and, to a forwarded port, from outside. The new
# connection works, and its end ends the session (RFC 5382 REQ-2, RFC 9293 section 3.10.7.4).
# shellcheck source-path=SCRIPTDIR source=lib.sh
source "$(dirname "$0")/lib.sh"

start_lab
LAB_SETTINGS[timeouts.tcp_transitory]='"60s"'
LAB_RULES=$(forward tcp 40070 blue 7000)
start_swnat

reconnect() { lab_exec "$1" /usr/bin/python3 "$HERE/reconnect.py" "${@:2}"; }
listens() { lab_exec "$1" ss -Hltn | grep -q ':7000 '; }
state() { sessions ".internal | endswith(\":$1\")" | jq -r .state; }
state_of_client() { sessions ".remote | endswith(\":$1\")" | jq -r .state; }
is_closing() { [[ $("$1" "$2") == closing ]]; }

has_none() { [[ -z $(lab_exec "$1" ss -Htn 'sport = 7000') ]]; }
# expect_lost PLACE WORD: the server there has lost its connection too, if it is to.
expect_lost() {
  [[ $2 == vanish ]] || wait_until 10 has_none "$1" || fail "the server in $1 keeps its connection"
}

# expect_closing WHAT STATE-FUNCTION PORT
expect_closing() {
  wait_until 10 is_closing "$2" "$3" || fail "$1: the session is not closing, but $("$2" "$3")"
  passed "$1: the session ends with the new connection"
}

port=41000
for family in "${LAB_FAMILIES[@]}"; do
  remote=${LAB_REMOTE_OF[family]}
  external=${LAB_EXTERNAL_OF[family]}
  tables=iptables
  if ((family == 6)); then tables=ip6tables; fi
  for place in remote blue; do
    address=$remote
    if [[ $place == blue ]]; then address=${LAB_TENANT_OF[family]}; fi
    lab_spawn "$place" "server-$place-$family" /usr/bin/python3 "$HERE/reconnect.py" serve "$address" 7000
    wait_until 10 listens "$place" || fail "the server does not start"
  done

  lab_exec remote "$tables" -I INPUT -p tcp --dport 7000 -j DROP
  expect "IPv$family: a server that is away" "no answer" "$(reconnect blue ask $port "$remote" 7000 try)"
  expect "IPv$family: its session" opening "$(state $port)"
  lab_exec remote "$tables" -F INPUT
  expect "IPv$family: it is back" echoed "$(reconnect blue ask $port "$remote" 7000 talk)"
  expect_closing "IPv$family, after a SYN without an answer" state $port

  for word in vanish lose; do
    port=$((port + 1))
    expect "IPv$family: a connection from inside" echoed "$(reconnect blue ask $port "$remote" 7000 $word)"
    expect "IPv$family: $word" established "$(state $port)"
    expect_lost remote $word
    expect "IPv$family: again" echoed "$(reconnect blue ask $port "$remote" 7000 talk)"
    expect_closing "IPv$family, from inside after '$word'" state $port

    expect "IPv$family: one from outside" echoed "$(reconnect remote ask $port "$external" 40070 $word)"
    expect_lost blue $word
    expect "IPv$family: again" echoed "$(reconnect remote ask $port "$external" 40070 talk)"
    expect_closing "IPv$family, from outside after '$word'" state_of_client $port
  done
  for place in remote blue; do
    kill "${LAB_PID[server-$place-$family]}"
    unset "LAB_PID[server-$place-$family]"
  done
  port=$((port + 1))
done
