package v1

import (
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
)

// ConditionType names one aspect of an object's state.
type ConditionType string

const (
	// ConditionReady is True when the object does all that its spec asks.
	ConditionReady ConditionType = "Ready"
	// ConditionValidated is True when the spec makes sense, alone and beside other objects.
	ConditionValidated ConditionType = "Validated"
	// ConditionProgrammed is True when the OVN rows of the object are as the spec asks.
	ConditionProgrammed ConditionType = "Programmed"
	// ConditionImplemented is False while the spec asks for something that this version accepts and does not act on;
	// its message lists the fields. Otherwise it is absent.
	ConditionImplemented ConditionType = "Implemented"
	// ConditionEffective is False while a part of the spec has no effect, because of what else there is: it names a Namespace
	// that does not exist, or excludes addresses that are none of the subnet's. Its message lists them; the rest is in force.
	// Otherwise it is absent.
	ConditionEffective ConditionType = "Effective"
)

// Reasons of a condition that is True.
const (
	// ReasonReady goes with Ready=True.
	ReasonReady = "Ready"
	// ReasonValid goes with Validated=True.
	ReasonValid = "Valid"
	// ReasonProgrammed goes with Programmed=True.
	ReasonProgrammed = "Programmed"
)

// Reasons of a condition that is not True.
const (
	// ReasonInvalid is a spec that makes no sense in a way no other reason names.
	ReasonInvalid = "Invalid"
	// ReasonInvalidCIDR is a CIDR that cannot be read, or two of one family.
	ReasonInvalidCIDR = "InvalidCIDR"
	// ReasonInvalidGateway is a gateway that cannot be read or cannot serve, e.g. a network address.
	ReasonInvalidGateway = "InvalidGateway"
	// ReasonGatewayOutsideCIDR is a gateway that is not within the subnet's CIDR.
	ReasonGatewayOutsideCIDR = "GatewayOutsideCIDR"
	// ReasonInvalidExcludeIPs is an entry of excludeIps that cannot be read.
	ReasonInvalidExcludeIPs = "InvalidExcludeIPs"
	// ReasonOverlap is a range that overlaps that of another object of the kind.
	ReasonOverlap = "Overlap"
	// ReasonContainsAPIServer is a CIDR that contains the API server's address.
	ReasonContainsAPIServer = "ContainsAPIServer"
	// ReasonNotImplemented is a field that is accepted and not acted on yet.
	ReasonNotImplemented = "NotImplemented"
	// ReasonNameTaken is a name that belongs to somebody else, here or in OVN.
	ReasonNameTaken = "NameTaken"
	// ReasonInUse is a change or deletion that must wait for those who use the object.
	ReasonInUse = "InUse"
	// ReasonWaiting is a dependency that is not there yet; it heals without being asked.
	ReasonWaiting = "Waiting"
	// ReasonVpcNotFound is a Vpc that is named and does not exist.
	ReasonVpcNotFound = "VpcNotFound"
	// ReasonAddressTaken is an address and port of a Service that another Service has.
	ReasonAddressTaken = "AddressTaken"
	// ReasonVpcTerminating is a new Subnet in a Vpc that is being deleted.
	ReasonVpcTerminating = "VpcTerminating"
	// ReasonNamespaceNotFound is a Namespace that is named and does not exist.
	ReasonNamespaceNotFound = "NamespaceNotFound"
	// ReasonSubnetNotFound is a Subnet that is named and does not exist, or is not in the Vpc that names it.
	ReasonSubnetNotFound = "SubnetNotFound"
	// ReasonOutsideCIDR is an entry of a list with addresses that are none of the subnet's.
	ReasonOutsideCIDR = "OutsideCIDR"
	// ReasonNoFreeAddress is a subnet with no address left to give.
	ReasonNoFreeAddress = "NoFreeAddress"
	// ReasonCutsOff is an edit that would leave pods without their address or their gateway.
	ReasonCutsOff = "CutsOff"
	// ReasonLimitExceeded says that the object comes to more than the operator allows, and that the rest is not in force.
	ReasonLimitExceeded = "LimitExceeded"
	// ReasonNotProgrammed is an error between the controller and OVN; it is retried.
	ReasonNotProgrammed = "NotProgrammed"
)

// Condition says one thing about the state of an object. It is not
// metav1.Condition: it also has the time of the last update, and its reason and
// message may be empty.
type Condition struct {
	// Aspect that the condition is about.
	// +required
	Type ConditionType `json:"type"`
	// True, False or Unknown.
	// +required
	Status metav1.ConditionStatus `json:"status"`
	// One word in CamelCase: why the status is what it is.
	Reason string `json:"reason,omitempty"`
	// The same for people, as a sentence.
	Message string `json:"message,omitempty"`
	// Generation of the spec that the condition speaks of.
	ObservedGeneration int64 `json:"observedGeneration,omitempty"`
	// When anything in the condition changed last.
	LastUpdateTime metav1.Time `json:"lastUpdateTime,omitempty"`
	// When the status changed last.
	LastTransitionTime metav1.Time `json:"lastTransitionTime,omitempty"`
}

// SetCondition puts want in the place of the condition of its type and reports
// whether that changed anything. The times are set here, from now, and only when
// there is a change: the same condition set twice leaves the list as it was, so
// that a status compared before and after needs no write.
func SetCondition(conditions *[]Condition, want Condition, now time.Time) bool {
	stamp := metav1.NewTime(now)
	want.LastUpdateTime, want.LastTransitionTime = stamp, stamp
	have := FindCondition(*conditions, want.Type)
	if have == nil {
		*conditions = append(*conditions, want)
		return true
	}
	if have.Status == want.Status && have.Reason == want.Reason &&
		have.Message == want.Message && have.ObservedGeneration == want.ObservedGeneration {
		return false
	}
	if have.Status == want.Status {
		want.LastTransitionTime = have.LastTransitionTime
	}
	*have = want
	return true
}

// FindCondition returns the condition of a type, within the list, or nil.
func FindCondition(conditions []Condition, t ConditionType) *Condition {
	for i := range conditions {
		if conditions[i].Type == t {
			return &conditions[i]
		}
	}
	return nil
}

// IsConditionTrue tells whether the condition of a type is there and True.
func IsConditionTrue(conditions []Condition, t ConditionType) bool {
	c := FindCondition(conditions, t)
	return c != nil && c.Status == metav1.ConditionTrue
}

// Conditions are those of the status.
func (s *Subnet) Conditions() []Condition { return s.Status.Conditions }

// Conditions are those of the status.
func (v *Vpc) Conditions() []Condition { return v.Status.Conditions }
