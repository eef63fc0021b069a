// SPDX-License-Identifier: Apache-2.0

// send PATH [COUNT]: connects and sends COUNT messages.
package main

import (
	"context"
	"fmt"
	"log"
	"os"
	"strconv"
	"time"

	tachyon "tachyon-ipc/bindings/go"
)

func main() {
	if len(os.Args) < 2 {
		log.Fatal("usage: send PATH [COUNT]")
	}
	count := 10
	if len(os.Args) > 2 {
		var err error
		if count, err = strconv.Atoi(os.Args[2]); err != nil {
			log.Fatal(err)
		}
	}
	ctx := context.Background()
	bus, err := tachyon.ConnectContext(ctx, os.Args[1], &tachyon.Options{Timeout: 10 * time.Second})
	if err != nil {
		log.Fatal(err)
	}
	defer bus.Close()
	for i := range count {
		if err := bus.SendContext(ctx, fmt.Appendf(nil, "tick %d", i), 1); err != nil {
			log.Fatal(err)
		}
	}
	fmt.Println("sent", count)
}
