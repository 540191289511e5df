#!/bin/sh
# start-vswitchd ARGUMENT...
#
# Runs ovs-vswitchd with these arguments. Where the kernel switches packets, it goes on with the flows that it has while
# ovs-vswitchd is away; but the new process would begin with taking them away, as its own tables are empty, and cut
# everything off until ovn-controller has filled them. So it is told to leave the kernel alone for as long.
set -eu

vsctl() { ovs-vsctl --timeout=10 --no-wait "$@" || echo "start-vswitchd: going on without: ovs-vsctl $*" >&2; }

# ovn-controller puts all of its flows in with one bundle: any at all means every one.
filled() { ovs-ofctl --timeout=2 dump-aggregate br-int 2>/dev/null | grep -q 'flow_count=[1-9]'; }

# The datapath of a process before this one. Userspace has none left, and neither has a node that has just booted.
if [ -e /sys/class/net/ovs-system ]; then
	vsctl set Open_vSwitch . other_config:flow-restore-wait=true
	waiting=yes
else
	vsctl remove Open_vSwitch . other_config flow-restore-wait
	waiting=no
fi

# Its process number is not always the same: whoever was killed has left its control socket.
rm -f /run/openvswitch/ovs-vswitchd.*.ctl
ovs-vswitchd "$@" &
switch=$!
trap 'kill $switch' TERM INT

# Flows that are out of date are worse than none when ovn-controller does not come: half a minute must do.
tries=0
while [ $waiting = yes ]; do
	if filled || [ $tries -ge 150 ] || ! kill -0 $switch 2>/dev/null; then
		vsctl remove Open_vSwitch . other_config flow-restore-wait
		waiting=no
	else
		tries=$((tries + 1))
		sleep 0.2
	fi
done

# A signal ends a wait, but not yet ovs-vswitchd.
code=0
while kill -0 $switch 2>/dev/null; do
	wait $switch && code=0 || code=$?
done
exit $code
