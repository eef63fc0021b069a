// SPDX-License-Identifier: Apache-2.0

// recv PATH: listens and prints every message to the end of the stream.
package main

import (
	"context"
	"fmt"
	"log"
	"os"

	tachyon "tachyon-ipc/bindings/go"
)

func main() {
	if len(os.Args) < 2 {
		log.Fatal("usage: recv PATH")
	}
	bus, err := tachyon.Listen(os.Args[1], 65536)
	if err != nil {
		log.Fatal(err)
	}
	defer bus.Close()
	count := 0
	for m, err := range bus.Messages(context.Background()) {
		if err != nil {
			log.Fatal(err)
		}
		fmt.Printf("type %d: %s\n", m.TypeID(), m.Data())
		count++
	}
	fmt.Println("received", count)
}
