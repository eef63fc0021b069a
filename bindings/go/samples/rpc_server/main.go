// SPDX-License-Identifier: Apache-2.0

// rpc_server PATH: listens and answers each request with its text in upper case.
package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"log"
	"os"

	tachyon "tachyon-ipc/bindings/go"
)

func main() {
	if len(os.Args) < 2 {
		log.Fatal("usage: rpc_server PATH")
	}
	bus, err := tachyon.RpcListen(os.Args[1], 65536, 65536)
	if err != nil {
		log.Fatal(err)
	}
	defer bus.Close()
	for served := 0; ; served++ {
		request, err := bus.Serve(10000)
		if errors.Is(err, io.EOF) {
			fmt.Println("served", served)
			return
		}
		if err != nil {
			log.Fatal(err)
		}
		reply := bytes.ToUpper(request.Data())
		err = bus.ReplyContext(context.Background(), request.CorrelationID(), reply, request.TypeID())
		if err != nil {
			log.Fatal(err)
		}
	}
}
