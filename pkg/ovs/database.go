package ovs

import (
	"fmt"
	"reflect"
	"slices"
	"sort"
	"sync"

	"github.com/ovn-kubernetes/libovsdb/model"
	"github.com/ovn-kubernetes/libovsdb/ovsdb"

	"github.com/woven-cni/woven/pkg/ovs/nb"
)

// externalIDs is the column that carries what the engine needs to remember.
const externalIDs = "external_ids"

// Database is a kind of database: its schema, its models and what we know of its columns.
type Database struct {
	name   string
	tables map[string]*table
	types  map[reflect.Type]*table

	once   sync.Once
	schema func() ovsdb.DatabaseSchema
	models func() (model.ClientDBModel, error)
	know   knowledge
}

// Northbound is OVN's northbound database.
var Northbound = &Database{schema: nb.Schema, models: nb.FullDatabaseModel, know: northbound}

// load makes the tables on first use, so that programs which only import the package do not pay for it.
func (d *Database) load() *Database {
	d.once.Do(func() {
		schema := d.schema()
		models, err := d.models()
		if err != nil {
			panic(err) // generated code: it cannot fail
		}
		d.name, d.tables, d.types = schema.Name, map[string]*table{}, map[reflect.Type]*table{}
		for name, typ := range models.Types() {
			t := newTable(name, typ.Elem(), schema.Tables[name], d.know)
			d.tables[name], d.types[typ] = t, t
		}
	})
	return d
}

// table is one table of a Database.
type table struct {
	name    string
	root    bool
	typ     reflect.Type // of the model, without the pointer
	uuid    int          // field of the UUID
	columns map[string]*column
	owned   []*column // sorted by name
	sets    []*column // the members columns
	extIDs  *column   // nil: rows are found through an anchor
	name1   *column   // the name, in tables where it must be unique and the schema does not say so
	indexes [][]string
	strong  []string // tables that rows of this one refer to strongly
}

// column is one column of a table.
type column struct {
	table            *table
	name             string
	field            int
	class            class
	composite        bool // a set or a map: an update tells the difference
	uuidKey, uuidVal bool
	ref              string // table that the UUIDs in it name
	strong           bool
	joined           bool // a members column whose elements join by their own row
}

func (c *column) set() Set { return Set{c.table.name, c.name} }

func newTable(name string, typ reflect.Type, schema ovsdb.TableSchema, know knowledge) *table {
	t := &table{name: name, root: schema.IsRoot, typ: typ, columns: map[string]*column{}, indexes: schema.Indexes}
	for i := range typ.NumField() {
		tag := typ.Field(i).Tag.Get("ovsdb")
		if tag == "_uuid" {
			t.uuid = i
			continue
		}
		c := newColumn(t, tag, schema.Columns[tag])
		c.field, c.class = i, know.classOf(name, tag)
		c.joined = slices.Contains(know.joined, Set{name, tag})
		t.columns[tag] = c
		switch c.class {
		case owned:
			t.owned = append(t.owned, c)
		case members:
			t.sets = append(t.sets, c)
		case keyed:
			t.extIDs = c
		}
		if c.strong {
			t.strong = append(t.strong, c.ref)
		}
	}
	sort.Slice(t.owned, func(i, j int) bool { return t.owned[i].name < t.owned[j].name })
	sort.Slice(t.sets, func(i, j int) bool { return t.sets[i].name < t.sets[j].name })
	if slices.Contains(know.names, name) {
		t.name1 = t.columns["name"]
	}
	return t
}

func newColumn(t *table, name string, schema *ovsdb.ColumnSchema) *column {
	c := &column{table: t, name: name}
	typ := schema.TypeObj
	if typ == nil {
		c.uuidKey = schema.Type == ovsdb.TypeUUID
		return c
	}
	c.composite = typ.Max() != 1
	for _, b := range []*ovsdb.BaseType{typ.Key, typ.Value} {
		if b == nil || b.Type != ovsdb.TypeUUID {
			continue
		}
		if ref, err := b.RefTable(); err == nil && ref != "" {
			c.ref = ref
			kind, err := b.RefType()
			c.strong = err == nil && kind == ovsdb.Strong
		}
	}
	c.uuidKey = typ.Key.Type == ovsdb.TypeUUID
	c.uuidVal = typ.Value != nil && typ.Value.Type == ovsdb.TypeUUID
	return c
}

// tableOf finds the table of a model.
func (d *Database) tableOf(m Model) (*table, error) {
	t, ok := d.types[reflect.TypeOf(m)]
	if !ok {
		return nil, fmt.Errorf("%T is no model of %s", m, d.name)
	}
	return t, nil
}

// column finds a members column.
func (d *Database) column(s Set) (*column, error) {
	if t, ok := d.tables[s.Table]; ok {
		if c, ok := t.columns[s.Column]; ok && c.class == members {
			return c, nil
		}
	}
	return nil, fmt.Errorf("%s is no set with members", s)
}
