package ip

import (
	"context"
	"fmt"
	"slices"
	"strconv"
	"strings"

	appsv1 "k8s.io/api/apps/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/utils/ptr"
	ctrl "sigs.k8s.io/controller-runtime"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/event"
	"sigs.k8s.io/controller-runtime/pkg/predicate"

	v1 "github.com/woven-cni/woven/pkg/apis/kubeovn/v1"
	"github.com/woven-cni/woven/pkg/ovs"
	"github.com/woven-cni/woven/pkg/pool"
	"github.com/woven-cni/woven/pkg/port"
	"github.com/woven-cni/woven/pkg/reconcile"
	"github.com/woven-cni/woven/pkg/subnet"
)

// statefulSetIndex finds the IP objects of the pods of a StatefulSet.
const statefulSetIndex = "statefulset"

// retainer is the owner of what a StatefulSet's pod had while it is away; its key is the pod's.
func retainer(p port.Key) port.Key {
	return port.Key{Owner: ovs.Owner{Feature: pool.Retention, Key: p.Owner.Key}, Interface: p.Interface}
}

// wantsOthers drops the updates of a StatefulSet that do not change which pods it wants.
var wantsOthers = predicate.Funcs{UpdateFunc: func(e event.UpdateEvent) bool {
	before, after := e.ObjectOld.(*appsv1.StatefulSet), e.ObjectNew.(*appsv1.StatefulSet)
	return before.UID != after.UID || before.DeletionTimestamp.IsZero() != after.DeletionTimestamp.IsZero() ||
		!ptr.Equal(before.Spec.Replicas, after.Spec.Replicas) || !ptr.Equal(before.Spec.Ordinals, after.Spec.Ordinals)
}}

// whenStatefulSet are the pods of a StatefulSet that have records.
func (f *feature) whenStatefulSet(ctx context.Context, set client.Object) (out []ctrl.Request) {
	var list v1.IPList
	of := client.MatchingFields{statefulSetIndex: client.ObjectKeyFromObject(set).String()}
	if f.client.List(ctx, &list, of, client.UnsafeDisableDeepCopy) != nil {
		return nil // the cache only fails to list while the manager stops
	}
	for i := range list.Items {
		out = append(out, reconcile.Request(ownerOf(&list.Items[i]).Key))
	}
	return out
}

// whenSubnet are the pods whose addresses could not be kept as long as the Subnet was not in force.
func (f *feature) whenSubnet(_ context.Context, obj client.Object) (out []ctrl.Request) {
	for _, key := range f.pools.Waiting(pool.Retention, pool.Subnet(obj.GetName())) {
		out = append(out, reconcile.Request(key))
	}
	return out
}

// typeOf is the podType of an IP object: what kind of object decides when its addresses are free again, beside the pod.
func typeOf(obj client.Object) string {
	of := metav1.GetControllerOf(obj)
	if of == nil || of.Kind != v1.PodTypeStatefulSet || !strings.HasPrefix(of.APIVersion, appsv1.GroupName+"/") {
		return ""
	}
	if set, _, ok := ordinal(obj.GetName()); !ok || set != of.Name {
		return ""
	}
	return v1.PodTypeStatefulSet
}

// ordinal splits the name of a StatefulSet's pod into that of the StatefulSet and the pod's number.
func ordinal(pod string) (set string, number int, ok bool) {
	dash := strings.LastIndexByte(pod, '-')
	if dash < 0 {
		return "", 0, false
	}
	number, err := strconv.Atoi(pod[dash+1:])
	return pod[:dash], number, err == nil && number >= 0 && strconv.Itoa(number) == pod[dash+1:]
}

// retainable says whether the addresses of an IP object may outlive their pod: a record, by its name of a port of that very pod.
func retainable(ip *v1.IP) bool {
	_, ok := portOf(ip)
	return ok && isRecord(ip) && ip.Spec.PodType == v1.PodTypeStatefulSet && ip.Spec.Namespace != ""
}

func statefulSetKeys(obj client.Object) []string {
	ip := obj.(*v1.IP)
	set, _, ok := ordinal(ip.Spec.PodName)
	if !ok || !retainable(ip) {
		return nil
	}
	return []string{types.NamespacedName{Namespace: ip.Spec.Namespace, Name: set}.String()}
}

// retained says whether the StatefulSet of an IP object's pod wants a pod of the name.
func retained(ctx context.Context, r client.Reader, ip *v1.IP) (bool, error) {
	name, number, ok := ordinal(ip.Spec.PodName)
	if !ok || !retainable(ip) {
		return false, nil
	}
	var set appsv1.StatefulSet
	err := r.Get(ctx, types.NamespacedName{Namespace: ip.Spec.Namespace, Name: name}, &set)
	if client.IgnoreNotFound(err) != nil {
		return false, fmt.Errorf("reading statefulset %s/%s: %w", ip.Spec.Namespace, name, err)
	}
	return err == nil && wants(&set, number), nil
}

// wants says whether a StatefulSet has, or will have, a pod of a number.
func wants(set *appsv1.StatefulSet, number int) bool {
	first, replicas := 0, 1
	if set.Spec.Ordinals != nil {
		first = int(set.Spec.Ordinals.Start)
	}
	if set.Spec.Replicas != nil {
		replicas = int(*set.Spec.Replicas)
	}
	return set.DeletionTimestamp.IsZero() && number >= first && number < first+replicas
}

// recordRetained keeps for StatefulSets' pods what they have, and what their records say when they are not there. A pod that is
// there and has nothing asks for something else.
func (s *seed) recordRetained(ctx context.Context, subnets map[string]subnet.Subnet, holders []holder) error {
	var list v1.IPList
	if err := s.reader.List(ctx, &list, client.UnsafeDisableDeepCopy); err != nil {
		return fmt.Errorf("listing IPs: %w", err)
	}
	for i := range list.Items {
		ip := &list.Items[i]
		retains, err := retained(ctx, s.reader, ip)
		if err != nil {
			return err
		}
		p, _ := portOf(ip)
		if !retains || !s.may(p, ip.Spec.Subnet) {
			continue
		}
		if _, held := s.pools.Held(p); !held.IsZero() {
			s.pools.Keep(retainer(p), p)
			continue
		}
		from := subnets[ip.Spec.Subnet]
		lease, err := port.ParseLease(ip.Spec.IPAddress, ip.Spec.MACAddress)
		there := slices.ContainsFunc(holders, func(h holder) bool { return h.owner == p.Owner })
		if there || from.CIDRs.IsZero() || err != nil {
			continue
		}
		if _, err := s.pools.Allocate(from.Pool(), exactly(retainer(p), lease)); err == nil {
			s.pools.Keep(retainer(p), p)
		}
	}
	return nil
}
