package framework

import (
	"fmt"
	"reflect"
	"slices"
	"strings"

	"github.com/ovn-kubernetes/libovsdb/model"
)

// Foreign are the writes since the nth that are not of the named: of what a test has made to see that the controller is done with
// what came before. Of the named are new rows that have one of the names in them, whatever becomes of these, and elements that sets of
// other rows gain, if they are such rows or have such a name. Whatever else becomes of a row that was there before is foreign,
// whoever's names are in it and whoever shares the transaction. NB_Global is left out: it counts the syncs of tests.
func (n *Northbound) Foreign(since int, names ...string) []Write {
	writes := n.Writes()[since:]
	own := slices.Clone(names)
	for _, w := range writes {
		if w.Verb == "insert" && mentions(w.Row, names) {
			own = append(own, w.UUID) // others refer to it by this
		}
	}
	return slices.DeleteFunc(writes, func(w Write) bool {
		return w.Table == "NB_Global" || slices.Contains(own, w.UUID) || w.Verb == "update" && w.onlyGains(own)
	})
}

// onlyGains tells whether all that an update did is to put elements with one of the names into the row.
func (w Write) onlyGains(names []string) bool {
	return len(w.Lost) == 0 && !slices.ContainsFunc(w.Gained, func(element string) bool { return !mentions(element, names) })
}

func mentions(text string, names []string) bool {
	return slices.ContainsFunc(names, func(name string) bool { return strings.Contains(text, name) })
}

// compared are what an update has taken from a row, and what it has given to it, each a "column=value": the elements of sets and maps one by one.
func compared(before, after model.Model) (lost, gained []string) {
	was, is := values(before), values(after)
	without := func(some, others []string) []string {
		return slices.DeleteFunc(slices.Clone(some), func(v string) bool { return slices.Contains(others, v) })
	}
	return without(was, is), without(is, was)
}

func values(row model.Model) []string {
	var out []string
	v := reflect.ValueOf(row).Elem()
	for i := range v.NumField() {
		column, value := v.Type().Field(i).Tag.Get("ovsdb"), v.Field(i)
		switch value.Kind() {
		case reflect.Slice:
			for j := range value.Len() {
				out = append(out, fmt.Sprint(column, "=", value.Index(j)))
			}
		case reflect.Map:
			for key, element := range value.Seq2() {
				out = append(out, fmt.Sprint(column, "=", key, ":", element))
			}
		case reflect.Pointer:
			if !value.IsNil() {
				out = append(out, fmt.Sprint(column, "=", value.Elem()))
			}
		default:
			out = append(out, fmt.Sprint(column, "=", value))
		}
	}
	return out
}

func uuidOf(row model.Model) string {
	v := reflect.ValueOf(row).Elem()
	for i := range v.NumField() {
		if v.Type().Field(i).Tag.Get("ovsdb") == "_uuid" {
			return v.Field(i).String()
		}
	}
	return ""
}
