#!/bin/sh
# start-ovsdb DATABASE SCHEMA SOCKET [PORT ADDRESS[,ADDRESS...]]
#
# Brings one database file up to its schema and becomes the ovsdb-server that serves it: on the
# unix socket, and on PORT of each ADDRESS when they are given. It may be killed at any point and
# started again: a file appears under its own name only when it is complete.
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

if [ ! -s "$db" ]; then
	rm -f "$db.new"
	ovsdb-tool create "$db.new" "$schema"
	# Without its one row, ovs-vswitchd has nothing to configure itself from.
	[ "$name" != ovsdb-server ] ||
		ovsdb-tool transact "$db.new" '["Open_vSwitch", {"op": "insert", "table": "Open_vSwitch", "row": {}}]'
	mv "$db.new" "$db"
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
