# shellcheck shell=bash disable=SC2034 # used by those that source this
# Sourced by the tests in this folder: a network namespace that vanishes with the test, and what is in it.
# Usage: lib.sh is sourced with the test's own arguments; the first is the program under test.

set -euo pipefail

program=$(realpath -- "$1")
here=$(dirname -- "$(realpath -- "$0")")
if [ "$(id -u)" -ne 0 ]; then
  echo "skipped: needs root" >&2
  exit 77
fi
# Without a name there is nothing to remove: the kernel ends the namespaces with the last process in them.
if [ -z "${SWNAT_TEST_INSIDE:-}" ]; then
  SWNAT_TEST_INSIDE=1 exec unshare --net --mount --propagation private -- "$0" "$@"
fi

folder=$(mktemp -d /tmp/swnat-rules-XXXXXX)
trap 'rm -rf -- "$folder"' EXIT
trap 'exit 1' INT TERM HUP
config=$folder/swnat.toml
failures=0

say() { printf '%s\n' "$*"; }
fail() {
  printf 'FAILED: %s\n' "$*" >&2
  failures=$((failures + 1))
}
finish() {
  [ "$failures" -eq 0 ] || exit 1
  say "all right"
}

# The tenants' interfaces and the one to the outside; the other ends of the cables lie here too.
make_interfaces() {
  local name
  # Addresses count at once, so that two snapshots do not differ by time.
  echo 0 >/proc/sys/net/ipv6/conf/all/accept_dad
  echo 0 >/proc/sys/net/ipv6/conf/default/accept_dad
  ip link set lo up
  for name in "$@"; do
    ip link add "$name" type veth peer name "far-$name"
    ip link set "$name" up
    ip link set "far-$name" up
  done
}

swnat() { "$program" "$@" --config "$config"; }

# A table's sets and chains by their names: in which order they were made is no matter.
table_by_name() { # family, table
  nft list table "$1" "$2" | sed -e 's/packets [0-9]* bytes [0-9]*//' -e '/^}$/d' |
    awk 'BEGIN { RS = ""; ORS = "\n\n" } { print }' | awk '
      /^\t[a-z]+ [^ ]+ \{$/ { name = $1 " " $2 }
      { print name "\t" NR "\t" $0 }' | sort -t "$(printf '\t')" -k 1,1 -k 2,2n | cut -f 3-
}

# Everything that `up` may change, as text.
snapshot() {
  local save family table
  # Of the tables that belong to iptables only that they exist: in which order their chains were made is no matter.
  nft list tables | sort
  nft list chains | sort
  nft list tables | sed 's/^table //' | while read -r family table; do
    [[ $family == ip || $family == ip6 ]] || table_by_name "$family" "$table"
  done
  for save in ip{,6}tables-{nft,legacy}-save; do
    $save 2>/dev/null | sed -e '/^#/d' -e 's/\[[0-9]*:[0-9]*\]//'
  done
  for family in -4 -6; do
    ip $family rule show | sort
    ip $family route show table all | sed 's/expires [0-9]*sec //' | sort
  done
  { grep -rs . /proc/sys/net/ipv4 /proc/sys/net/ipv6 || true; } | sort  # some cannot be read
  ls -d "$folder"/run 2>/dev/null || true
}

expect_same() { # what, snapshot file, snapshot file
  if ! diff -u -- "$2" "$3" >"$folder/difference"; then
    fail "$1"
    head -40 "$folder/difference" >&2
  fi
}

# The command fails with one line that contains the text.
expect_error() { # text, command...
  local text=$1
  shift
  if "$@" >"$folder/out" 2>"$folder/err"; then
    fail "$*: expected an error with \"$text\", but it succeeded"
  elif ! grep -qF -- "$text" "$folder/err"; then
    fail "$*: expected an error with \"$text\", but it said: $(cat "$folder/err")"
  elif [ "$(wc -l <"$folder/err")" -ne 1 ]; then
    fail "$*: expected one line, but it said: $(cat "$folder/err")"
  fi
}

# Prints the packets counted by this counter of the test's own table since the last time.
count() { nft -j reset counter inet watch "$1" | grep -o '"packets": [0-9]*' | grep -o '[0-9]*'; }

expect_count() { # what, counter, number
  local seen=0
  # The kernel may still be busy with the packets.
  for _ in $(seq 50); do
    seen=$((seen + $(count "$2")))
    [ "$seen" -ge "$3" ] && break
    sleep 0.1
  done
  [ "$seen" -eq "$3" ] || fail "$1: expected $3 packets at \"$2\", saw $seen"
}

write_config() { # more text
  cat >"$config" <<END
[external]
interface = "wan0"
addresses = ["203.0.113.1", "203.0.113.2", "2001:db8:1::1"]
ports     = "40000-50000"

[queue]
workers = 2

[control]
socket = "$folder/run/swnat/control.sock"

[[namespace]]
name         = "blue"
fwmark       = 1
interfaces   = ["blue0"]
subnets      = ["10.0.0.0/24", "fd00::/64"]
routes       = [{ to = "10.9.0.0/16", via = "10.0.0.254" }, { to = "fd09::/48", via = "fe80::254" }]
untranslated = ["192.168.0.0/16", "fd77::/64"]
$*
END
}

green='
[[namespace]]
name       = "green"
fwmark     = 2
interfaces = ["green0"]
subnets    = ["10.0.0.0/24", "10.0.7.0/24", "fd00::/64"]
'

rules='
[[redirect]]
protocol = "udp"
from     = "198.51.100.53:53"
to       = "198.51.100.7:5353"

[[redirect]]
protocol  = "tcp"
from      = "[2001:db8:53::1]:53"
to        = "[2001:db8:53::2]:53"
namespace = "blue"

[[forward]]
protocol  = "tcp"
external  = "203.0.113.1:80"
namespace = "blue"
to        = "10.0.0.2:8080"

[[forward]]
protocol  = "udp"
external  = "[2001:db8:1::1]:7000"
namespace = "green"
to        = "[fd00::2]:53"
'
