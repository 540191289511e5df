#!/bin/sh
# start-ovsdb DATABASE SCHEMA SOCKET [PORT ADDRESS[,ADDRESS...]]
#
# Brings one database file up to its schema and becomes the ovsdb-server that serves it: on the
# unix socket, and on PORT of each ADDRESS when they are given. It may be killed at any point and
# started again: a file appears under its own name only when it is complete.
#
# A member of a cluster finds a plan of woven-controller beside its socket: start|create|join LOCAL MEMBER...
set -eu

db=$1 schema=$2 socket=$3 port=${4:-} addresses=${5:-}
rundir=$(dirname "$socket")
name=$(basename "$db" .db)
[ "$name" != conf ] || name=ovsdb-server # the name ovs-appctl looks for
mkdir -p "$rundir" "$(dirname "$db")"

# What can no longer be read is kept for the curious, and a fresh database takes its place: Woven
# rebuilds the contents, while a server that cannot open its file would crash for ever.
if [ -s "$db" ] && ! ovsdb-tool db-name "$db" >/dev/null; then
	echo "$db is unreadable: starting afresh, the old file is $db.unreadable" >&2
	mv "$db" "$db.unreadable"
fi

# cluster makes the member's database, if there is none, as the plan says. A cluster is created from the
# database that this member had before, if it had one.
cluster() {
	read -r verb local members <"$plan"
	[ ! -s "$db" ] || return 0
	rm -f "$db.new" "$db.alone"
	contents=$schema
	if [ "$verb" != create ]; then
		# shellcheck disable=SC2086 # the members are words
		ovsdb-tool join-cluster "$db.new" "$(ovsdb-tool schema-name "$schema")" "$local" $members
	else
		if [ -s "$db.former" ] && alone "$db.former" "$db.alone"; then contents=$db.alone; fi
		ovsdb-tool --election-timer="${ELECTION_TIMER:-5000}" create-cluster "$db.new" "$contents" "$local"
	fi
	mv "$db.new" "$db"
	rm -f "$db.former" "$db.alone"
}

# alone FROM TO makes a database that belongs to no cluster, of the image's schema.
alone() {
	if ovsdb-tool db-is-clustered "$1"; then ovsdb-tool cluster-to-standalone "$2" "$1"; else cp -p "$1" "$2"; fi &&
		if [ "$(ovsdb-tool needs-conversion "$2" "$schema")" = yes ]; then ovsdb-tool convert "$2" "$schema"; fi
}

# modernise gives a cluster the image's schema, which only its servers together can do.
modernise() {
	ovsdb-client -t 600 --no-leader-only wait "unix:$socket" "$(ovsdb-tool schema-name "$schema")" connected &&
		[ "$(ovsdb-client --no-leader-only needs-conversion "unix:$socket" "$schema")" = yes ] &&
		ovsdb-client --no-leader-only convert "unix:$socket" "$schema"
}

plan=$rundir/$name.plan
if [ -s "$plan" ]; then
	cluster
	modernise &
elif [ ! -s "$db" ]; then
	rm -f "$db.new"
	ovsdb-tool create "$db.new" "$schema"
	# Without its one row, ovs-vswitchd has nothing to configure itself from.
	[ "$name" != ovsdb-server ] ||
		ovsdb-tool transact "$db.new" '["Open_vSwitch", {"op": "insert", "table": "Open_vSwitch", "row": {}}]'
	mv "$db.new" "$db"
elif ovsdb-tool db-is-clustered "$db"; then
	rm -f "$db.alone" # this one was a member once, and goes on by itself
	alone "$db" "$db.alone"
	mv "$db.alone" "$db"
elif [ "$(ovsdb-tool needs-conversion "$db" "$schema")" = yes ]; then
	cp -p "$db" "$db.$(ovsdb-tool db-version "$db")"
	rm -f "$db.tmp"
	ovsdb-tool convert "$db" "$schema"
fi

# The probe only has to find peers that vanished without a word. The default of 5 s also cuts off
# clients that are busy with a large transaction.
remotes="\"punix:$socket\": {}"
for address in $(echo "$addresses" | tr , ' '); do
	case $address in *:*) address="[$address]" ;; esac
	remotes="$remotes, \"ptcp:$port:$address\": {\"inactivity-probe\": 60000}"
done
printf '{"remotes": {%s}, "databases": {"%s": {}}}\n' "$remotes" "$db" >"$rundir/$name.json"

exec ovsdb-server --config-file="$rundir/$name.json" --no-chdir \
	--pidfile="$rundir/$name.pid" --unixctl="$rundir/$name.ctl" \
	-vconsole:info -vsyslog:off -vfile:off
