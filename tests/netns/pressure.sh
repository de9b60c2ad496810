#!/bin/bash
# What surrounds the programs gives way: nobody reads the daemon's log, files cannot be opened any more, the daemon
# hangs. Each goes on as far as it can, and says what is so.
# shellcheck source-path=SCRIPTDIR source=lib.sh
source "$(dirname "$0")/lib.sh"

answers() { timeout 30 "$PROGRAMS/swnatctl" --socket "$LAB_DIR/run/control.sock" status >"$LAB_DIR/out" 2>&1; }

start_lab
lab_write_config
apply_rules

# --- a log that nobody reads
mkfifo "$LAB_DIR/log"
exec 7<>"$LAB_DIR/log" # an end of it that is never read until the end of this part
lab_spawn gw daemon bash -c "exec '$PROGRAMS/swnat-nfq' run --config '$LAB_DIR/swnat.toml' 2>'$LAB_DIR/log'"
wait_until 30 answers || fail "a daemon with a pipe for its log does not answer"
# More than any pipe takes: thousands of faults, each a line.
fill_log() {
  for ((i = 0; i < 3000; i++)); do echo "nonsense$i = 1"; done | cat - "$LAB_DIR/good.toml" >"$LAB_DIR/swnat.toml"
  kill -HUP "${LAB_PID[daemon]}"
  answers || fail "the daemon does not answer while nobody reads its log"
  kill -USR1 "${LAB_PID[daemon]}"
  answers || fail "the daemon does not answer after SIGUSR1 while nobody reads its log"
}
read_log() { dd if="$LAB_DIR/log" of="$LAB_DIR/log.out" iflag=nonblock bs=1M 2>"$LAB_DIR/dd.err" || true; }
cp "$LAB_DIR/swnat.toml" "$LAB_DIR/good.toml"
fill_log
passed "the daemon answers while nobody reads its log"
read_log
kill -USR1 "${LAB_PID[daemon]}"
answers || fail "the daemon does not answer"
read_log
expect_match "lost lines are told" $'^swnat-nfq: [0-9]+ lines lost\nswnat-nfq: packets by reason' "$(cat "$LAB_DIR/log.out")"
fill_log
end_daemon TERM
expect "exit status after SIGTERM while nobody reads the log" 0 "$DAEMON_STATUS"
cp "$LAB_DIR/good.toml" "$LAB_DIR/swnat.toml"
exec 7>&-

# --- a daemon that hangs
start_daemon
kill -STOP "${LAB_PID[daemon]}"
# More than the daemon lets wait: the first wait for an answer, the last for their connection.
clients=()
for ((i = 0; i < 20; i++)); do
  timeout 60 "$PROGRAMS/swnatctl" --socket "$LAB_DIR/run/control.sock" --timeout 1 status >"$LAB_DIR/hang-$i" 2>&1 &
  clients+=($!)
done
for ((i = 0; i < 20; i++)); do
  status=0
  wait "${clients[i]}" || status=$?
  ((status == 1)) || fail "asking a stopped daemon: expected status 1, saw $status"
  [[ $(cat "$LAB_DIR/hang-$i") == *'did not answer for 1 second (--timeout)'* ]] ||
    fail "asking a stopped daemon: saw $(cat "$LAB_DIR/hang-$i")"
done
passed "who asks a stopped daemon is told so"
kill -CONT "${LAB_PID[daemon]}"
wait_until 30 answers || fail "the daemon does not answer any more"
passed "the daemon answers when it goes on"
