#!/bin/bash
# Tunnels of the gateway's own over the external interface: both tenants live beyond a VXLAN, one of them with a port of
# external.ports, and one reaches an untranslated network through another VXLAN. The outer packets have the gateway's
# address and pass; they are never translated as the tenant's.
# shellcheck source-path=SCRIPTDIR source=lib.sh
source "$(dirname "$0")/lib.sh"

declare -A vni=([blue]=101 [green]=102) port=([blue]=4789 [green]=54789)
SITE_OF=([4]=192.168.50.2 [6]=fd50::2)

# In place of the tenant's cable, a VXLAN between gateway and remote, whose far end is the tenant's interface.
tunnel_to() { # tenant
  local remote
  remote=$(lab_netns remote)
  ip -n "$(lab_netns gw)" link delete "${1}0"
  ip -n "$remote" link add "to-$1" type vxlan id "${vni[$1]}" local "$LAB_REMOTE" remote "$LAB_EXTERNAL" \
    dstport "${port[$1]}"
  ip -n "$remote" link set "to-$1" netns "$(lab_netns "$1")" name eth0
  ip -n "$(lab_netns gw)" link add "${1}0" type vxlan id "${vni[$1]}" local "$LAB_EXTERNAL" remote "$LAB_REMOTE" \
    dstport "${port[$1]}"
  lab_address "$1" eth0 "$LAB_TENANT/24" "$LAB_TENANT6/64"
  lab_address gw "${1}0" "$LAB_GATEWAY/24" "$LAB_GATEWAY6/64"
  ip -n "$(lab_netns "$1")" link set eth0 up
  ip -n "$(lab_netns gw)" link set "${1}0" up
  lab_default_route "$1" "$LAB_GATEWAY" "$LAB_GATEWAY6"
}

# A site beyond a third VXLAN; it knows the way back to blue.
tunnel_to_site() {
  lab_add_place site || fail "the site could not be made"
  LAB_PLACES+=(site)
  ip -n "$(lab_netns remote)" link add to-site type vxlan id 103 local "$LAB_REMOTE" remote "$LAB_EXTERNAL" dstport 4790
  ip -n "$(lab_netns remote)" link set to-site netns "$(lab_netns site)" name eth0
  ip -n "$(lab_netns gw)" link add site0 type vxlan id 103 local "$LAB_EXTERNAL" remote "$LAB_REMOTE" dstport 4790
  lab_address site eth0 "${SITE_OF[4]}/24" "${SITE_OF[6]}/64"
  lab_address gw site0 192.168.50.1/24 fd50::1/64
  ip -n "$(lab_netns site)" link set eth0 up
  ip -n "$(lab_netns gw)" link set site0 up
  lab_default_route site 192.168.50.1 fd50::1
}

start_lab
tunnel_to_site
LAB_SETTINGS[blue.untranslated]='["192.168.50.0/24", "fd50::/64"]'
wait_until 10 lab_is_settled || fail "the tunnel to the site does not come up"
start_swnat
for family in "${LAB_FAMILIES[@]}"; do
  lab_serve "answers-$family" tcp 7000 /usr/bin/python3 "$HERE/traffic.py" serve "${LAB_REMOTE_OF[family]}" 7000
  lab_serve_at site "site-$family" tcp 7000 /usr/bin/python3 "$HERE/traffic.py" serve "${SITE_OF[family]}" 7000
done

expect_site_is_reached() { # when
  local family
  for family in "${LAB_FAMILIES[@]}"; do
    expect "$1, IPv$family: blue's datagrams to the site" "20001 20002 45001" \
      "$(traffic blue udp "${SITE_OF[family]}" 7000 --ports 20001-20002,45001)"
    expect "$1, IPv$family: blue's connections to the site" "20001 20002 45001" \
      "$(traffic blue tcp "${SITE_OF[family]}" 7000 --ports 20001-20002,45001)"
    expect "$1, IPv$family: a large one" 20003 \
      "$(traffic blue tcp "${SITE_OF[family]}" 7000 --ports 20003 --size 300000 --timeout 10)"
    reaches blue "${SITE_OF[family]}" || fail "$1, IPv$family: the site does not answer blue's pings"
  done
}
outer='udp port 4789 or udp port 4790 or udp port 54789'
capture gw wan0 to-site "$outer"
expect_site_is_reached "with cables"
end_capture to-site
expect_at_least "outer packets to the site" 20 "$(packets to-site "udp.dstport == 4790" | wc -l)"

# expect_outer_packets_pass CAPTURE: all have the gateway's or the remote's address outside.
expect_outer_packets_pass() {
  # The first address of each is the outer one.
  expect "$1: addresses of the outer packets" "$LAB_EXTERNAL $LAB_REMOTE" \
    "$(packets "$1" "" -T fields -E occurrence=f -e ip.src | sort -u | xargs)"
  expect "$1: their ports at the far end" "" \
    "$(packets "$1" "" -T fields -E occurrence=f -e udp.dstport | grep -vxE '4789|4790|54789' | sort -u | xargs || true)"
  expect "$1: sessions of outer packets" "" "$(sessions '.remote | test(":(4789|4790|54789)$")')"
}
expect_outer_packets_pass to-site

# Tenants beyond tunnels. `up` is run again, as an operator would who made the interfaces anew.
for tenant in blue green; do tunnel_to "$tenant"; done
wait_until 10 lab_is_settled || fail "the tenants' tunnels do not come up"
apply_rules
ask() {
  local ports=20011-20014,45011 size
  for size in 0 20000; do
    echo "tcp: $(traffic "$TENANT" tcp "${LAB_REMOTE_OF[$1]}" 7000 --name "$TENANT" --ports $ports --size $size)"
  done
  echo "udp: $(traffic "$TENANT" udp "${LAB_REMOTE_OF[$1]}" 7000 --name "$TENANT" --ports $ports)"
  tenant ping -e 4242 -c 5 -i 0.1 -W 2 "${LAB_REMOTE_OF[$1]}"
}
capture gw wan0 tunnels "$outer"
for family in "${LAB_FAMILIES[@]}"; do
  both "ask-$family" ask "$family"
  for tenant in blue green; do
    log=$LAB_DIR/ask-$family-$tenant.log
    ports="20011 20012 20013 20014 45011"
    expect "IPv$family: answers to $tenant beyond a tunnel" "tcp: $ports tcp: $ports udp: $ports" \
      "$(grep -E '^(tcp|udp):' "$log" | xargs)"
    expect_match "IPv$family: pings of $tenant's" '5 packets transmitted, 5 received' "$(cat "$log")"
  done
done
expect_site_is_reached "from beyond a tunnel"
end_capture tunnels
for tenant in blue green; do
  expect_at_least "outer packets of $tenant's tunnel, from the gateway" 20 \
    "$(packets tunnels "udp.dstport == ${port[$tenant]}" -T fields -E occurrence=f -e ip.src | grep -cx "$LAB_EXTERNAL")"
done
expect_outer_packets_pass tunnels
