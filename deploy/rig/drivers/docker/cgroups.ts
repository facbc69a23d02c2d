/**
 * A machine's control groups, seen from inside its container: scripts, because only there are they to be reached
 * wherever the engine runs.
 */

/** Sets `dir` to the group ($0, below the root) in the hierarchy in which it is frozen, `v2` to 1 or empty. */
const FIND =
  'v2=; dir=/sys/fs/cgroup/freezer/$0; [ ! -e /sys/fs/cgroup/cgroup.controllers ] || { v2=1; dir=/sys/fs/cgroup/$0; }; '

/** Says "frozen" or "running". */
export const SHOW = `${FIND} if [ "$v2" ]; then now=$(cat "$dir/cgroup.freeze"); else now=$(cat "$dir/freezer.self_freezing"); fi; [ "$now" = 1 ] && echo frozen || echo running`

/** Returns when every process stands still. */
export const FREEZE = `${FIND} if [ "$v2" ]; then echo 1 > "$dir/cgroup.freeze"; until grep -q "^frozen 1" "$dir/cgroup.events"; do sleep 0.002; done
else until echo FROZEN > "$dir/freezer.state" && [ "$(cat "$dir/freezer.state")" = FROZEN ]; do sleep 0.002; done; fi`

export const THAW = `${FIND} if [ "$v2" ]; then echo 0 > "$dir/cgroup.freeze"; else echo THAWED > "$dir/freezer.state"; fi`

/** With version 1 a frozen process dies only when it is thawed; it does so before it does anything else. */
export const END_FROZEN = `${FIND} if [ -z "$v2" ] && [ -d "$dir" ]; then for pid in $(find "$dir" -name cgroup.procs -exec cat {} +); do kill -KILL "$pid" 2> /dev/null || :; done; echo THAWED > "$dir/freezer.state"; fi`

/**
 * Limits ($2 bytes a second, 0: not) what the machine reads and writes on the block device under $1 past the page
 * cache.
 */
export const THROTTLE = `device=$(mountpoint -d "$1"); ${FIND} if [ "$v2" ]; then
limit=$2; [ "$limit" != 0 ] || limit=max; echo "$device rbps=$limit wbps=$limit" > "$dir/io.max"
else find /sys/fs/cgroup/blkio -type d | while read -r group; do for way in read write; do echo "$device $2" > "$group/blkio.throttle.\${way}_bps_device"; done; done; fi`
