package ovs

// Database is a kind of database: its schema and what we know of its columns.
type Database struct{ name string }

// Northbound is OVN's northbound database.
var Northbound = Database{name: "OVN_Northbound"}
