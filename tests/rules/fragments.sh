#!/bin/bash
# Two tenants' fragments with the same addresses and id never become one packet, even when the host's firewall
# switches conntrack, and with it the kernel's reassembly, on. What comes from outside is put together.
# shellcheck source-path=SCRIPTDIR source=lib.sh
. "$(dirname -- "$0")/lib.sh"

make_interfaces blue0 green0 wan0
ip addr add 10.0.0.1/24 dev blue0
ip addr add 10.0.0.1/24 dev green0
ip addr add 203.0.113.1/24 dev wan0
ip addr add fd00::1/64 dev blue0 nodad
ip addr add fd00::1/64 dev green0 nodad
ip addr add 2001:db8:1::1/64 dev wan0 nodad
for address in 203.0.113.100 2001:db8:1::100; do ip neigh add "$address" lladdr 02:00:00:00:00:01 dev wan0; done
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
table inet watch {
	counter fragments { }
	counter whole { }
	counter outside_fragments { }
	counter outside_whole { }
	counter local { }
	chain outgoing {
		type filter hook postrouting priority -160; policy accept;
		oifname "wan0" ip saddr 10.0.0.2 ip frag-off & 0x3fff != 0 counter name fragments
		oifname "wan0" ip saddr 10.0.0.2 ip frag-off & 0x3fff == 0 counter name whole
		oifname "wan0" ip6 saddr fd00::2 exthdr frag exists counter name fragments
		oifname "wan0" ip6 saddr fd00::2 exthdr frag missing counter name whole
	}
	chain incoming {
		type filter hook prerouting priority -301; policy accept;
		iifname "wan0" ip frag-off & 0x3fff != 0 counter name outside_fragments
		iifname "wan0" ip frag-off & 0x3fff == 0 ip daddr 203.0.113.1 counter name outside_whole
		iifname "wan0" ip6 saddr 2001:db8:1::100 exthdr frag exists counter name outside_fragments
		iifname "wan0" ip6 saddr 2001:db8:1::100 exthdr frag missing counter name outside_whole
	}
	chain input {
		type filter hook input priority -300; policy accept;
		iifname { "blue0", "green0" } meta l4proto udp counter name local
	}
}
END

# First and last fragment of one UDP datagram, each from where it is said to.
send() { # interface of the first, interface of the last, source, destination, port, id
  /usr/bin/python3 "$here/wire.py" fragment "$1" "$3" "$4" "$5" "$6" first
  /usr/bin/python3 "$here/wire.py" fragment "$2" "$3" "$4" "$5" "$6" last
}

apart() { # family, tenants' address, gateway's inside, gateway's outside, remote
  local family=$1 tenant=$2 inside=$3 external=$4 remote=$5
  say "$family, to the outside: blue's first fragment, green's last"
  send far-blue0 far-green0 "$tenant" "$remote" 53 1001
  expect_count "$family, two tenants' fragments" fragments 2
  expect_count "$family, two tenants' fragments" whole 0

  say "$family, to the gateway itself: one tenant's are put together, two tenants' are not"
  send far-blue0 far-green0 "$tenant" "$inside" 53 1002
  expect_count "$family, two tenants' fragments to the gateway" local 0
  send far-green0 far-green0 "$tenant" "$inside" 53 1006
  expect_count "$family, green's fragments to the gateway" local 1

  say "$family, to an external address: nothing is delivered"
  send far-blue0 far-green0 "$tenant" "$external" 53 1003
  expect_count "$family, fragments to an external address" local 0

  say "$family, from outside: one datagram"
  send far-wan0 far-wan0 "$remote" "$external" 40000 1004
  expect_count "$family, fragments from outside" outside_whole 1
  expect_count "$family, fragments from outside" outside_fragments 0
}

mixed() { # family, tenants' address, remote
  say "$1, without the early chain the kernel does mix them: the test can fail"
  send far-blue0 far-green0 "$2" "$3" 53 1005
  expect_count "$1, mixed fragments" whole 1
  expect_count "$1, mixed fragments" fragments 0
}

apart IPv4 10.0.0.2 10.0.0.1 203.0.113.1 203.0.113.100
apart IPv6 fd00::2 fd00::1 2001:db8:1::1 2001:db8:1::100

# Marked, so that they are routed, but tracked.
nft -f - <<'END'
flush chain inet swnat early
table inet swnat {
	chain early {
		iifname "blue0" meta mark set 1
		iifname "green0" meta mark set 2
	}
}
END
mixed IPv4 10.0.0.2 203.0.113.100
mixed IPv6 fd00::2 2001:db8:1::100

swnat down
finish
