#!/bin/bash
# `down` with the record of `up`, without it, and with one that is elsewhere, damaged or never was.
# shellcheck source-path=SCRIPTDIR source=lib.sh
. "$(dirname -- "$0")/lib.sh"
# shellcheck source=operator.sh
. "$here/operator.sh"

make_iptables_rules
write_config "$green"
say "down without the record removes what can be recognised"
snapshot >"$folder/before"
swnat up --format iptables
rm -r "$folder/run"
expect_error "sysctls stay as they are" swnat down
# Sysctls stay, and with forwarding the addresses that all routers have.
snapshot | grep -v -e /proc/sys -e ^anycast >"$folder/after"
grep -v -e /proc/sys -e ^anycast "$folder/before" >"$folder/before-rules"
expect_same "down without a record left rules" "$folder/before-rules" "$folder/after"
echo 0 >/proc/sys/net/ipv4/ip_forward
echo 0 >/proc/sys/net/ipv6/conf/all/forwarding
echo 1 >/proc/sys/net/ipv6/conf/wan0/accept_ra

say "down with a control.socket that was another one when up was run"
write_config "$green"
snapshot >"$folder/before"
swnat up --format iptables
sed -i 's|/run/swnat/|/run/other/|' "$config"
expect_error "put it back and run \`down\` again" swnat down
sed -i 's|/run/other/|/run/swnat/|' "$config"
swnat down
snapshot >"$folder/after"
expect_same "down after control.socket was put back left something" "$folder/before" "$folder/after"

say "a record that is damaged"
write_config "$green"
snapshot >"$folder/before"
swnat up --format iptables
record=$(echo "$folder"/run/swnat/up-*.json)
cp "$record" "$folder/record"
truncate -s 300 "$record"
cp "$record" "$folder/damaged"
snapshot >"$folder/applied"
expect_error "record $record is damaged: " swnat up --format iptables
snapshot >"$folder/after"
expect_same "up with a damaged record changed something" "$folder/applied" "$folder/after"
cmp -s "$record" "$folder/damaged" || fail "up changed the damaged record"
# What the record does not say is not asked for either.
mkdir -p "$folder/no-lists"
printf '#!/bin/sh\ncase " $* " in *" list ruleset "*) echo "it broke" >&2; exit 1 ;; esac\nexec %s "$@"\n' \
  "$(command -v nft)" >"$folder/no-lists/nft"
chmod +x "$folder/no-lists/nft"
PATH=$folder/no-lists:$PATH \
  expect_error "it is kept as $record.damaged; rules and routes are removed, but sysctls stay as they are" swnat down
cmp -s "$record.damaged" "$folder/damaged" || fail "down did not keep the damaged record"
if iptables-save | grep SWNAT; then fail "down with a damaged record left rules"; fi
swnat down
swnat up --format iptables
swnat down
# Only the right record knows the sysctls.
cp "$folder/record" "$record"
rm "$record.damaged"
swnat down
snapshot >"$folder/after"
expect_same "down with the right record again left something" "$folder/before" "$folder/after"

say "the printed script does what up does"
echo 1 >/proc/sys/net/ipv6/conf/wan0/accept_ra
write_config "$green$rules"
sed -i 's/"40000-50000"/"32768-65535"/' "$config"
snapshot >"$folder/before"
swnat up --format iptables
snapshot | grep -v "^$folder" >"$folder/applied"
swnat down
snapshot >"$folder/after"
expect_same "down left something" "$folder/before" "$folder/after"
swnat rules --format iptables | sh
snapshot >"$folder/printed"
expect_same "the printed script does something else than up" "$folder/applied" "$folder/printed"
swnat rules --format iptables --only nft | nft -c -f - || fail "the nft table alone is nothing that nft takes"

say "down after the printed script, without any up"
grep -v -e /proc/sys -e ^anycast "$folder/before" >"$folder/before-rules"
expect_error "there is no record of this \`up\` beside" swnat down
grep -qE 'removed: nft table inet swnat, [0-9]+ chains of iptables, [0-9]+ ip rules and [0-9]+ routes; but sysctls stay' \
  "$folder/err" || fail "down does not say what it removed: $(cat "$folder/err")"
snapshot | grep -v -e /proc/sys -e ^anycast >"$folder/after"
expect_same "down after the printed script left rules" "$folder/before-rules" "$folder/after"
swnat down || fail "down again has nothing to do, which is no error"

finish
