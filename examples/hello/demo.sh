#!/bin/sh
# The main job on real processes: a host, two workers with one agent each, and a greeting from outside. Each agent prints and
# publishes the first five greetings it hears; then everything drains and ends. `make demo` runs this.
set -eu
[ "${1:-}" = guarded ] || exec timeout -k 5 60 "$0" guarded # nothing here may hang
troupe=${TROUPE:-build/troupe}
agent=$(dirname "$0")/agent.lua
work=$(mktemp -d)
pids=''

# Whatever happens, nothing is left running, and after a failure the logs are shown.
cleanup() {
  status=$?
  for pid in $pids; do kill -KILL "$pid" 2>/dev/null || :; done
  [ "$status" = 0 ] || { echo 'demo: failed; the logs:'; cat "$work"/*.log; } >&2
  rm -rf "$work"
}
trap cleanup EXIT
trap 'exit 1' INT TERM

# Processes write into pipes, so each line is read when it comes, and a process that ends early is an end of file.
mkfifo "$work/host" "$work/workers"
"$troupe" host --listen 127.0.0.1:0 >"$work/host" 2>"$work/host.log" &
host=$! pids=$!
read -r line <"$work/host"
address=${line#listening }
echo "# a host listens at $address; two workers join it"

"$troupe" worker --host "$address" "$agent" -- worker1 >"$work/workers" 2>"$work/worker1.log" &
worker1=$! pids="$pids $!"
"$troupe" worker --host "$address" "$agent" -- worker2 >"$work/workers" 2>"$work/worker2.log" &
worker2=$! pids="$pids $!"
exec 3<"$work/workers"

"$troupe" publish default Greeting '{"content": "Hello!"}' --host "$address" --wait worker1,worker2

lines=0
while [ "$lines" -lt 10 ] && read -r line <&3; do
  case $line in
    *': Hello x '*) echo "$line"; lines=$((lines + 1)) ;;
  esac
done

# Workers first: they send what they have and leave; then the host, which has nobody left. Each says by its status how it ended.
for pid in $worker1 $worker2 $host; do
  kill -TERM "$pid"
  wait "$pid"
done
pids=''
while read -r line <&3; do
  case $line in
    *': Hello x '*) echo "demo: an eleventh line: $line" >&2; exit 1 ;;
  esac
done
[ "$lines" = 10 ] || { echo "demo: only $lines lines came" >&2; exit 1; }
echo '# each agent heard and passed on exactly five; all three processes drained and ended'
