#!/bin/sh
# A host with TLS, tokens and rights; two workers, one with a certificate, one with a token; a customer who may buy, and one who may not.
set -eu
[ "${1:-}" = guarded ] || exec timeout -k 5 60 "$0" guarded # nothing here may hang
troupe=${TROUPE:-build/troupe}
here=$(dirname "$0")
folder=$(mktemp -d)
trap 'kill $pids 2>/dev/null; wait; rm -rf "$folder"' EXIT
pids=''

for name in shop anna eve; do "$troupe" cert --folder "$folder" client "$name"; done >/dev/null
"$troupe" cert --folder "$folder" host >/dev/null
token=$(od -An -N24 -tx1 /dev/urandom | tr -d ' \n')
(umask 077 && echo "ledger $token" >"$folder/tokens")

"$troupe" host --listen tls:127.0.0.1:0 --tls-cert "$folder/host.pem" --tls-key "$folder/host.key" --tls-client-ca "$folder/ca.pem" \
  --tokens "$folder/tokens" --rights "$here/rights" --log error >"$folder/host.out" & pids=$!
until address=$(sed -n 's/^listening //p' "$folder/host.out") && [ "$address" ]; do sleep 0.02; done
export TROUPE_HOST="$address" TROUPE_TLS_CA="$folder/ca.pem"
as() { name=$1; shift; TROUPE_TLS_CERT="$folder/$name.pem" TROUPE_TLS_KEY="$folder/$name.key" "$@"; }

"$troupe" worker --log error --tls-cert "$folder/shop.pem" --tls-key "$folder/shop.key" "$here/shop.lua" >/dev/null & pids="$pids $!"
TROUPE_TOKEN=$token "$troupe" worker --log error "$here/ledger.lua" >/dev/null & pids="$pids $!"

as anna "$troupe" call shop Buy '{"what":"bread"}' --wait shop,ledger
until as anna "$troupe" call ledger/main List | grep bread; do sleep 0.02; done
as eve "$troupe" call shop Buy '{"what":"everything"}' 2>&1 || true
"$troupe" call shop Buy '{"what":"something"}' 2>&1 || true
