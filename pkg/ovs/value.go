package ovs

import (
	"encoding/json"
	"fmt"
	"hash/maphash"
	"reflect"
	"slices"
	"sort"
	"strconv"
	"strings"
)

// elements calls f for each element of an OVSDB set, with the scanner before it: ["set",[...]], or one bare atom.
func elements(s *scanner, f func()) {
	start := s.i
	if s.accept('[') {
		if s.str() == "set" {
			s.expect(',')
			s.array(func(int) { f() })
			s.expect(']')
			return
		}
		s.i = start // ["uuid", ...]
	}
	f()
}

// pairs calls f for each pair of an OVSDB map, with the scanner before the key; f must consume key, comma and value.
func pairs(s *scanner, f func()) {
	s.expect('[')
	if s.str() != "map" {
		s.fail("map")
		return
	}
	s.expect(',')
	s.array(func(int) {
		s.expect('[')
		f()
		s.expect(']')
	})
	s.expect(']')
}

// text is a string or UUID atom.
func text(s *scanner) string {
	if s.peek() != '[' {
		return s.str()
	}
	s.expect('[')
	s.str() // "uuid"
	s.expect(',')
	v := s.str()
	s.expect(']')
	return v
}

// atom reads one atom into v.
func atom(s *scanner, v reflect.Value) {
	switch v.Kind() {
	case reflect.String:
		v.SetString(text(s))
	case reflect.Bool:
		v.SetBool(s.word() == "true")
	case reflect.Int:
		n, err := strconv.ParseInt(s.word(), 10, 64)
		if err != nil {
			s.fail("integer")
		}
		v.SetInt(n)
	case reflect.Float64:
		n, err := strconv.ParseFloat(s.word(), 64)
		if err != nil {
			s.fail("number")
		}
		v.SetFloat(n)
	default:
		s.fail("atom for " + v.Kind().String())
	}
}

// read brings the field of an owned or keyed column up to date. In an update of a set or map the text is the
// difference: elements that are only in one of the two, and for map keys in both, the new value. Shared slices and maps
// are not changed in place, because readers hold the old row.
func (c *column) read(s *scanner, f reflect.Value, update bool) {
	switch f.Kind() {
	case reflect.Pointer:
		f.SetZero()
		elements(s, func() {
			v := reflect.New(f.Type().Elem())
			atom(s, v.Elem())
			f.Set(v)
		})
	case reflect.Slice:
		c.readSlice(s, f, update && c.composite)
	case reflect.Map:
		c.readMap(s, f, update && c.composite)
	default:
		elements(s, func() { atom(s, f) })
	}
}

func (c *column) readSlice(s *scanner, f reflect.Value, update bool) {
	out := reflect.MakeSlice(f.Type(), 0, 0)
	if update {
		out = reflect.AppendSlice(out, f)
	}
	v := reflect.New(f.Type().Elem()).Elem()
	elements(s, func() {
		atom(s, v)
		if update {
			for i := range out.Len() {
				if out.Index(i).Equal(v) {
					out = reflect.AppendSlice(out.Slice(0, i), out.Slice(i+1, out.Len()))
					return
				}
			}
		}
		out = reflect.Append(out, v)
	})
	if out.Len() == 0 {
		f.SetZero()
		return
	}
	f.Set(out)
}

func (c *column) readMap(s *scanner, f reflect.Value, update bool) {
	out := reflect.MakeMap(f.Type())
	if update {
		for it := f.MapRange(); it.Next(); {
			out.SetMapIndex(it.Key(), it.Value())
		}
	}
	key, val := reflect.New(f.Type().Key()).Elem(), reflect.New(f.Type().Elem()).Elem()
	pairs(s, func() {
		atom(s, key)
		s.expect(',')
		atom(s, val)
		if had := out.MapIndex(key); update && had.IsValid() && had.Equal(val) {
			out.SetMapIndex(key, reflect.Value{})
			return
		}
		out.SetMapIndex(key, val)
	})
	if out.Len() == 0 {
		f.SetZero()
		return
	}
	f.Set(out)
}

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
			sum += hashPair(word(it.Key()), word(it.Value()))
		}
		return sum
	default:
		return maphash.String(hashSeed, word(v))
	}
}

func hashPair(k, v string) uint64 {
	return 31*maphash.String(hashSeed, k) + bits(maphash.String(hashSeed, v))
}

// bits stirs a hash, so that sums of products do not cancel out.
func bits(h uint64) uint64 { return (h ^ h>>29) * 0xbf58476d1ce4e5b9 }

// appendText appends a JSON string.
func appendText(b []byte, s string) []byte {
	for i := range len(s) {
		if c := s[i]; c < 0x20 || c == '"' || c == '\\' || c >= 0x7f {
			quoted, err := json.Marshal(s)
			if err != nil {
				panic(err) // a string always marshals
			}
			return append(b, quoted...)
		}
	}
	return append(append(append(b, '"'), s...), '"')
}

func appendUUID(b []byte, id string) []byte {
	return append(appendText(append(b, `["uuid",`...), id), ']')
}

func appendAtom(b []byte, v reflect.Value, isUUID bool) []byte {
	switch v.Kind() {
	case reflect.String:
		if isUUID {
			return appendUUID(b, v.String())
		}
		return appendText(b, v.String())
	case reflect.Float64:
		return strconv.AppendFloat(b, v.Float(), 'g', -1, 64)
	default:
		return append(b, word(v)...)
	}
}

// appendField appends the field as OVSDB wants it in a row.
func (c *column) appendField(b []byte, v reflect.Value) []byte {
	switch v.Kind() {
	case reflect.Pointer:
		if v.IsNil() {
			return append(b, `["set",[]]`...)
		}
		return appendAtom(b, v.Elem(), c.uuidKey)
	case reflect.Slice:
		b = append(b, `["set",[`...)
		for i := range v.Len() {
			if i > 0 {
				b = append(b, ',')
			}
			b = appendAtom(b, v.Index(i), c.uuidKey)
		}
		return append(b, "]]"...)
	case reflect.Map:
		b = append(b, `["map",[`...)
		first := true
		for it := v.MapRange(); it.Next(); first = false {
			if !first {
				b = append(b, ',')
			}
			b = appendAtom(append(b, '['), it.Key(), c.uuidKey)
			b = appendAtom(append(b, ','), it.Value(), c.uuidVal)
			b = append(b, ']')
		}
		return append(b, "]]"...)
	default:
		return appendAtom(b, v, c.uuidKey)
	}
}

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
			out[i] = quote(out[i])
		}
		return "[" + strings.Join(out, " ") + "]"
	case reflect.Map:
		out := make([]string, 0, v.Len())
		for it := v.MapRange(); it.Next(); {
			out = append(out, quote(word(it.Key()))+"="+quote(word(it.Value())))
		}
		sort.Strings(out)
		return "{" + strings.Join(out, " ") + "}"
	default:
		return quote(word(v))
	}
}

// quote puts a text between quotes where it would not stand out by itself.
func quote(s string) string {
	if s == "" || strings.ContainsAny(s, " \t\n\"={}[]") {
		return strconv.Quote(s)
	}
	return s
}
