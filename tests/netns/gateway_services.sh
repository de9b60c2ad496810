#!/bin/bash
# Services of the gateway on the tenants' links, where it is 10.0.0.1 and fd00::1 for both: names over UDP and TCP, an
# echo server, pings. Two tenants ask from the same address and port at the same time, each gets its own answers, and
# nothing appears on the other's link. DHCP goes on working, and the gateway itself reaches a tenant's forwarded port.
# shellcheck source-path=SCRIPTDIR source=lib.sh
source "$(dirname "$0")/lib.sh"

GATEWAY_OF=([4]=$LAB_GATEWAY [6]=$LAB_GATEWAY6)
declare -A answer=([blue]=192.0.2.1 [green]=192.0.2.2) pattern=([blue]=b1b1b1b1 [green]=93939393)

start_lab
LAB_RULES=$(forwards)
start_swnat
lab_serve_dns_at gw names 53 "${GATEWAY_OF[@]}"
for family in "${LAB_FAMILIES[@]}"; do
  lab_serve_at gw "echo-$family" tcp 7001 /usr/bin/python3 "$HERE/traffic.py" serve "${GATEWAY_OF[family]}" 7001
  # Its answers take long enough for both tenants to wait at once.
  lab_serve_at gw "slow-$family" tcp 7002 /usr/bin/python3 "$HERE/traffic.py" serve "${GATEWAY_OF[family]}" 7002 \
    --delay 0.5
done

# ask FAMILY: all that the gateway serves, from ports that the other tenant uses too.
ask() {
  local family=$1 gateway=${GATEWAY_OF[$1]} port
  for _ in {1..10}; do
    tenant dig +short +time="$(lab_seconds 2)" +tries=1 -b "${LAB_TENANT_OF[family]}#5353" "@$gateway" "$TENANT.example"
  done
  for port in {6001..6005}; do
    tenant dig +short +time="$(lab_seconds 2)" +tries=1 +tcp -b "${LAB_TENANT_OF[family]}#$port" "@$gateway" "$TENANT.example"
  done
  echo "udp: $(traffic "$TENANT" udp "$gateway" 7001 --name "$TENANT" --ports 6010-6014,51820)"
  echo "tcp: $(traffic "$TENANT" tcp "$gateway" 7001 --name "$TENANT" --ports 6020-6024,51820)"
  tenant ping -e 4242 -c 5 -i 0.1 -W 2 -p "${pattern[$TENANT]}" "$gateway"
}
expect_answers() { # what, tenant, log
  expect "$1: names that $2 got" "15 ${answer[$2]}" "$(grep "^192" "$3" | sort | uniq -c | xargs || true)"
  expect "$1: echoes over UDP that $2 got" "udp: 6010 6011 6012 6013 6014 51820" "$(grep "^udp:" "$3" || true)"
  expect "$1: echoes over TCP that $2 got" "tcp: 6020 6021 6022 6023 6024 51820" "$(grep "^tcp:" "$3" || true)"
  expect_match "$1: $2's pings were all answered" '5 packets transmitted, 5 received' "$(cat "$3")"
}
# One a moment after the other, and both before there is an answer: of two first datagrams from equal endpoints at the
# same instant one was lost now and then, which programs send again, and this one does not.
ask_slowly() {
  if [[ $TENANT == green ]]; then sleep 0.1; fi
  echo "udp: $(traffic "$TENANT" udp "${GATEWAY_OF[$1]}" 7002 --name "$TENANT" --ports 6030-6031 --timeout 4)"
  echo "tcp: $(traffic "$TENANT" tcp "${GATEWAY_OF[$1]}" 7002 --name "$TENANT" --ports 6040-6041 --timeout 4)"
}

for family in "${LAB_FAMILIES[@]}"; do
  # One after the other: nothing at all appears on the other's link.
  for TENANT in blue green; do
    [[ $TENANT == blue ]] && other=green || other=blue
    capture "$other" eth0 "$other-$family" "ip or (ip6 and not ip6[6] == 0 and not (icmp6 and ip6[40] >= 133))"
    ask "$family" >"$LAB_DIR/alone-$family-$TENANT.log" 2>&1 || true
    end_capture "$other-$family"
    expect "IPv$family: packets on $other's link while only $TENANT asked" "" "$(packets "$other-$family" | sed -n 1,3p)"
    expect_answers "IPv$family, alone" "$TENANT" "$LAB_DIR/alone-$family-$TENANT.log"
  done
  both "ask-$family" ask "$family"
  both "slowly-$family" ask_slowly "$family"
  for tenant in blue green; do
    expect_answers "IPv$family, at once" "$tenant" "$LAB_DIR/ask-$family-$tenant.log"
    expect "IPv$family: answers that $tenant and the other waited for at the same time" \
      "udp: 6030 6031 tcp: 6040 6041" "$(grep -E '^(udp|tcp):' "$LAB_DIR/slowly-$family-$tenant.log" | xargs)"
  done
done

# The gateway itself, by the external address.
tenant_addresses=()
for family in "${LAB_FAMILIES[@]}"; do tenant_addresses+=("${LAB_TENANT_OF[family]}"); done
lab_serve_http_at blue blue-http 8080 "${tenant_addresses[@]}"
lab_serve_dns_at green green-dns 5353 "${tenant_addresses[@]}"
head -c 3M /dev/urandom >"$LAB_DIR/www/large"
for family in "${LAB_FAMILIES[@]}"; do
  external=${LAB_EXTERNAL_OF[family]}
  url=http://$(lab_endpoint "$external" 40080)
  expect_match "IPv$family: the gateway gets a page of blue's" '^page /1, asked for by ' \
    "$(lab_exec gw curl -sS --max-time "$(lab_seconds 5)" "$url/1" 2>&1 || true)"
  lab_exec gw curl -sS --max-time "$(lab_seconds 20)" -o "$LAB_DIR/fetched" "$url/files/large" || true
  cmp "$LAB_DIR/www/large" "$LAB_DIR/fetched" || fail "IPv$family: a large file does not reach the gateway whole"
  expect "IPv$family: the gateway asks green's name server" 192.0.2.2 \
    "$(lab_exec gw dig +short +time="$(lab_seconds 2)" +tries=1 "@$external" -p 40053 green.example || true)"
done

# DHCP: an address for each, and a renewal, which is asked of the server's address and not of all.
cat >"$LAB_DIR/dhcp-script" <<'SH'
#!/bin/sh
case $1 in
  bound | renew)
    ip address replace "$ip/24" dev "$interface"
    echo "$1 $ip" ;;
esac
SH
chmod 755 "$LAB_DIR/dhcp-script"
declare -A lease=([blue]=10.0.0.50 [green]=10.0.0.60)
for tenant in blue green; do
  lab_spawn gw "dhcp-$tenant" dnsmasq --keep-in-foreground --conf-file=/dev/null --port=0 --pid-file= --user=root \
    --bind-interfaces --interface="${tenant}0" --except-interface=lo --dhcp-range="${lease[$tenant]},${lease[$tenant]},1h" \
    --dhcp-leasefile="$LAB_DIR/leases-$tenant" --log-facility=- --no-ping
done
for tenant in blue green; do
  lab_spawn "$tenant" "lease-$tenant" busybox udhcpc -f -i eth0 -t 20 -T 1 -s "$LAB_DIR/dhcp-script"
  wait_until 10 grep -qsx "bound ${lease[$tenant]}" "$LAB_DIR/lease-$tenant.log" || fail "$tenant gets no address by DHCP"
  passed "$tenant gets its address by DHCP"
done
for tenant in blue green; do
  # Its own address alone, so that the renewal comes from there.
  ip -n "$(lab_netns "$tenant")" address delete "$LAB_TENANT/24" dev eth0
  ip -n "$(lab_netns "$tenant")" address replace "${lease[$tenant]}/24" dev eth0
  kill -USR1 "${LAB_PID[lease-$tenant]}"
  wait_until 10 grep -qsx "renew ${lease[$tenant]}" "$LAB_DIR/lease-$tenant.log" || fail "$tenant cannot renew its address"
  passed "$tenant renews its address"
done
