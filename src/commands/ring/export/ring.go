// Package ring says which shard of a ringshard cluster owns a key: the ring of epoch @EPOCH@.
//
// Written by `ringshard ring export --format go`; write it again after each change of the ring. docs/routing.md says how a program
// notices that its ring is old: the shard itself refuses a key that it does not own.
package ring

import (
	"crypto/md5"
	"encoding/hex"
	"sort"
)

// The cluster, and the epoch of this ring.
const (
	Cluster = "@CLUSTER@"
	Epoch   = @EPOCH@
)

// Shard is a shard with its URL, without a password.
type Shard struct{ Name, URL string }

// Shards has each shard by its number.
var Shards = map[int]Shard{
@SHARDS@}

// The last position of each range, in hexadecimal digits, and the number of its owner.
var (
	last = []string{
@LAST@	}
	owner = []int{
@OWNER@	}
)

// ShardNumber is the number of the shard that owns a key, which is given as Postgres prints it.
func ShardNumber(key string) int {
	sum := md5.Sum([]byte(key))
	position := hex.EncodeToString(sum[:])
	return owner[sort.SearchStrings(last, position)]
}

// Route is that shard.
func Route(key string) Shard { return Shards[ShardNumber(key)] }
