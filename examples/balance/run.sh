#!/bin/sh
# One type on three workers: ninety ids are spread over two, a third joins and gets its part with their state, one is killed and the
# others have its ids. Run it from the top of the tree: examples/balance/run.sh
set -eu
[ "${1:-}" = guarded ] || exec timeout -k 5 60 "$0" guarded # nothing here may hang
troupe=${TROUPE:-build/troupe}
here=$(dirname "$0")
work=$(mktemp -d)
pids=''
trap 'for pid in $pids; do kill -KILL "$pid" 2>/dev/null || :; done; rm -rf "$work"' EXIT
trap 'exit 1' INT TERM

# Each says in one line that it is ready.
start() { # NAME ARGUMENT…
  name=$1; shift
  mkfifo "$work/$name"
  "$troupe" "$@" >"$work/$name" 2>"$work/$name.log" &
  last=$! pids="$pids $!"
  read -r line <"$work/$name"
}
visit() { "$troupe" run --host "$address" "$here/visit.lua" 2>>"$work/visit.log" | grep -v "^joined "; }

start host host --listen 127.0.0.1:0
address=${line#listening }
start one worker --host "$address" "$here/counter.lua" -- one
start two worker --host "$address" "$here/counter.lua" -- two; two=$last
echo '# two workers:'; visit
start three worker --host "$address" "$here/counter.lua" -- three
echo '# a third joins:'; visit
kill -KILL "$two"
wait "$two" 2>/dev/null || :
echo '# two is killed, its counters begin anew:'; visit
