package ip

import (
	"context"
	stderrors "errors"
	"fmt"
	"maps"

	"k8s.io/apimachinery/pkg/api/equality"
	"k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/apimachinery/pkg/util/validation"
	"sigs.k8s.io/controller-runtime/pkg/client"

	v1 "github.com/woven-cni/woven/pkg/apis/kubeovn/v1"
	"github.com/woven-cni/woven/pkg/ipam"
	"github.com/woven-cni/woven/pkg/reconcile"
)

// report makes the IP objects of one owner what its ports hold.
func (f *feature) report(ctx context.Context, _ types.NamespacedName, in Record, _ reconcile.Outcome) error {
	var errs []error
	for _, o := range in.Objects {
		errs = append(errs, f.write(ctx, o))
	}
	return stderrors.Join(errs...)
}

func (f *feature) write(ctx context.Context, in Object) error {
	switch {
	case in.Have == nil && in.Want == nil:
		return nil
	case in.Have == nil:
		return ignoreExists(f.client.Create(ctx, in.Want))
	case in.Want == nil && (in.Retained || !isRecord(in.Have)):
		return nil // it keeps the address while the port is away
	case in.Want == nil:
		return client.IgnoreNotFound(f.client.Delete(ctx, in.Have))
	default:
		return update(ctx, f.client, in.Have, in.Want)
	}
}

// report tells of what is not reserved by an Event, since an IP object has no status, and writes into the object what is: the
// addresses, and the label that says so.
func (f *reservations) report(ctx context.Context, key types.NamespacedName, in Input, out reconcile.Outcome) error {
	if in.IP == nil {
		return nil
	}
	if wrong := out.Problems.Blocking(); len(wrong) > 0 {
		f.Events.Eventf(in.IP, nil, "Warning", "NotReserved", "Reserve", "%s", reconcile.Note(wrong.String()))
		f.renewal.Told(key)
		return nil
	}
	want := v1.IP{Spec: in.IP.Spec}
	want.Labels = fitting(map[string]string{v1.LabelIPReserved: "true", v1.LabelSubnet: want.Spec.Subnet, want.Spec.Subnet: ""})
	if !in.Lease.IsZero() {
		describe(&want.Spec, in.Lease)
	}
	return update(ctx, f.Client, in.IP, &want)
}

// update gives an IP object the spec and the labels that it should have. Other labels stay.
func update(ctx context.Context, c client.Client, have, want *v1.IP) error {
	next := have.DeepCopy()
	next.Spec = want.Spec
	if next.Labels == nil {
		next.Labels = map[string]string{}
	}
	maps.Copy(next.Labels, want.Labels)
	if equality.Semantic.DeepEqual(next, have) {
		return nil
	}
	if err := c.Patch(ctx, next, client.MergeFrom(have)); client.IgnoreNotFound(err) != nil {
		return fmt.Errorf("updating IP %s: %w", have.Name, err)
	}
	return nil
}

// describe writes a lease into the fields of an IP object.
func describe(spec *v1.IPSpec, lease ipam.Lease) {
	spec.IPAddress, spec.MACAddress = lease.Addrs.String(), lease.MAC.String()
	spec.V4IPAddress, spec.V6IPAddress = "", ""
	if lease.V4.IsValid() {
		spec.V4IPAddress = lease.V4.String()
	}
	if lease.V6.IsValid() {
		spec.V6IPAddress = lease.V6.String()
	}
}

// fitting leaves out the labels that cannot be: an object's name may be longer than a label.
func fitting(labels map[string]string) map[string]string {
	maps.DeleteFunc(labels, func(k, v string) bool {
		return len(validation.IsQualifiedName(k)) > 0 || len(validation.IsValidLabelValue(v)) > 0
	})
	return labels
}

// ignoreExists lets a record that is there already, and not in the cache yet, be found by its own event.
func ignoreExists(err error) error {
	if errors.IsAlreadyExists(err) {
		return nil
	}
	return err
}
