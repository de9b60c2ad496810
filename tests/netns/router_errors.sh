#!/bin/bash
# ICMP errors reach whom they are about, whatever they quote: of a router behind the remote, about fragments of IPv6, GRE,
# ESP, IPv4 with options, and what has an untranslated destination; of the gateway, about hairpinned packets. Both
# tenants, and none of them is told what the other did.
# shellcheck source-path=SCRIPTDIR source=lib.sh
source "$(dirname "$0")/lib.sh"

GATEWAY_OF=([4]=$LAB_GATEWAY [6]=$LAB_GATEWAY6)
MTU=1300
# Of far too. Without ports there is one session for each remote, so each tenant has one of its own for GRE and ESP.
declare -A own4=([blue]=198.51.100.11 [green]=198.51.100.12) own6=([blue]=2001:db8:2::11 [green]=2001:db8:2::12)
declare -A plain4=([blue]=198.18.1.2 [green]=198.18.2.2) plain6=([blue]=2001:db8:a::2 [green]=2001:db8:b::2)

declare -A forwarded=([blue]=40081 [green]=40082)
# TCP to a server, UDP to a port that nobody has.
forwards() {
  local tenant
  for tenant in blue green; do
    forward tcp "${forwarded[$tenant]}" "$tenant" 7001
    forward udp "${forwarded[$tenant]}" "$tenant" 7009
  done
}

start_lab
add_far "${own4[blue]}/24" "${own4[green]}/24" "${own6[blue]}/64" "${own6[green]}/64" \
  "${plain4[blue]}/24" "${plain4[green]}/24" "${plain6[blue]}/64" "${plain6[green]}/64"
lab_address remote far0 198.18.1.1/24 198.18.2.1/24 2001:db8:a::1/64 2001:db8:b::1/64
# The way back from untranslated destinations.
ip -n "$(lab_netns remote)" route add 10.0.0.0/24 via "$LAB_EXTERNAL"
ip -n "$(lab_netns remote)" route add fd00::/64 via "$LAB_EXTERNAL6"
LAB_SETTINGS[blue.untranslated]='["198.18.1.0/24", "2001:db8:a::/64"]'
LAB_SETTINGS[green.untranslated]='["198.18.2.0/24", "2001:db8:b::/64"]'
LAB_RULES=$(forwards)
start_swnat
for family in "${LAB_FAMILIES[@]}"; do
  lab_serve "answers-$family" tcp 7000 /usr/bin/python3 "$HERE/traffic.py" serve "${LAB_REMOTE_OF[family]}" 7000
done
lab_spawn far far-answers-4 /usr/bin/python3 "$HERE/traffic.py" serve 0.0.0.0 7000
lab_spawn far far-answers-6 /usr/bin/python3 "$HERE/traffic.py" serve :: 7000
# Over UDP an answer must come from the address that was asked.
for family in "${LAB_FAMILIES[@]}"; do
  lab_serve_at far "far-udp-$family" tcp 7002 /usr/bin/python3 "$HERE/traffic.py" serve "${FAR_OF[family]}" 7002
done
far_serves() { [[ $(lab_exec far ss -Hltn "sport = :7000" | wc -l) == 2 ]]; }
wait_until 10 far_serves || fail "the far host does not serve"

of() { local -n table=$1$2 && echo "${table[$TENANT]}"; } # of own|plain FAMILY: the tenant's address there
forget() { ip "-$1" -n "$(lab_netns "$2")" route flush cache; }
known_mtu() { tenant ip route get "$1" | sed -nE 's/.*mtu ([0-9]+).*/\1/p'; }
hops() { tenant traceroute -n -q 1 -w 2 -m 5 "$@" | awk 'NR > 1 { print $2 }' | xargs; }
# unusual KIND SIZE ADDRESS [PORT]: what the tenant is told.
unusual() { tenant /usr/bin/python3 "$HERE/unusual.py" "$3" "$1" "$2" "${@:4}"; }

# Hops answer about datagrams in fragments, too. Links are wide yet.
for TENANT in blue green; do
  for family in "${LAB_FAMILIES[@]}"; do
    for size in 60 2000; do
      expect "IPv$family: hops that $TENANT sees with $size bytes" \
        "${GATEWAY_OF[family]} ${LAB_REMOTE_OF[family]} ${FAR_OF[family]}" "$(hops "${FAR_OF[family]}" "$size")"
    done
    expect "IPv$family: hops of $TENANT to an untranslated destination" \
      "${GATEWAY_OF[family]} ${LAB_REMOTE_OF[family]} $(of plain "$family")" "$(hops "$(of plain "$family")")"
    expect "IPv$family: a closed port of an untranslated destination, for $TENANT" ECONNREFUSED \
      "$(unusual udp 20 "$(of plain "$family")" 7)"
  done
  expect "a closed port, asked with a record-route option by $TENANT" ECONNREFUSED \
    "$(unusual record-route 20 "$LAB_REMOTE" 7)"
  expect "a closed port further away, with a record-route option by $TENANT" ECONNREFUSED \
    "$(unusual record-route 20 "${FAR_OF[4]}" 7)"
  expect "a closed port, asked with destination options by $TENANT" ECONNREFUSED \
    "$(unusual destination-options 20 "${FAR_OF[6]}" 7)"
done

# narrow PLACE INTERFACE GATEWAY4 GATEWAY6 MTU: the end of a link, whose host goes on asking for segments of usual size.
narrow() {
  local netns
  netns=$(lab_netns "$1")
  ip -n "$netns" link set "$2" mtu "$5"
  ip -n "$netns" route change default via "$3" advmss 1460
  ip -6 -n "$netns" route change default via "$4" advmss 1440
}
narrow far eth0 198.51.100.1 2001:db8:2::1 $MTU
ip -n "$(lab_netns remote)" link set far0 mtu $MTU

# The path's MTU, for one tenant after the other; no error about one reaches the other.
expect_told() { # what, family, address, seen
  expect "IPv$2: $TENANT is told about $1" EMSGSIZE "$4"
  expect "IPv$2: what $TENANT knows of the way then" $MTU "$(known_mtu "$3")"
  forget "$2" "$TENANT"
}
for TENANT in blue green; do
  [[ $TENANT == blue ]] && other=green || other=blue
  capture "$other" eth0 "errors-at-$other" 'icmp[icmptype] == 3 or (icmp6 and ip6[40] < 128)'
  for family in "${LAB_FAMILIES[@]}"; do
    own=$(of own "$family")
    for kind in udp gre esp; do
      expect_told "$kind" "$family" "$own" "$(unusual $kind 1400 "$own" 9)"
    done
    # Datagrams that the tenant itself cuts into fragments.
    tenant ping -q -c 3 -i 0.2 -W 1 -s 3000 "${FAR_OF[family]}" >"$LAB_DIR/ping.out" || true
    expect_match "IPv$family: large pings of $TENANT's arrive, the first may be lost" ' [23] received' "$(cat "$LAB_DIR/ping.out")"
    expect_at_least "IPv$family: large datagrams of $TENANT's arrive" 2 \
      "$(traffic "$TENANT" udp "${FAR_OF[family]}" 7002 --ports 20001-20003 --size 3000 --timeout 1 | wc -w)"
    forget "$family" "$TENANT"
    # To untranslated destinations.
    plain=$(of plain "$family")
    expect_told "an untranslated destination" "$family" "$plain" "$(unusual udp 1400 "$plain" 9)"
    expect "IPv$family: an upload of $TENANT's to an untranslated destination" 20010 \
      "$(traffic "$TENANT" tcp "$plain" 7000 --ports 20010 --size 100000 --timeout 5)"
    forget "$family" "$TENANT"
    expect "IPv$family: an upload of $TENANT's to another" 20011 \
      "$(traffic "$TENANT" tcp "${FAR_OF[family]}" 7000 --ports 20011 --size 100000 --timeout 5)"
    forget "$family" "$TENANT"
  done
  expect_told "a record-route option" 4 "${FAR_OF[4]}" "$(unusual record-route 1400 "${FAR_OF[4]}" 9)"
  expect_told "destination options" 6 "${FAR_OF[6]}" "$(unusual destination-options 1400 "${FAR_OF[6]}" 9)"
  end_capture "errors-at-$other"
  expect "errors about $TENANT's packets that reached $other" "" "$(packets "errors-at-$other" | sed -n 1,3p)"
done

# The gateway found out the way's MTU for itself: it is the one then that says so.
for family in "${LAB_FAMILIES[@]}"; do
  lab_exec gw ping -q -c 2 -i 0.2 -W 1 -M "do" -s 1400 "${FAR_OF[family]}" >"$LAB_DIR/ping.out" 2>&1 || true
  expect_match "IPv$family: the gateway knows the way's MTU" " mtu $MTU " "$(lab_exec gw ip route get "${FAR_OF[family]}") "
  for TENANT in blue green; do
    expect_told "what is too long for the gateway's way" "$family" "${FAR_OF[family]}" \
      "$(unusual udp 1400 "${FAR_OF[family]}" 9)"
    expect "IPv$family: an upload of $TENANT's when the gateway knows" 20030 \
      "$(traffic "$TENANT" tcp "${FAR_OF[family]}" 7000 --ports 20030 --size 100000 --timeout 5)"
    forget "$family" "$TENANT"
  done
done

# Through a hairpin, to a tenant with a narrow link.
narrow_tenant() { # tenant, MTU
  ip -n "$(lab_netns gw)" link set "${1}0" mtu "$2"
  narrow "$1" eth0 "$LAB_GATEWAY" "$LAB_GATEWAY6" "$2"
}
for tenant in blue green; do
  for family in "${LAB_FAMILIES[@]}"; do
    lab_serve_at "$tenant" "$tenant-answers-$family" tcp 7001 /usr/bin/python3 "$HERE/traffic.py" serve \
      "${LAB_TENANT_OF[family]}" 7001
  done
done
for TENANT in blue green; do
  [[ $TENANT == blue ]] && other=green || other=blue
  port=${forwarded[$other]}
  for family in "${LAB_FAMILIES[@]}"; do
    external=${LAB_EXTERNAL_OF[family]}
    expect "IPv$family: a closed port of $other's, through a hairpin, for $TENANT" ECONNREFUSED \
      "$(unusual udp 20 "$external" "$port")"
    # The gateway's own address towards the tenant or the external one: both are the gateway.
    expect_match "IPv$family: hops of $TENANT through a hairpin" "^(${GATEWAY_OF[family]}|$external) $external\$" \
      "$(hops -U -p "$port" "$external")"
    narrow_tenant "$other" $MTU
    expect_told "a hairpin to a narrow link" "$family" "$external" "$(unusual udp 1400 "$external" "$port")"
    expect "IPv$family: an upload of $TENANT's through a hairpin" 20020 \
      "$(traffic "$TENANT" tcp "$external" "$port" --ports 20020 --size 100000 --timeout 5)"
    forget "$family" "$TENANT"
    narrow_tenant "$other" 1500
  done
done
