package schema

import (
	"encoding/json"
	"reflect"
	"strconv"
)

// AppendText appends a JSON string.
func AppendText(b []byte, s string) []byte {
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
	return append(AppendText(append(b, `["uuid",`...), id), ']')
}

func appendAtom(b []byte, v reflect.Value, isUUID bool) []byte {
	switch v.Kind() {
	case reflect.String:
		if isUUID {
			return appendUUID(b, v.String())
		}
		return AppendText(b, v.String())
	case reflect.Float64:
		return strconv.AppendFloat(b, v.Float(), 'g', -1, 64)
	default:
		return append(b, word(v)...)
	}
}

// Append appends the column of a row as OVSDB wants it.
func (c *Column) Append(b []byte, row reflect.Value) []byte {
	v := c.Of(row)
	switch v.Kind() {
	case reflect.Pointer:
		if v.IsNil() {
			return append(b, `["set",[]]`...)
		}
		return appendAtom(b, v.Elem(), c.UUIDs)
	case reflect.Slice:
		b = append(b, `["set",[`...)
		for i := range v.Len() {
			if i > 0 {
				b = append(b, ',')
			}
			b = appendAtom(b, v.Index(i), c.UUIDs)
		}
		return append(b, "]]"...)
	case reflect.Map:
		b = append(b, `["map",[`...)
		first := true
		for it := v.MapRange(); it.Next(); first = false {
			if !first {
				b = append(b, ',')
			}
			b = appendAtom(append(b, '['), it.Key(), c.UUIDs)
			b = appendAtom(append(b, ','), it.Value(), c.uuidVal)
			b = append(b, ']')
		}
		return append(b, "]]"...)
	default:
		return appendAtom(b, v, c.UUIDs)
	}
}

// AppendElement appends one element of a set of texts or UUIDs.
func (c *Column) AppendElement(b []byte, element string) []byte {
	if c.UUIDs {
		return appendUUID(b, element)
	}
	return AppendText(b, element)
}
