package reconcile

// Wait is what Gather returns as its error when something has to come first that is neither wrong nor a row: nothing is
// sent, the last good rows stay, Report is told, and nobody retries by the clock. Who returns it sees to it that the key
// is looked at again.
type Wait struct {
	// For completes "waiting for …".
	For string
}

// Error implements error.
func (w *Wait) Error() string { return "waiting for " + w.For }
