package central

import (
	"bufio"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"time"
)

// Disk is what a member finds of a database on its disk.
type Disk struct {
	// Standalone is a database that belongs to no cluster.
	Standalone bool `json:"standalone,omitempty"`
	// Cluster is the identity of the cluster that the database belongs to. A member that has not finished joining has none,
	// and nothing to lose.
	Cluster string `json:"cluster,omitempty"`
	// Written is when the file last changed, if it holds anything.
	Written time.Time `json:"written,omitzero"`
}

// Empty says that there is nothing worth keeping.
func (d Disk) Empty() bool { return !d.Standalone && d.Cluster == "" }

// Inspect reads the head of a database file; ovsdb(5) has its format. A file that makes no sense counts as empty: nobody
// could start from it.
func Inspect(path string) (Disk, error) {
	file, err := os.Open(path)
	if errors.Is(err, fs.ErrNotExist) {
		return Disk{}, nil
	}
	if err != nil {
		return Disk{}, fmt.Errorf("looking at a database: %w", err)
	}
	defer file.Close()
	info, err := file.Stat()
	if err != nil {
		return Disk{}, fmt.Errorf("looking at a database: %w", err)
	}
	var kind, sum string
	var length int64
	in := bufio.NewReader(file)
	if _, err := fmt.Fscanf(in, "OVSDB %s %d %s\n", &kind, &length, &sum); err != nil {
		return Disk{}, nil //nolint:nilerr // no database
	}
	if kind == "JSON" {
		return Disk{Standalone: true, Written: info.ModTime()}, nil
	}
	var head struct {
		Cluster string `json:"cluster_id"`
	}
	if err := json.NewDecoder(io.LimitReader(in, length)).Decode(&head); err != nil || head.Cluster == "" {
		return Disk{}, nil //nolint:nilerr // a torn head is no database either
	}
	return Disk{Cluster: head.Cluster, Written: info.ModTime()}, nil
}
