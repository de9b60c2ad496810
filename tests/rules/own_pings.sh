#!/bin/bash
# The gateway's own pings never meet the queues, though the ids of their replies may be any that the NAT hands out.
# shellcheck source-path=SCRIPTDIR source=netns.sh
. "$(dirname -- "$0")/netns.sh"

make_interfaces blue0 green0 wan0
ip addr add 203.0.113.1/24 dev wan0
ip neigh add 203.0.113.100 lladdr 02:00:00:00:00:01 dev wan0
echo "0 0" >/proc/sys/net/ipv4/ping_group_range
write_config "$green"
swnat up --format "${SWNAT_FORMAT:-iptables}"

# Nobody listens at the queues: what is sent there does not arrive.
nft -f - <<'END'
table ip watch {
	counter delivered { }
	counter changed { }
	chain input {
		type filter hook input priority 0; policy accept;
		iifname "wan0" counter name delivered
		iifname "wan0" meta mark != 0 counter name changed
	}
}
END

wire() { /usr/bin/python3 "$here/wire.py" "$@"; }

# A request of the gateway's own, which nobody answers.
ping -c 1 -W 1 -e 40001 203.0.113.100 >/dev/null || true

say "what belongs to the gateway's own ping is delivered"
wire reply far-wan0 203.0.113.100 203.0.113.1 40001
expect_count "the reply" delivered 1
wire exceeded far-wan0 203.0.113.7 203.0.113.1 203.0.113.100 40001
expect_count "the error" delivered 1
expect_count "its fwmark" changed 0

say "what may be a tenant's is not"
wire reply far-wan0 203.0.113.100 203.0.113.1 40002
wire reply far-wan0 203.0.113.200 203.0.113.1 40001
wire exceeded far-wan0 203.0.113.7 203.0.113.1 203.0.113.100 40002
# The last one is outside the NAT's ports, and shows that the others had their time.
wire reply far-wan0 203.0.113.100 203.0.113.1 7
expect_count "the reply with another id" delivered 1

say "after a second up the gateway still knows its pings"
swnat up --format "${SWNAT_FORMAT:-iptables}"
wire reply far-wan0 203.0.113.100 203.0.113.1 40001
expect_count "the reply" delivered 1

swnat down
finish
