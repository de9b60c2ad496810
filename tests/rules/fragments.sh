#!/bin/bash
# Two tenants' fragments with the same addresses and id never become one packet, even when the host's firewall
# switches conntrack, and with it the kernel's reassembly, on. What comes from outside is put together.
# shellcheck source-path=SCRIPTDIR source=netns.sh
. "$(dirname -- "$0")/netns.sh"

make_interfaces blue0 green0 wan0
ip addr add 10.0.0.1/24 dev blue0
ip addr add 10.0.0.1/24 dev green0
ip addr add 203.0.113.1/24 dev wan0
ip neigh add 203.0.113.100 lladdr 02:00:00:00:00:01 dev wan0
write_config "$green"
swnat up --format "${SWNAT_FORMAT:-iptables}"

# A stateful firewall, and what passes the places where the queues are.
nft -f - <<'END'
table inet firewall {
	chain forward {
		type filter hook forward priority 0; policy accept;
		ct state invalid counter
	}
}
table ip watch {
	counter fragments { }
	counter whole { }
	counter outside_fragments { }
	counter outside_whole { }
	counter local { }
	chain outgoing {
		type filter hook postrouting priority -160; policy accept;
		oifname "wan0" ip frag-off & 0x3fff != 0 counter name fragments
		oifname "wan0" ip frag-off & 0x3fff == 0 counter name whole
	}
	chain incoming {
		type filter hook prerouting priority -301; policy accept;
		iifname "wan0" ip frag-off & 0x3fff != 0 counter name outside_fragments
		iifname "wan0" ip frag-off & 0x3fff == 0 ip daddr 203.0.113.1 counter name outside_whole
	}
	chain input {
		type filter hook input priority -300; policy accept;
		iifname { "blue0", "green0" } counter name local
	}
}
END

# First and last fragment of one UDP datagram, each from where it is said to.
send() { # interface of the first, interface of the last, source, destination, port, id
  /usr/bin/python3 "$here/wire.py" fragment "$1" "$3" "$4" "$5" "$6" first
  /usr/bin/python3 "$here/wire.py" fragment "$2" "$3" "$4" "$5" "$6" last
}

say "to the outside: blue's first fragment, green's last"
send far-blue0 far-green0 10.0.0.2 203.0.113.100 53 1001
expect_count "two tenants' fragments" fragments 2
expect_count "two tenants' fragments" whole 0

say "to the gateway itself: nothing is delivered"
send far-blue0 far-green0 10.0.0.2 10.0.0.1 53 1002
expect_count "fragments to the gateway" local 0
for _ in $(seq 50); do
  early=$(nft list chain inet swnat early)
  [[ $early =~ fib\ daddr\ type[^$'\n']*counter\ packets\ 2\  ]] && break
  sleep 0.1
done
[[ $early =~ fib\ daddr\ type[^$'\n']*counter\ packets\ 2\  ]] ||
  fail "the fragments to the gateway were not counted: $early"

say "to an external address: nothing is delivered"
send far-blue0 far-green0 10.0.0.2 203.0.113.1 53 1003
expect_count "fragments to an external address" local 0

say "from outside: one datagram"
send far-wan0 far-wan0 203.0.113.100 203.0.113.1 40000 1004
expect_count "fragments from outside" outside_whole 1
expect_count "fragments from outside" outside_fragments 0

say "without the early chain the kernel does mix them: the test can fail"
nft flush chain inet swnat early
send far-blue0 far-green0 10.0.0.2 203.0.113.100 53 1005
expect_count "mixed fragments" whole 1
expect_count "mixed fragments" fragments 0

swnat down
finish
