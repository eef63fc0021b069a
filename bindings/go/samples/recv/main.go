// SPDX-License-Identifier: Apache-2.0

// recv PATH: listens and prints every message to the end of the stream.
package main

import (
	"errors"
	"fmt"
	"io"
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
	for count := 0; ; count++ {
		data, typeID, err := bus.Recv(10000)
		if errors.Is(err, io.EOF) {
			fmt.Println("received", count)
			return
		}
		if err != nil {
			log.Fatal(err)
		}
		fmt.Printf("type %d: %s\n", typeID, data)
	}
}
