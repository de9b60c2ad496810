#!/bin/bash
# Two tenants' fragments with the same addresses and id never become one packet, even when the host's firewall
# switches conntrack, and with it the kernel's reassembly, on. What comes from outside is put together.
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

# Prints the packets counted since the last time.
count() { nft -j reset counter ip watch "$1" | grep -o '"packets": [0-9]*' | grep -o '[0-9]*'; }

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

# First and last fragment of one UDP datagram, each from where it is said to.
send() { # interface of the first, interface of the last, source, destination, port, id
  /usr/bin/python3 - "$@" <<'END'
import json, socket, struct, subprocess, sys

first, last, source, destination, port, identification = sys.argv[1:7]
more_fragments = 0x2000

def internet_sum(data):
    total = sum(struct.unpack(f"!{len(data) // 2}H", data))
    while total >> 16:
        total = (total & 0xffff) + (total >> 16)
    return ~total & 0xffff

def send(interface, place, data):
    header = struct.pack("!BBHHHBBH4s4s", 0x45, 0, 20 + len(data), int(identification), place, 64, 17, 0,
                         socket.inet_aton(source), socket.inet_aton(destination))
    header = header[:10] + struct.pack("!H", internet_sum(header)) + header[12:]
    with socket.socket(socket.AF_PACKET, socket.SOCK_RAW) as wire:
        wire.bind((interface, 0))
        gateway = interfaces[interface.removeprefix("far-")]
        wire.send(gateway + bytes(6) + b"\x08\x00" + header + data)

interfaces = {link["ifname"]: bytes.fromhex(link["address"].replace(":", ""))
              for link in json.loads(subprocess.check_output(["ip", "-json", "link"]))}
whole = struct.pack("!HHHH", 5000, int(port), 32, 0) + b"x" * 24
send(first, more_fragments, whole[:16])
send(last, 16 // 8, whole[16:])
END
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
