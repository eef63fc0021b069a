// SPDX-License-Identifier: Apache-2.0

// A user's program, for tests/module.sh: it sends itself a message.
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
	path, received := fmt.Sprintf("@tachyon-go-user-%d", os.Getpid()), make(chan string)
	go func() {
		bus, err := tachyon.Listen(path, 65536)
		if err != nil {
			log.Fatal(err)
		}
		data, typeID, err := bus.Recv(100)
		if err != nil {
			log.Fatal(err)
		}
		received <- fmt.Sprint(typeID, " ", string(data))
	}()
	bus, err := tachyon.ConnectContext(context.Background(), path, &tachyon.Options{Timeout: 10 * time.Second})
	if err != nil {
		log.Fatal(err)
	}
	if err = bus.Send([]byte("from a user"), 7); err != nil {
		log.Fatal(err)
	}
	fmt.Println(<-received)
}
