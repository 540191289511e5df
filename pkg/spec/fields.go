package spec

import (
	"reflect"
	"strings"
)

// Fields are the JSON names of the fields that are set in a spec, in their order. A feature names those that it acts on and
// answers all others, so that a field which is new to the API is not ignored in silence.
func Fields(spec any) []string {
	v := reflect.Indirect(reflect.ValueOf(spec))
	var out []string
	for i := range v.NumField() {
		if !v.Field(i).IsZero() {
			name, _, _ := strings.Cut(v.Type().Field(i).Tag.Get("json"), ",")
			out = append(out, name)
		}
	}
	return out
}
