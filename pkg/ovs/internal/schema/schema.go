package schema

import (
	"fmt"
	"reflect"
	"slices"
	"sort"
	"sync"

	"github.com/ovn-kubernetes/libovsdb/model"
	"github.com/ovn-kubernetes/libovsdb/ovsdb"
)

// Database is a kind of database: its schema, its models and what we know of its columns. Load it before use.
type Database struct {
	Name   string
	Tables map[string]*Table
	types  map[reflect.Type]*Table

	once   sync.Once
	schema func() ovsdb.DatabaseSchema
	models func() (model.ClientDBModel, error)
	know   Knowledge
}

// New is the database that generated code describes.
func New(schema func() ovsdb.DatabaseSchema, models func() (model.ClientDBModel, error), know Knowledge) *Database {
	return &Database{schema: schema, models: models, know: know}
}

// Load makes the tables on first use, so that programs which only import the package do not pay for it.
func (d *Database) Load() *Database {
	d.once.Do(func() {
		schema := d.schema()
		models, err := d.models()
		if err != nil {
			panic(err) // generated code: it cannot fail
		}
		d.Name, d.Tables, d.types = schema.Name, map[string]*Table{}, map[reflect.Type]*Table{}
		for name, typ := range models.Types() {
			t := newTable(name, typ.Elem(), schema.Tables[name], d.know)
			d.Tables[name], d.types[typ] = t, t
		}
		for _, space := range d.know.Spaces {
			for _, name := range space {
				for _, other := range space {
					if other != name {
						d.Tables[name].Rivals = append(d.Tables[name].Rivals, d.Tables[other])
					}
				}
			}
		}
	})
	return d
}

// Table is one table of a Database.
type Table struct {
	Name        string
	Root        bool
	Given       bool // others make the rows
	ByName      bool // rows are looked up by name
	Columns     map[string]*Column
	Owned       []*Column // sorted by name
	Sets        []*Column // the members columns, sorted by name
	ExternalIDs *Column   // nil in some tables
	UniqueName  *Column   // the name, in tables where it must be unique and the schema does not say so
	Rivals      []*Table  // tables whose rows must not have the name of a row of this one
	Strong      []string  // tables that rows of this one refer to strongly

	typ  reflect.Type // of the model, without the pointer
	uuid int          // field of the UUID
}

// Column is one column of a table.
type Column struct {
	Table  *Table
	Name   string
	Class  Class
	UUIDs  bool   // its elements, or keys, are UUIDs
	Ref    string // table that the UUIDs in it name
	Strong bool   // these references keep rows alive
	Joined bool   // a members column whose elements join by their own row

	field     int
	composite bool // a set or a map: an update tells the difference
	uuidVal   bool // the values of a map are UUIDs
}

// String is "Logical_Switch.ports".
func (c *Column) String() string { return c.Table.Name + "." + c.Name }

// Of is the column's field of a row.
func (c *Column) Of(row reflect.Value) reflect.Value { return row.Field(c.field) }

func newTable(name string, typ reflect.Type, schema ovsdb.TableSchema, know Knowledge) *Table {
	t := &Table{Name: name, Root: schema.IsRoot, typ: typ, Columns: map[string]*Column{}}
	t.Given, t.ByName = slices.Contains(know.Given, name), slices.Contains(know.ByName, name)
	for i := range typ.NumField() {
		tag := typ.Field(i).Tag.Get("ovsdb")
		if tag == "_uuid" {
			t.uuid = i
			continue
		}
		c := newColumn(t, tag, schema.Columns[tag])
		c.field, c.Class = i, know.classOf(c)
		c.Joined = slices.Contains(know.Joined, c.String())
		t.Columns[tag] = c
		switch c.Class {
		case Owned:
			t.Owned = append(t.Owned, c)
		case Members:
			t.Sets = append(t.Sets, c)
		case Keyed:
			t.ExternalIDs = c
		}
		if c.Strong {
			t.Strong = append(t.Strong, c.Ref)
		}
	}
	sort.Slice(t.Owned, func(i, j int) bool { return t.Owned[i].Name < t.Owned[j].Name })
	sort.Slice(t.Sets, func(i, j int) bool { return t.Sets[i].Name < t.Sets[j].Name })
	if slices.Contains(know.Names, name) {
		t.UniqueName = t.Columns["name"]
	}
	return t
}

func newColumn(t *Table, name string, schema *ovsdb.ColumnSchema) *Column {
	c := &Column{Table: t, Name: name}
	typ := schema.TypeObj
	if typ == nil {
		c.UUIDs = schema.Type == ovsdb.TypeUUID
		return c
	}
	c.composite = typ.Max() != 1
	for _, b := range []*ovsdb.BaseType{typ.Key, typ.Value} {
		if b == nil || b.Type != ovsdb.TypeUUID {
			continue
		}
		if ref, err := b.RefTable(); err == nil && ref != "" {
			c.Ref = ref
			kind, err := b.RefType()
			c.Strong = err == nil && kind == ovsdb.Strong
		}
	}
	c.UUIDs = typ.Key.Type == ovsdb.TypeUUID
	c.uuidVal = typ.Value != nil && typ.Value.Type == ovsdb.TypeUUID
	return c
}

// TableOf finds the table of a model.
func (d *Database) TableOf(m any) (*Table, error) {
	t, ok := d.types[reflect.TypeOf(m)]
	if !ok {
		return nil, fmt.Errorf("%T is no model of %s", m, d.Name)
	}
	return t, nil
}

// Set finds a members column.
func (d *Database) Set(table, column string) (*Column, error) {
	if t, ok := d.Tables[table]; ok {
		if c, ok := t.Columns[column]; ok && c.Class == Members {
			return c, nil
		}
	}
	return nil, fmt.Errorf("%s.%s is no set with members", table, column)
}

// Monitored are the columns that concern us, by table.
func (d *Database) Monitored() map[string][]string {
	out := make(map[string][]string, len(d.Tables))
	for _, t := range d.Tables {
		for _, c := range t.Columns {
			if c.Class != Foreign {
				out[t.Name] = append(out[t.Name], c.Name)
			}
		}
	}
	return out
}
