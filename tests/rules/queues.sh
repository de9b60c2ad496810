#!/bin/bash
# Which packets go to which queue, which pass, and which end at the gates: of both families, in both formats. For nft,
# whose queues this kernel may not have, chains that count and drop stand in for the queues.
#
#   queues.sh PROGRAM iptables|nft
# shellcheck source-path=SCRIPTDIR source=lib.sh
. "$(dirname -- "$0")/lib.sh"

make_interfaces blue0 green0 wan0 side0
ip addr add 10.0.0.1/24 dev blue0
ip addr add 10.0.0.1/24 dev green0
ip addr add 203.0.113.1/24 dev wan0
ip addr add 203.0.113.2/24 dev wan0
ip addr add 198.51.100.1/24 dev side0
ip addr add 2001:db8:1::1/64 dev wan0 nodad
ip addr add fd00::1/64 dev blue0 nodad
ip addr add 2001:db8:53::ff/64 dev side0 nodad
for neighbour in "203.0.113.100 wan0" "10.0.0.2 blue0" "10.0.0.2 green0" "198.51.100.7 side0" \
  "2001:db8:1::100 wan0" "fd00::2 blue0" "fd00::2 green0" "2001:db8:53::2 side0"; do
  read -r address interface <<<"$neighbour"
  ip neigh add "$address" lladdr 02:00:00:00:00:01 dev "$interface"
done
ip route add default via 203.0.113.100
ip -6 route add default via 2001:db8:1::100
write_config "$green$rules"

# Only what the test sends has 77 hops to live.
nft -f - <<'END'
table inet watch {
	counter wan0 { }
	counter blue0 { }
	counter green0 { }
	counter side0 { }
	counter local { }
	counter marker { }
	counter reports4 { }
	counter reports6 { }
	chain first {
		type filter hook prerouting priority -460; policy accept;
		ip protocol 253 counter name marker drop
	}
	chain left {
		type filter hook postrouting priority 301; policy accept;
		oifname "wan0" meta l4proto igmp counter name reports4
		oifname "wan0" ip6 daddr ff02::16 counter name reports6
		ip ttl != { 76, 77 } accept
		ip6 hoplimit != { 76, 77 } accept
		oifname "wan0" counter name wan0
		oifname "blue0" counter name blue0
		oifname "green0" counter name green0
		oifname "side0" counter name side0
	}
	chain delivered {
		type filter hook input priority 301; policy accept;
		iifname "lo" accept
		ip ttl 77 counter name local
		ip6 hoplimit 77 counter name local
	}
}
END

case $2 in
  iptables)
    swnat up --format iptables
    /usr/bin/python3 "$here/queues.py" iptables || fail "iptables"
    swnat down
    ;;
  nft)
    nft add table inet swnat
    for number in 0 1; do
      nft add counter inet swnat "queue$number"
      nft add chain inet swnat "queue$number"
    done
    swnat rules --format nft >"$folder/rules"
    sed -E -e 's/queue to (.*) map \{ 0 : 0, 2 : 1 \}/\1 vmap { 0 : jump queue0, 2 : jump queue1 }/' \
      -e 's/queue to 0$/jump queue0/' "$folder/rules" >"$folder/counting-rules"
    grep -q 'queue to' "$folder/counting-rules" && fail "there are rules with another queue"
    sh "$folder/counting-rules"
    for number in 0 1; do nft add rule inet swnat "queue$number" counter name "queue$number" drop; done
    /usr/bin/python3 "$here/queues.py" nft || fail "nft"
    ;;
esac

finish
