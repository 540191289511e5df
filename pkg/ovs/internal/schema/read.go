package schema

import (
	"reflect"
	"strconv"
)

// Elements calls f for each element of a set of texts or UUIDs.
func (s *Scanner) Elements(f func(element string)) { elements(s, func() { f(text(s)) }) }

// elements calls f for each element of an OVSDB set, with the scanner before it: ["set",[...]], or one bare atom.
func elements(s *Scanner, f func()) {
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
func pairs(s *Scanner, f func()) {
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
func text(s *Scanner) string {
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
func atom(s *Scanner, v reflect.Value) {
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

// Read brings the field of an owned or keyed column up to date. In an update of a set or map the text is the
// difference: elements that are only in one of the two, and for map keys in both, the new value. Shared slices and maps
// are not changed in place, because readers hold the old row.
func (c *Column) Read(s *Scanner, row reflect.Value, update bool) {
	f := c.Of(row)
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

func (c *Column) readSlice(s *Scanner, f reflect.Value, update bool) {
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

func (c *Column) readMap(s *Scanner, f reflect.Value, update bool) {
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
