#!/bin/bash
# `up` while a tenant's interface is missing: the others are set up, it says whose is missing, the tenant is blocked,
# and is complete when the interface appears, while the daemon runs and without another `up`: whether it comes back,
# or is made anew. A tenant that was taken out of the file stays blocked while its interface is there.
# shellcheck source-path=SCRIPTDIR source=lib.sh
source "$(dirname "$0")/lib.sh"

gw=$(lab_netns gw)

# answered TENANT FAMILY: the ports from which the tenant is answered, over UDP and TCP.
answered() {
  {
    traffic "$1" udp "${LAB_REMOTE_OF[$2]}" 7000 --name "$1" --ports 20001-20002 --timeout 0.5
    traffic "$1" tcp "${LAB_REMOTE_OF[$2]}" 7000 --name "$1" --ports 0,0 --timeout 0.5 2>>"$LAB_DIR/attempts.out"
  } | xargs
}
expect_works() { # tenant, when
  local family
  for family in "${LAB_FAMILIES[@]}"; do
    expect "$2: $1 is translated, IPv$family" "20001 20002 0 0" "$(answered "$1" "$family")"
    reaches "$1" "${LAB_REMOTE_OF[family]}" || fail "$2: $1's pings are not answered, IPv$family"
  done
}
expect_blocked() { # tenant, when
  local family
  for family in "${LAB_FAMILIES[@]}"; do
    expect "$2: $1 is blocked, IPv$family" "" "$(answered "$1" "$family")"
    if reaches "$1" "${LAB_REMOTE_OF[family]}"; then fail "$2: $1's pings are answered, IPv$family"; fi
  done
}
works_again() {
  local family
  for family in "${LAB_FAMILIES[@]}"; do reaches "$1" "${LAB_REMOTE_OF[family]}" || return; done
}

start_lab
for family in "${LAB_FAMILIES[@]}"; do
  lab_serve "answers-$family" tcp 7000 /usr/bin/python3 "$HERE/traffic.py" serve "${LAB_REMOTE_OF[family]}" 7000
done
capture remote eth0 leaked '(ip and net 10.0.0.0/8) or (ip6 and net fd00::/8)'
# A tenant that is blocked would get out if the kernel did as it is told elsewhere.
lab_exec gw sh -c 'echo 1 >/proc/sys/net/ipv4/ip_forward; echo 1 >/proc/sys/net/ipv6/conf/all/forwarding'

# Green's cable is there, but by another name.
rename_link gw green0 other0
status=0
apply_rules >"$LAB_DIR/up.out" 2>"$LAB_DIR/up.err" || status=$?
expect "exit status of up" 0 "$status"
expect "lines that name namespace and interface" 1 "$(grep -w green "$LAB_DIR/up.err" | grep -cw green0 || true)"
expect "lines that name blue0, which is there" 0 "$(grep -cw blue0 "$LAB_DIR/up.err" || true)"
expect_blocked green "without a daemon"
start_daemon
expect_works blue "green0 is missing"
expect_blocked green "green0 is missing"

# It appears: by its name, and then made anew, twice.
rename_link gw other0 green0
wait_until 10 works_again green || fail "green0 got its name, and green is not translated"
expect_works green "green0 got its name"
expect_works blue "green0 got its name"
for round in 1 2; do
  ip -n "$gw" link delete green0
  expect_works blue "green0 is gone"
  lab_link green eth0 "$LAB_TENANT/24 $LAB_TENANT6/64" gw green0 "$LAB_GATEWAY/24 $LAB_GATEWAY6/64"
  lab_default_route green "$LAB_GATEWAY" "$LAB_GATEWAY6"
  wait_until 10 works_again green || fail "green0 was made anew, and green is not translated"
  expect_works green "green0 was made anew, round $round"
done
rules_are_right() { [[ $(control status --json | jq -r .rules.state) == "as configured" ]]; }
wait_until 10 rules_are_right || fail "status: $(control status | grep rules: || control status)"
passed "the rules are as configured: all that was missing is there"
expect_match "status says so" $'(^|\n)rules: as configured' "$(control status)"

# With the daemon running already, and the interface missing from the start of it.
end_daemon
swnat down
ip -n "$gw" link delete blue0
apply_rules 2>"$LAB_DIR/up.err"
expect "lines that name namespace and interface, blue's" 1 "$(grep -w blue "$LAB_DIR/up.err" | grep -cw blue0 || true)"
start_daemon
expect_works green "blue0 is missing"
lab_link blue eth0 "$LAB_TENANT/24 $LAB_TENANT6/64" gw blue0 "$LAB_GATEWAY/24 $LAB_GATEWAY6/64"
lab_default_route blue "$LAB_GATEWAY" "$LAB_GATEWAY6"
wait_until 10 works_again blue || fail "blue0 appeared, and blue is not translated"
expect_works blue "blue0 appeared"

# Taken out of the file: with the daemon of before, after a reload, and with a new daemon.
LAB_NAMESPACES=(blue)
lab_write_config
apply_rules
expect_blocked green "out of the file"
control reload >"$LAB_DIR/reload.out"
expect_blocked green "out of the file, after a reload"
expect_works blue "green is out of the file"
end_daemon
start_daemon
expect_blocked green "out of the file, with a new daemon"
LAB_NAMESPACES=(blue green)
lab_write_config
apply_rules
control reload >"$LAB_DIR/reload.out"
wait_until 10 works_again green || fail "green is in the file again, and is not translated"
expect_works green "in the file again"

end_capture leaked
expect "packets outside with a private address" "" "$(packets leaked | sed -n 1,3p)"
