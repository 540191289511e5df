package schema

import (
	"fmt"
	"hash/maphash"
	"reflect"
	"slices"
	"sort"
	"strconv"
	"strings"
)

// Equal compares the column of two rows.
func (c *Column) Equal(a, b reflect.Value) bool { return equal(c.Of(a), c.Of(b)) }

// equal compares two fields as OVSDB does: sets have no order, and nil is empty.
func equal(a, b reflect.Value) bool {
	switch a.Kind() {
	case reflect.Pointer:
		if a.IsNil() || b.IsNil() {
			return a.IsNil() && b.IsNil()
		}
		return a.Elem().Equal(b.Elem())
	case reflect.Slice:
		if a.Len() == b.Len() {
			same := true
			for i := 0; same && i < a.Len(); i++ {
				same = a.Index(i).Equal(b.Index(i))
			}
			if same {
				return true
			}
		}
		return slices.Equal(words(a), words(b))
	case reflect.Map:
		if a.Len() != b.Len() {
			return false
		}
		if x, ok := a.Interface().(map[string]string); ok {
			y := b.Interface().(map[string]string)
			for k, v := range x {
				if w, ok := y[k]; !ok || v != w {
					return false
				}
			}
			return true
		}
		for it := a.MapRange(); it.Next(); {
			if w := b.MapIndex(it.Key()); !w.IsValid() || !it.Value().Equal(w) {
				return false
			}
		}
		return true
	default:
		return a.Equal(b)
	}
}

// words are the elements of a set as text, sorted and each once.
func words(v reflect.Value) []string {
	out := make([]string, v.Len())
	for i := range out {
		out[i] = word(v.Index(i))
	}
	sort.Strings(out)
	return slices.Compact(out)
}

func word(v reflect.Value) string {
	if v.Kind() == reflect.String {
		return v.String()
	}
	return fmt.Sprint(v.Interface())
}

var hashSeed = maphash.MakeSeed()

// hashOf is a hash of a field that does not depend on the order of sets and maps; 0 for the empty field.
func hashOf(v reflect.Value) uint64 {
	if v.IsZero() {
		return 0
	}
	switch v.Kind() {
	case reflect.Pointer:
		return 3*maphash.String(hashSeed, word(v.Elem())) + 1
	case reflect.Slice:
		var sum uint64
		for _, w := range words(v) {
			sum += maphash.String(hashSeed, w)
		}
		return sum
	case reflect.Map:
		var sum uint64
		for it := v.MapRange(); it.Next(); {
			sum += HashPair(word(it.Key()), word(it.Value()))
		}
		return sum
	default:
		return maphash.String(hashSeed, word(v))
	}
}

// HashPair is a hash of a key and its value, to be summed up.
func HashPair(k, v string) uint64 {
	return 31*maphash.String(hashSeed, k) + Stir(maphash.String(hashSeed, v))
}

// Stir stirs a hash, so that sums of products do not cancel out.
func Stir(h uint64) uint64 { return (h ^ h>>29) * 0xbf58476d1ce4e5b9 }

// Format shows the column of a row to people.
func (c *Column) Format(row reflect.Value) string { return format(c.Of(row)) }

// format shows a field to people: sets and maps sorted.
func format(v reflect.Value) string {
	switch v.Kind() {
	case reflect.Pointer:
		if v.IsNil() {
			return "[]"
		}
		return format(v.Elem())
	case reflect.Slice:
		out := words(v)
		for i := range out {
			out[i] = Quote(out[i])
		}
		return "[" + strings.Join(out, " ") + "]"
	case reflect.Map:
		out := make([]string, 0, v.Len())
		for it := v.MapRange(); it.Next(); {
			out = append(out, Quote(word(it.Key()))+"="+Quote(word(it.Value())))
		}
		sort.Strings(out)
		return "{" + strings.Join(out, " ") + "}"
	default:
		return Quote(word(v))
	}
}

// Quote puts a text between quotes where it would not stand out by itself.
func Quote(s string) string {
	if s == "" || strings.ContainsAny(s, " \t\n\"={}[]") {
		return strconv.Quote(s)
	}
	return s
}
