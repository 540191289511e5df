// Package e2e is the end-to-end tests: what users see of Woven on a running cluster, one file a feature.
//
//	go test -tags e2e ./test/e2e -run TestService
//
// They run against the local cluster of `make up`, or the one of $KUBECONFIG. $WOVEN_E2E_CHURN is how many pods
// TestChurn starts and stops.
package e2e
