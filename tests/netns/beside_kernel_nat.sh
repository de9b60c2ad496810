#!/bin/bash
# Another network of the same gateway, which is no tenant, is masqueraded by the kernel to the same external address, as
# Docker does, by iptables and by nft: its connections live on over `up`, and new ones work, also from ports that are
# the NAT's.
# shellcheck source-path=SCRIPTDIR source=lib.sh
source "$(dirname "$0")/lib.sh"

start_lab
lab_add_place plain || fail "the other network could not be made"
LAB_PLACES+=(plain)
lab_link plain eth0 "172.17.0.2/16 fd17::2/64" gw docker0 "172.17.0.1/16 fd17::1/64" || fail "the other network's link"
lab_default_route plain 172.17.0.1 fd17::1
wait_until 10 lab_is_settled || fail "the other network's link does not come up"
lab_exec gw sh -c 'echo 1 >/proc/sys/net/ipv4/ip_forward; echo 1 >/proc/sys/net/ipv6/conf/all/forwarding'
for family in "${LAB_FAMILIES[@]}"; do
  lab_serve "answers-$family" tcp 7000 /usr/bin/python3 "$HERE/traffic.py" serve "${LAB_REMOTE_OF[family]}" 7000
done

masquerade_iptables() {
  lab_exec gw iptables -t nat "-$1" POSTROUTING -s 172.17.0.0/16 ! -o docker0 -j MASQUERADE
  lab_exec gw ip6tables -t nat "-$1" POSTROUTING -s fd17::/64 ! -o docker0 -j MASQUERADE
}
masquerade_nft() {
  if [[ $1 == D ]]; then
    lab_exec gw nft delete table inet others
    return
  fi
  lab_exec gw nft -f - <<'NFT'
table inet others {
  chain postrouting {
    type nat hook postrouting priority srcnat;
    ip saddr 172.17.0.0/16 oifname != "docker0" masquerade
    ip6 saddr fd17::/64 oifname != "docker0" masquerade
  }
}
NFT
}

# Each round from ports of its own, since the kernel remembers closed connections.
ports=45000
expect_others_work() { # when
  local family remote
  for family in "${LAB_FAMILIES[@]}"; do
    remote=${LAB_REMOTE_OF[family]}
    expect "$1, IPv$family: connections from ports of the NAT's" "$ports $((ports + 1))" \
      "$(traffic plain tcp "$remote" 7000 --ports "$ports-$((ports + 1))")"
    expect "$1, IPv$family: connections from ports that the kernel chooses" "0 0 0" \
      "$(traffic plain tcp "$remote" 7000 --ports 0,0,0)"
    expect "$1, IPv$family: datagrams" "$ports $((ports + 1)) 0" \
      "$(traffic plain udp "$remote" 7000 --ports "$ports-$((ports + 1)),0")"
    expect_match "$1, IPv$family: pings" '3 packets transmitted, 3 received' \
      "$(lab_exec plain ping -c 3 -i 0.1 -W 1 "$remote" || true)"
  done
  ports=$((ports + 10))
}

for kind in iptables nft; do
  "masquerade_$kind" A
  expect_others_work "$kind, before up"
  rm -f "$LAB_DIR/again"
  for family in "${LAB_FAMILIES[@]}"; do
    lab_spawn plain "held-$family" /usr/bin/python3 "$HERE/traffic.py" tcp "${LAB_REMOTE_OF[family]}" 7000 \
      --ports "$ports" --again "$LAB_DIR/again" --timeout 5
    wait_until 10 grep -qsx "at first: $ports" "$LAB_DIR/held-$family.log" || fail "no connection over IPv$family before up"
  done
  held=$ports
  ports=$((ports + 10))

  start_swnat
  expect_others_work "$kind, after up"
  touch "$LAB_DIR/again"
  for family in "${LAB_FAMILIES[@]}"; do
    wait "${LAB_PID[held-$family]}" || true
    expect "$kind: an older connection goes on, IPv$family" "$held" "$(tail -n 1 "$LAB_DIR/held-$family.log")"
    for TENANT in blue green; do
      expect "$kind, IPv$family: $TENANT beside it, from the other network's ports" "$held $((held + 1))" \
        "$(traffic "$TENANT" tcp "${LAB_REMOTE_OF[family]}" 7000 --ports "$held-$((held + 1))")"
      reaches "$TENANT" "${LAB_REMOTE_OF[family]}" || fail "$kind: $TENANT's pings are not answered over IPv$family"
    done
  done
  end_daemon
  swnat down
  expect_others_work "$kind, after down"
  "masquerade_$kind" D
done
