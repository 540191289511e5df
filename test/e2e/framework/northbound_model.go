package framework

import (
	"context"
	"fmt"
	"reflect"

	"github.com/ovn-kubernetes/libovsdb/model"

	"github.com/woven-cni/woven/pkg/ovs/nb"
)

// knownTo are the models of the northbound database without the tables and columns that the server does not know: libovsdb
// refuses a server that lacks anything of a model, and the server may be of an older OVN.
func knownTo(ctx context.Context, endpoints []string) (model.ClientDBModel, error) {
	full, err := nb.FullDatabaseModel()
	if err != nil {
		return full, fmt.Errorf("making the models: %w", err)
	}
	none, err := model.NewClientDBModel(full.Name(), nil)
	if err != nil {
		return full, fmt.Errorf("making a model without tables: %w", err)
	}
	ovs, err := connect(ctx, none, endpoints)
	if err != nil {
		return full, err
	}
	defer ovs.Close()
	tables := map[string]model.Model{}
	for name, typ := range full.Types() {
		table := ovs.Schema().Table(name)
		if table == nil {
			continue
		}
		var columns []reflect.StructField
		for i := range typ.Elem().NumField() {
			field := typ.Elem().Field(i)
			if column := field.Tag.Get("ovsdb"); column == "_uuid" || table.Column(column) != nil {
				columns = append(columns, field)
			}
		}
		tables[name] = reflect.New(reflect.StructOf(columns)).Interface()
	}
	known, err := model.NewClientDBModel(full.Name(), tables)
	if err != nil {
		return full, fmt.Errorf("making the models that the server knows: %w", err)
	}
	return known, nil
}

// tableOf is the table that M models.
func tableOf[M any]() (string, error) {
	full, err := nb.FullDatabaseModel()
	if err != nil {
		return "", fmt.Errorf("making the models: %w", err)
	}
	for name, typ := range full.Types() {
		if typ.Elem() == reflect.TypeFor[M]() {
			return name, nil
		}
	}
	return "", fmt.Errorf("%v models no table of the northbound database", reflect.TypeFor[M]())
}

// widened is a row of a model that knownTo has made, as the model that it was made of.
func widened[M any](row model.Model) *M {
	m := new(M)
	from, to := reflect.ValueOf(row).Elem(), reflect.ValueOf(m).Elem()
	for i := range from.NumField() {
		to.FieldByName(from.Type().Field(i).Name).Set(from.Field(i))
	}
	return m
}
