#!/bin/bash
# What becomes of the packets that find a queue full: queue.fail_open lets the kernel accept them, and without it
# they are dropped. The queue is used by a rule of its own here, with no guard behind it.
# shellcheck source-path=SCRIPTDIR source=lib.sh
source "$(dirname "$0")/lib.sh"

readonly SENT=10

start_lab
LAB_SETTINGS[queue.workers]=1
LAB_SETTINGS[queue.max_packets]=1
lab_exec gw iptables -t mangle -A POSTROUTING -p udp --dport 9 -j NFQUEUE --queue-num 0
lab_exec gw nft -f - <<'END'
table ip behind {
  counter passed { }
  chain count { type filter hook postrouting priority 300; udp dport 9 counter name passed; }
}
END

# passes FAIL-OPEN: how many packets pass while the daemon takes none. The kernel decides about each before its
# sendto returns.
passes() {
  LAB_SETTINGS[queue.fail_open]=$1
  lab_write_config
  start_daemon
  lab_exec gw nft reset counter ip behind passed >"$LAB_DIR/reset"
  kill -STOP "${LAB_PID[daemon]}"
  lab_exec gw bash -c "for i in {1..$SENT}; do echo \$i >/dev/udp/$LAB_REMOTE/9 || true; done" 2>"$LAB_DIR/send.err"
  lab_exec gw nft --json list counter ip behind passed |
    jq '.nftables[] | .counter? // empty | .packets' >"$LAB_DIR/passed"
  kill -CONT "${LAB_PID[daemon]}"
  end_daemon
}

passes false
expect "packets that pass a full queue" 0 "$(cat "$LAB_DIR/passed")"
passes true
expect "packets that pass a full queue with fail_open" $((SENT - 1)) "$(cat "$LAB_DIR/passed")"
