#!/bin/bash
# Thousands of interfaces come and go in waves, each a member of a range as long as it is there, while another tenant
# loses nothing. SWNAT_MEMBERS says how many in all.
# shellcheck source-path=SCRIPTDIR source=lib.sh
source "$(dirname "$0")/lib.sh"

members=${SWNAT_MEMBERS:-1000}
wave=500

start_lab
LAB_NAMESPACES=(blue)
LAB_RULES="[[namespace]]
name       = \"pppoe\"
fwmark     = \"1000-$((1000 + wave - 1))\"
interfaces = [\"ppp*\"]
subnets    = [\"10.0.0.0/24\", \"fd00::/64\"]"
start_swnat

present() { awk 'NR > 1 && $3 != 0' "$LAB_DIR"/run/members-*.txt | wc -l; }
elements() { lab_exec gw nft --json list set inet swnat members | jq '[.nftables[].set // empty | .elem // [] | .[]] | length'; }
has_elements() { [[ $(elements) == "$1" ]]; }
has_routes() { [[ $(routes "$1") == "$wave" ]]; }
routes() { lab_exec gw ip "$1" route show table all proto 83 | grep -c ' dev ppp' || true; }

# Two ends of a cable match both, so half of so many cables are as many interfaces.
come() { for ((i = 0; i < wave / 2; i++)); do printf 'link add ppp%d type veth peer name pppx%d\nlink set ppp%d up\nlink set pppx%d up\n' "$i" "$i" "$i" "$i"; done; }
go() { for ((i = 0; i < wave / 2; i++)); do printf 'link delete ppp%d\n' "$i"; done; }

blue_ping() { lab_exec blue ping -q -i 0.02 -w 600 "$LAB_REMOTE" >"$LAB_DIR/blue-ping.out" 2>&1; }
blue_ping &
pinger=$!
started=$SECONDS
for ((done = 0; done < members; done += wave)); do
  come | ip -n "$(lab_netns gw)" -batch - || fail "the interfaces are not made"
  wait_until 60 has_elements "$wave" || fail "members: expected $wave, saw $(elements)"
  # A repair may be at work, which puts back what went with the wave before.
  for family in -4 -6; do
    wait_until 60 has_routes "$family" || fail "routes, $family: expected $wave, saw $(routes "$family")"
  done
  expect "members of a wave" "$wave" "$(present)"
  go | ip -n "$(lab_netns gw)" -batch - || fail "the interfaces do not go"
  wait_until 60 has_elements 0 || fail "members: expected 0, saw $(elements)"
done
printf '%s interfaces came and went in %s s, in waves of %s\n' "$members" "$((SECONDS - started))" "$wave"
pkill -INT --parent "$pinger" 2>/dev/null || kill -INT "$(pgrep -P "$pinger")" || true
wait "$pinger" || true
expect_match "another tenant's pings meanwhile" ' 0% packet loss' "$(cat "$LAB_DIR/blue-ping.out")"
expect "members in the end" 0 "$(elements)"
is_as_configured() { [[ $(control status --json | jq -r .rules.state) == "as configured" ]]; }
wait_until 60 is_as_configured || fail "rules differ in the end: $(control status)"
