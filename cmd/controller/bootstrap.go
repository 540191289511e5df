package main

import (
	"context"
	"fmt"
	"strings"

	"k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"

	v1 "github.com/woven-cni/woven/pkg/apis/kubeovn/v1"
	"github.com/woven-cni/woven/pkg/reconcile"
)

// addBootstrap adds what makes the objects that every cluster has.
func addBootstrap(env *reconcile.Env) error {
	err := env.Manager.Add(&bootstrap{client: env.Client, options: reconcile.Setting[*Options](env)})
	if err != nil {
		return fmt.Errorf("adding the first objects: %w", err)
	}
	return nil
}

// bootstrap makes the objects that every cluster has, when they are missing. It never edits them: they are the user's.
type bootstrap struct {
	client  client.Client
	options *Options
}

// Start implements manager.Runnable; it runs on the leader.
func (b *bootstrap) Start(ctx context.Context) error {
	o := b.options
	for _, obj := range []client.Object{
		&v1.Vpc{ObjectMeta: metav1.ObjectMeta{Name: o.DefaultVpc}},
		&v1.Subnet{
			ObjectMeta: metav1.ObjectMeta{Name: o.JoinSubnet},
			Spec:       v1.SubnetSpec{Vpc: o.DefaultVpc, CIDRBlock: o.JoinCIDR, Provider: v1.Provider, GatewayType: v1.GatewayDistributed},
		},
		&v1.Subnet{
			ObjectMeta: metav1.ObjectMeta{Name: o.DefaultSubnet},
			Spec: v1.SubnetSpec{
				Default: true, Vpc: o.DefaultVpc, CIDRBlock: o.DefaultCIDR, Gateway: o.DefaultGateway,
				ExcludeIps: strings.FieldsFunc(o.DefaultExcludeIPs, func(r rune) bool { return r == ',' }),
				Provider:   v1.Provider, GatewayType: v1.GatewayDistributed, NatOutgoing: true,
			},
		},
	} {
		if err := b.client.Create(ctx, obj); err != nil && !errors.IsAlreadyExists(err) {
			return fmt.Errorf("making %T %s: %w", obj, obj.GetName(), err)
		}
	}
	return nil
}
