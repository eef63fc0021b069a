// SPDX-License-Identifier: Apache-2.0

// rpc_client PATH WORD...: connects and makes a call for each word.
package main

import (
	"context"
	"fmt"
	"log"
	"os"
	"time"

	tachyon "tachyon-ipc/bindings/go"
)

func main() {
	if len(os.Args) < 2 {
		log.Fatal("usage: rpc_client PATH WORD...")
	}
	ctx := context.Background()
	bus, err := tachyon.RpcConnectContext(ctx, os.Args[1], &tachyon.Options{Timeout: 10 * time.Second})
	if err != nil {
		log.Fatal(err)
	}
	defer bus.Close()
	for _, word := range os.Args[2:] {
		id, err := bus.CallContext(ctx, []byte(word), 1)
		if err != nil {
			log.Fatal(err)
		}
		reply, err := bus.Wait(id, 10000)
		if err != nil {
			log.Fatal(err)
		}
		fmt.Printf("%s -> %s\n", word, reply.Data())
	}
}
