#!/usr/bin/env bash
# The HTTP filter beside hyper: requests a second and processor time a request, server on one core, wrk on another, in
# alternation. Needs wrk. CONNECTIONS and SECONDS_EACH in the environment change the load, PIPELINE how many are in flight.
set -euo pipefail
cd "$(dirname "$0")"
seconds=${SECONDS_EACH:-4}
rounds=${ROUNDS:-3}
cargo build --locked -q --release
bin=${CARGO_TARGET_DIR:-target}/release/http-peers
script=$(mktemp)
trap 'rm -f "$script"; kill $(jobs -p) 2>/dev/null || true' EXIT
cat >"$script" <<'LUA'
init = function(args)
  local request = wrk.format("GET", "/")
  local all = {}
  for i = 1, tonumber(args[1]) do all[i] = request end
  requests = table.concat(all)
end
request = function() return requests end
LUA
ask() { # SYSTEM CONNECTIONS PIPELINE
  # The file of the server before must not be read for this one's.
  : >/tmp/http-peers.$$
  taskset -c 0 "$bin" "$1" >>/tmp/http-peers.$$ & local pid=$!
  until grep -q '^listening on ' /tmp/http-peers.$$; do sleep 0.02; done
  local address; address=$(sed -n 's/^listening on //p;q' /tmp/http-peers.$$)
  local out; out=$(taskset -c 1 wrk -t1 -c"$2" -d"${seconds}s" -s "$script" "http://$address/" -- "$3")
  local ticks; ticks=$(awk '{print $14 + $15}' /proc/$pid/stat)
  kill $pid; wait $pid 2>/dev/null || true
  local total; total=$(sed -n 's/^ *\([0-9]*\) requests in.*/\1/p' <<<"$out")
  local rate; rate=$(sed -n 's/^Requests\/sec: *//p' <<<"$out")
  awk -v s="$1" -v c="$2" -v p="$3" -v r="$rate" -v n="$total" -v t="$ticks" \
    'BEGIN { printf "%-6s %5d connections, %2d in flight: %8.0f requests/s, %5.2f us of processor time each\n", s, c, p, r, t * 10000 / n }'
}
for load in ${LOADS:-"100:1 1000:1 100:16"}; do
  for _ in $(seq "$rounds"); do
    ask ours "${load%:*}" "${load#*:}"
    ask hyper "${load%:*}" "${load#*:}"
  done
done
rm -f /tmp/http-peers.$$
