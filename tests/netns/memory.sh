#!/bin/bash
# A start says what memory the daemon may need, and fails, in one line, where a control group, the address space or
# the state's file system cannot give it. With nat.populate_memory all of it is taken at the start.
# shellcheck source-path=SCRIPTDIR source=lib.sh
source "$(dirname "$0")/lib.sh"

start_lab
STATE=$LAB_DIR/run/state
LAB_SETTINGS[control.state]="\"$STATE\""
LAB_SETTINGS[queue.workers]=2
LAB_SETTINGS[nat.session_limit]=1000
lab_write_config

# refuses WHAT EXPECTED SHELL-COMMANDS: a daemon that is started after these commands ends with one line. `ip netns
# exec` would hide the control groups, which are below /sys.
refuses() {
  local status=0
  nsenter --net="/run/netns/$(lab_netns gw)" unshare --mount timeout 30 bash -ec "$3"'; exec "$@"' bash \
    "$PROGRAMS/swnat-nfq" run --config "$LAB_DIR/swnat.toml" 2>"$LAB_DIR/refusal" || status=$?
  expect "$1: status" 1 "$status"
  expect "$1: lines" 1 "$(wc -l <"$LAB_DIR/refusal")"
  expect_match "$1: what is said" "$2" "$(cat "$LAB_DIR/refusal")"
  if [[ -e $STATE ]]; then fail "$1: a state was left"; fi
}
needs='nat.max_sessions = [0-9]+ (may need|reserves) [0-9.]+ MiB'

refuses "an address space of 100 MB" "$needs, but the address space \(RLIMIT_AS\) has [0-9.]+ MiB left of 97.7 MiB" \
  'ulimit -v 100000'

# The daemon's mounts are its own there, and end with it.
SMALL=$LAB_DIR/small
mkdir "$SMALL"
LAB_SETTINGS[control.state]="\"$SMALL/state\""
lab_write_config
refuses "a file system of 1 MB" \
  "state $SMALL/state: cannot be given its [0-9]+ bytes, of which its file system has [0-9]+: No space left" \
  "mount -t tmpfs -o size=1m tmpfs '$SMALL'"
LAB_SETTINGS[control.state]="\"$STATE\""
lab_write_config

# A group below this process's own. Version 2 has none there while its own group has processes, as it mostly has.
own_group=
limit_file=
find_group() {
  local parent
  parent=$(awk -F: '$2 ~ /(^|,)memory(,|$)/ { print $3 }' /proc/self/cgroup)
  if [[ -n $parent ]]; then
    own_group=/sys/fs/cgroup/memory$parent/swnat-$LAB_NAME limit_file=memory.limit_in_bytes
  else
    own_group=/sys/fs/cgroup$(sed -n 's/^0:://p' /proc/self/cgroup)/swnat-$LAB_NAME limit_file=memory.max
  fi
  mkdir "$own_group" 2>/dev/null || own_group=
  [[ -n $own_group && -w $own_group/$limit_file ]]
}
remove_group() { [[ -z $own_group ]] || rmdir "$own_group" 2>/dev/null || true; }
finish_without_group() {
  local status=$?
  trap - ERR
  set +e
  remove_group
  (exit "$status")
  finish
}
trap finish_without_group EXIT

if find_group; then
  echo 12M >"$own_group/$limit_file"
  refuses "a control group of 12 MB" \
    "$needs, but the control group [^ ]*/swnat-$LAB_NAME \($limit_file\) has [0-9.]+ MiB left of 12.0 MiB" \
    "echo \$\$ >'$own_group/cgroup.procs'"
  remove_group
else
  echo "not looked at: a control group's limit, because none can be made here"
  remove_group
fi

# What is said, and what is taken.
resident() { awk '/^VmRSS:/ { print int($2 / 1024) }' "/proc/${LAB_PID[daemon]}/status"; }
apply_rules
start_daemon
expect_match "what may be needed is said" \
  "nat.max_sessions = 262144 may need [0-9.]+ MiB of memory" "$(cat "$LAB_DIR/daemon.log")"
lazily=$(resident)
end_daemon TERM
LAB_SETTINGS[nat.populate_memory]=true
lab_write_config
start_daemon
taken=$(sed -nE 's/.*nat.max_sessions = 262144 takes ([0-9]+).*/\1/p' "$LAB_DIR/daemon.log")
expect_at_least "MiB that a populated daemon has, beyond the $lazily of another" 40 "$(($(resident) - lazily))"
expect_at_least "MiB that it says it takes" 60 "$taken"
lab_exec blue ping -q -c 1 -W 2 "$LAB_REMOTE" >"$LAB_DIR/ping.out" || fail "no translation"
passed "translation"
