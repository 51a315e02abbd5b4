// Prints the number of the shard of each line of `keys`.
package main

import (
	"bufio"
	"fmt"
	"os"

	"test/ring"
)

func main() {
	keys, _ := os.Open("keys")
	for lines := bufio.NewScanner(keys); lines.Scan(); {
		fmt.Println(ring.ShardNumber(lines.Text()))
	}
}
