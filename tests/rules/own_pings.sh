#!/bin/bash
# The gateway's own pings never meet the queues, though the ids of their replies may be any that the NAT hands out.
# shellcheck source-path=SCRIPTDIR source=netns.sh
. "$(dirname -- "$0")/netns.sh"

make_interfaces blue0 green0 wan0
ip addr add 203.0.113.1/24 dev wan0
ip addr add 2001:db8:1::1/64 dev wan0 nodad
for address in 203.0.113.100 2001:db8:1::100; do ip neigh add "$address" lladdr 02:00:00:00:00:01 dev wan0; done
echo "0 0" >/proc/sys/net/ipv4/ping_group_range
write_config "$green"
swnat up --format "${SWNAT_FORMAT:-iptables}"

# Nobody listens at the queues: what is sent there does not arrive.
nft -f - <<'END'
table inet watch {
	counter delivered { }
	counter changed { }
	chain input {
		type filter hook input priority 0; policy accept;
		meta l4proto icmpv6 icmpv6 type != { echo-reply, time-exceeded } accept
		iifname "wan0" counter name delivered
		iifname "wan0" meta mark != 0 counter name changed
	}
}
END

wire() { /usr/bin/python3 "$here/wire.py" "$@"; }

# A request of the gateway's own, which nobody answers.
for remote in 203.0.113.100 2001:db8:1::100; do ping -c 1 -W 1 -e 40001 "$remote" >/dev/null || true; done

own_pings() { # gateway, remote, a router, another host
  local gateway=$1 remote=$2 router=$3 other=$4
  say "what belongs to the gateway's own ping is delivered: $gateway"
  wire reply far-wan0 "$remote" "$gateway" 40001
  expect_count "the reply" delivered 1
  wire exceeded far-wan0 "$router" "$gateway" "$remote" 40001
  expect_count "the error" delivered 1
  expect_count "its fwmark" changed 0

  say "what may be a tenant's is not"
  wire reply far-wan0 "$remote" "$gateway" 40002
  wire reply far-wan0 "$other" "$gateway" 40001
  wire exceeded far-wan0 "$router" "$gateway" "$remote" 40002
  # The last one is outside the NAT's ports, and shows that the others had their time.
  wire reply far-wan0 "$remote" "$gateway" 7
  expect_count "the reply with another id" delivered 1
}
own_pings 203.0.113.1 203.0.113.100 203.0.113.7 203.0.113.200
own_pings 2001:db8:1::1 2001:db8:1::100 2001:db8:1::7 2001:db8:1::200

say "after a second up the gateway still knows its pings"
swnat up --format "${SWNAT_FORMAT:-iptables}"
wire reply far-wan0 203.0.113.100 203.0.113.1 40001
expect_count "the reply" delivered 1
wire reply far-wan0 2001:db8:1::100 2001:db8:1::1 40001
expect_count "the reply of IPv6" delivered 1

swnat down
finish
