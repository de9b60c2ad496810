#!/bin/bash
# An `up` that fails at any step, or is killed there, leaves nothing half-done; bad circumstances are told in one
# clear line.
# shellcheck source-path=SCRIPTDIR source=lib.sh
. "$(dirname -- "$0")/lib.sh"

make_interfaces blue0 green0 wan0
echo 80 >/proc/sys/net/ipv4/ip_local_reserved_ports

# A program that stands in for the real one and does something else the Nth time it is called in earnest, with
# an input.
mkdir "$folder/bin"
stand_in() { # name, the argument that tells an earnest call, which of them, what then
  local name=$1 argument=$2 count=$3 action=$4
  echo 0 >"$folder/calls"
  cat >"$folder/bin/$name" <<END
#!/bin/bash
case " \$* " in *" $argument "*)
  calls=\$((\$(cat "$folder/calls") + 1))
  echo \$calls >"$folder/calls"
  if [ \$calls -eq $count ]; then
    $action
  fi ;;
esac
exec $(command -v "$name") "\$@"
END
  chmod +x "$folder/bin/$name"
}
no_stand_ins() {
  rm -f "$folder"/bin/*
  traced=()
}
with_stand_ins() { PATH=$folder/bin:$PATH "$@"; }

# Routing has no program to stand in for: there the kernel's answer to the Nth message by netlink is another one.
traced=()
swnat() { "${traced[@]}" "$program" "$@" --config "$config"; }
trace() { # which of them, what then
  # The leak sanitizer cannot work in a process that is traced.
  traced=(env "ASAN_OPTIONS=${ASAN_OPTIONS:-}:detect_leaks=0" strace -qq -o /dev/null -e trace=sendmsg
    -e "inject=sendmsg:$2:when=$1")
}

fails_at() { # name, argument, count; sets $reason
  reason="it broke"
  if [ "$1" != netlink ]; then
    stand_in "$@" 'echo "it broke" >&2; exit 1'
  else
    reason="No buffer space available"
    trace "$3" error=ENOBUFS
  fi
}
is_killed_at() { # name, argument, count
  if [ "$1" != netlink ]; then stand_in "$@" "$kill_parent"; else trace "$3" signal=KILL; fi
}

# shellcheck disable=SC2016 # the stand-in's own variable
kill_parent='kill -9 $PPID; exit 1'

# The steps of `up`, as the program, the argument and the call. The kernel's abilities are tried before, in a
# namespace of their own: those calls count too. Interfaces are listed three times before (four times where there is a
# record of another up), then rules and routes of both families; these are changed next, and sysctls are looked at.
steps=(
  "nft -f 2"
  "iptables-restore --noflush 1"
  "iptables-restore --noflush 2"
  "ip6tables-restore --noflush 1"
  "ip6tables-restore --noflush 2"
  "netlink sendmsg 8"
  "netlink sendmsg 9"
  "netlink sendmsg 10"
)
# One of two parts, which take half the time each: the steps before this one, or the rest.
middle=4
case ${2:-} in
  first) steps=("${steps[@]:0:middle}") ;;
  second) steps=("${steps[@]:middle}") ;;
esac

write_config "$green"
snapshot >"$folder/clean"
for step in "${steps[@]}"; do
  read -r name argument count <<<"$step"
  say "failing: $name $argument, call $count"
  fails_at "$name" "$argument" "$count"
  write_config "$green"
  expect_error "$reason" with_stand_ins swnat up
  no_stand_ins
  snapshot >"$folder/after"
  expect_same "$step: a failed up left something" "$folder/clean" "$folder/after"

  # From another configuration that stands.
  write_config ""
  swnat up --format iptables
  snapshot >"$folder/standing"
  write_config "$green"
  fails_at "$name" "$argument" "$count"
  expect_error "$reason" with_stand_ins swnat up
  no_stand_ins
  snapshot >"$folder/after"
  expect_same "$step: a failed up changed what stood" "$folder/standing" "$folder/after"
  swnat down
  snapshot >"$folder/after"
  expect_same "$step: down after a failed up left something" "$folder/clean" "$folder/after"

  say "killed: $name $argument, call $count"
  is_killed_at "$name" "$argument" "$count"
  with_stand_ins swnat up 2>/dev/null && fail "$step: up was not killed"
  no_stand_ins
  swnat down
  snapshot >"$folder/after"
  expect_same "$step: down after a killed up left something" "$folder/clean" "$folder/after"

  write_config ""
  swnat up --format iptables
  write_config "$green"
  is_killed_at "$name" "$argument" "$count"
  with_stand_ins swnat up 2>/dev/null && fail "$step: the second up was not killed"
  no_stand_ins
  swnat up
  snapshot >"$folder/again"
  swnat down
  snapshot >"$folder/after"
  expect_same "$step: down after a killed second up left something" "$folder/clean" "$folder/after"
  swnat up
  snapshot >"$folder/fresh"
  expect_same "$step: up after a killed one is not the same as up" "$folder/fresh" "$folder/again"
  swnat down
done

if [ "${2:-}" = first ]; then finish && exit; fi


for sysctl in net/ipv4/ip_forward net/ipv6/conf/all/forwarding; do
  say "failing: $sysctl"
  mount --bind "/proc/sys/$sysctl" "/proc/sys/$sysctl"
  mount -o remount,bind,ro "/proc/sys/$sysctl"
  expect_error "/proc/sys/$sysctl cannot be set" swnat up
  umount "/proc/sys/$sysctl"
  snapshot >"$folder/after"
  expect_same "a failed sysctl left something" "$folder/clean" "$folder/after"
done

say "circumstances"
mkdir "$folder/run"
ln -s "$folder/nowhere" "$folder/run/swnat"
for command in up down; do
  expect_error "a symbolic link to nothing is in its place" timeout -s KILL 20 "$program" $command --config "$config"
done
rm -r "$folder/run"
# A route that the kernel refuses.
ip link set green0 down
ip link set green0 mtu 1000 # too little for IPv6
ip link set green0 up
write_config "$green"
expect_error "ip -6 route replace fd00::/64 dev green0 table $((0x53000000)) proto 83 failed: " swnat up
ip link set green0 mtu 1500
expect_told() { # text: `up` does its work, and says one line with that
  swnat up 2>"$folder/err" || fail "up with an interface that is not there or down failed"
  grep -qF -- "$1" "$folder/err" || fail "up: expected \"$1\", but it said: $(cat "$folder/err")"
  [ "$(wc -l <"$folder/err")" -eq 1 ] || fail "up: expected one line, but it said: $(cat "$folder/err")"
}
ip link set green0 down
expect_told 'namespace "green" waits for interface green0, which is down'
ip link del green0
expect_told 'namespace "green" waits for interface green0, which is not there'
swnat down
say "advice that cannot be had"
write_config '
[[namespace]]
name   = "vpn"
fwmark = "1000-1999"
'
echo "no program" >"$folder/bin/ip"
chmod +x "$folder/bin/ip"
PATH=$folder/bin:$PATH expect_told \
  "whether your own rules set fwmarks and routes is not known: $folder/bin/ip cannot be started"
no_stand_ins
# The first thing that `down` does with nft is the last that it needs of it.
# shellcheck disable=SC2016 # the stand-in's own variable
stand_in nft -f 1 'rm "$0"; echo "no program" >"$0"; chmod +x "$0"'
with_stand_ins swnat down 2>"$folder/err" || fail "down failed: $(cat "$folder/err")"
grep -q "whether rules of others still send packets to queues is not known: $folder/bin/nft cannot be started" "$folder/err" ||
  fail "down said: $(cat "$folder/err")"
no_stand_ins
write_config ""
ip link del wan0
expect_error "there is no interface wan0" swnat up
make_interfaces wan0
chmod 755 "$folder"
# A copy, because others may not be able to reach the program where it lies.
cp -- "$program" "$folder/program"
expect_error "this needs root, or the capability CAP_NET_ADMIN" \
  setpriv --reuid 65534 --regid 65534 --clear-groups --bounding-set -all "$folder/program" up --config "$config"
printf '#!/bin/sh\necho "no such target" >&2\nexit 2\n' >"$folder/bin/iptables-restore"
chmod +x "$folder/bin/iptables-restore"
expect_error "the kernel needs NFQUEUE" with_stand_ins swnat up --format iptables
no_stand_ins
# A machine without iptables: its programs are covered by a folder without them.
mkdir "$folder/empty"
for path in /usr/sbin /usr/bin /sbin /bin; do
  for name in "$path"/iptables-restore "$path"/iptables-save; do
    [ -e "$name" ] || continue
    mount --bind /dev/null "$name"
  done
done
expect_error "the program iptables-restore is missing; it is in the Debian package iptables" \
  swnat up --format iptables
[ -e "$folder/run" ] && fail "circumstances left a folder"

finish
