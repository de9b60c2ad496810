#!/bin/bash
# Half-closed TCP connections live on: whichever end stops sending first, what the other sends arrives long after
# the time that closed sessions are kept for (RFC 7857 section 2).
# shellcheck source-path=SCRIPTDIR source=lib.sh
source "$(dirname "$0")/lib.sh"

start_lab
LAB_SETTINGS[timeouts.tcp_transitory]='"2s"'
start_swnat

declare -A port=([blue]=9001 [green]=9002)
head -c 100000 /dev/urandom >"$LAB_DIR/first"
head -c 2M /dev/urandom >"$LAB_DIR/second"
cat "$LAB_DIR/first" "$LAB_DIR/second" >"$LAB_DIR/both"

# A connection that is lost would be waited for without an end.
NCAT="timeout 60 ncat"
# The end that goes on sending: the rest when the test tells it to.
send_all="cat '$LAB_DIR/first'; until [[ -e '$LAB_DIR/go-on' ]]; do sleep 0.05; done; cat '$LAB_DIR/second'"

states() { sessions ".namespace == \"$1\" and (.internal | endswith(\":7001\"))" | jq -r .state; }
has_state() { [[ $(states "$1") == "$2" ]]; }
has_size() { [[ -e $1 ]] && (($(stat -c %s "$1") >= $2)); }

# expect_half_closed_lives FAMILY WHO RECEIVED: both tenants' connections are half-closed by WHO, and the rest
# arrives in LAB_DIR/RECEIVED-TENANT.
expect_half_closed_lives() {
  local tenant
  for tenant in blue green; do
    wait_until 20 has_size "$LAB_DIR/$3-$tenant" 100000 || fail "what was sent at once does not arrive"
    wait_until 20 has_state "$tenant" half-closed || fail "$tenant's session is not half-closed: $(states "$tenant")"
    passed "IPv$1: $tenant's connection is half-closed by $2"
  done
  outlive_a_closed_session
  touch "$LAB_DIR/go-on"
  for tenant in blue green; do
    wait "${LAB_PID[client-$tenant]}" || fail "$tenant's client failed"
    wait "${LAB_PID[server-$tenant]}" || fail "$tenant's server failed"
    cmp "$LAB_DIR/both" "$LAB_DIR/$3-$tenant" || fail "not all arrived that was sent to or by $tenant"
    passed "IPv$1: all arrived over the connection of $tenant, half-closed by $2"
    wait_until 20 has_state "$tenant" "" || fail "$tenant's session is kept after the end: $(states "$tenant")"
  done
  passed "the sessions end with the connections"
  rm "$LAB_DIR/go-on" "$LAB_DIR/$3-"*
}

for family in "${LAB_FAMILIES[@]}"; do
  remote=${LAB_REMOTE_OF[family]}

  # The client has nothing to say and stops sending at once.
  for tenant in blue green; do
    lab_serve "server-$tenant" tcp "${port[$tenant]}" bash -c "{ $send_all; } |
      $NCAT --listen --send-only $remote ${port[$tenant]}"
    lab_spawn "$tenant" "client-$tenant" bash -c "$NCAT --source-port 7001 $remote ${port[$tenant]} \
      >'$LAB_DIR/answer-$tenant'"
  done
  expect_half_closed_lives "$family" "the tenant" answer

  # The server stops sending after one line.
  for tenant in blue green; do
    echo "a greeting to $tenant" >"$LAB_DIR/greeting-$tenant"
    lab_serve "server-$tenant" tcp "${port[$tenant]}" bash -c "$NCAT --listen $remote ${port[$tenant]} \
      <'$LAB_DIR/greeting-$tenant' >'$LAB_DIR/upload-$tenant'"
    lab_spawn "$tenant" "client-$tenant" bash -c "{ $send_all; } |
      $NCAT --source-port 7001 $remote ${port[$tenant]} >'$LAB_DIR/greeted-$tenant'"
  done
  expect_half_closed_lives "$family" "the remote" upload
  for tenant in blue green; do
    expect_same_file "the greeting to $tenant" "$LAB_DIR/greeting-$tenant" "$LAB_DIR/greeted-$tenant"
  done
done
