# SPDX-License-Identifier: Apache-2.0
"""Generated files in the packages that they are for: messages there and back."""

import os
import subprocess
import sys
import uuid
from pathlib import Path
from typing import Any

import tachyon
from tachyon.schema.__main__ import main

from conftest import EVERY, ROOT
from every import Cancel, Side, Tick

COUNT = 1000
TIMEOUT = 60
TYPES = ["--types", "Tick=1", "Cancel=2"]
RETYPED = f"""\
tachyon-types 1 {sys.byteorder}
message 1 Tick +
 symbol char[8] @0
 price f32 @8
 = 12 align 4
"""
REFUSAL = "Tick.price: f64 at 8 here, f32 at 8 at the peer"

# Each sends back, one by one, what it gets, with other values, and then says what a
# listener of other messages is to it.
GO = """
package main

import (
	"context"
	"errors"
	"fmt"
	"log"
	"os"
	"time"

	tachyon "tachyon-ipc/bindings/go"
	"typed/every"
)

func must(err error) {
	if err != nil {
		log.Fatal(err)
	}
}

func main() {
	path, ctx := os.Args[1], context.Background()
	options := &tachyon.Options{
		Timeout: time.Minute, Types: every.Types, TypesRequired: true,
	}
	there, err := tachyon.ConnectContext(ctx, path+"-there", options)
	must(err)
	back, err := tachyon.ListenContext(ctx, path+"-back", 1<<16, options)
	must(err)
	count := 0
	for {
		data, id, err := there.RecvContext(ctx)
		if errors.Is(err, tachyon.ErrClosed) {
			break
		}
		must(err)
		count++
		if t, ok := every.TickOf(data, id); ok {
			if !t.SetSymbol("<" + t.SymbolText() + ">") {
				log.Fatal("too long")
			}
			t.SetPrice(2 * t.Price())
			t.SetSide(every.SideBID)
			t.SetHalted(!t.Halted())
			t.SetVenue(1, t.Venue(0))
			t.Spread(1).SetAsk(t.Spread(0).Bid())
			t.SetLate(t.Late() + 1)
			t.SetFlags(5, t.Flags(0))
			must(back.SendContext(ctx, t, every.TickTypeID))
		} else if c, ok := every.CancelOf(data, id); ok {
			c.SetOrder(c.Order() + 1)
			c.SetNet(c.Net() + 1)
			c.SetSides(2, every.SideASK)
			c.Parts(1, 2).SetB(c.Parts(0, 0).B())
			must(back.SendContext(ctx, c, every.CancelTypeID))
		} else {
			log.Fatal("neither, ", id)
		}
	}
	back.Close()
	_, err = tachyon.ConnectContext(ctx, path+"-other", options)
	fmt.Println(count, errors.Is(err, tachyon.ErrABIMismatch), err)
}
"""
JAVA = """
import dev.tachyon_ipc.BusClosedException;
import dev.tachyon_ipc.Options;
import dev.tachyon_ipc.TachyonBus;
import dev.tachyon_ipc.TachyonException;
import java.nio.ByteBuffer;
import java.time.Duration;

final class Program {
    public static void main(String[] arguments) {
        Options options = new Options();
        options.setTimeout(Duration.ofMinutes(1));
        options.setTypes(EveryTypes.TYPES);
        options.setTypesRequired(true);
        Duration minute = Duration.ofMinutes(1);
        int count = 0;
        String path = arguments[0];
        try (TachyonBus there = TachyonBus.connect(path + "-there", options);
                TachyonBus back = TachyonBus.listen(path + "-back", 1 << 16, options)) {
            try {
                for (;; count++) {
                    byte[] data = there.recv(minute);
                    ByteBuffer bytes = ByteBuffer.wrap(data);
                    Tick t = Tick.of(bytes, there.getTypeId());
                    if (t != null) {
                        t.symbol("<" + t.symbolText() + ">");
                        t.price(2 * t.price());
                        t.side(EveryTypes.Side.BID);
                        t.halted(!t.halted());
                        t.venue(1, t.venue(0));
                        t.spread(1).ask(t.spread(0).bid());
                        t.late(t.late() + 1);
                        t.flags(5, t.flags(0));
                    } else {
                        Cancel c = Cancel.of(bytes, there.getTypeId());
                        c.order(c.order() + 1);
                        c.net(c.net() + 1);
                        c.sides(2, EveryTypes.Side.ASK);
                        c.parts(1, 2).b(c.parts(0, 0).b());
                    }
                    back.send(ByteBuffer.wrap(data), there.getTypeId(), minute);
                }
            } catch (BusClosedException end) {
                // the end of the stream
            }
        }
        try {
            TachyonBus.connect(path + "-other", options).close();
        } catch (TachyonException e) {
            System.out.println(count + " " + e.getName() + " " + e.getMessage());
        }
    }
}
"""


def retyped() -> Any:
    """Make a class of another Tick."""
    metaclass: Any = type(tachyon.Message)
    return metaclass("Tick", (tachyon.Message,), {}, type_id=1, types=RETYPED)


def check_round_trip(command: list[str | Path]) -> str:
    """Send messages to a program, check what comes back, return what it prints."""
    path = f"@tachyon-packages-{uuid.uuid4()}"
    other = tachyon.Bus.listen(
        f"{path}-other", 1 << 12, role=tachyon.Role.PRODUCER, max_peers=1,
        types=[retyped()], types_required=True,
    )  # fmt: skip
    process = subprocess.Popen([*command, path], stdout=subprocess.PIPE, text=True)
    options: Any = {
        "timeout": TIMEOUT, "types": [Tick, Cancel], "types_required": True
    }  # fmt: skip
    with process, other:
        try:
            other.accept_in_background()
            with tachyon.Bus.listen(f"{path}-there", 1 << 16, **options) as there:
                back = tachyon.Bus.connect(f"{path}-back", **options)
                check_ticks(there, back)
                check_cancels(there, back)
            with back:
                assert list(back) == []
            out, _ = process.communicate(timeout=TIMEOUT)
        finally:
            process.kill()
    assert process.returncode == 0
    return out


def check_ticks(there: tachyon.Bus, back: tachyon.Bus) -> None:
    send, received = there.channel(Tick), back.channel(Tick)
    for i in range(COUNT):
        send(
            symbol=str(i), price=i / 4, side=Side.ASK, halted=i % 2 == 0,
            reserved=b"\x01\x02", venue=[i, 7], spread=[(i / 8, 1), (2, 3)],
            late=2**64 - 2, port=i, flags=[i % 3 == 0, True, False, True, False, False],
            timeout=TIMEOUT,
        )  # fmt: skip
        assert received.recv(timeout=TIMEOUT) == Tick(
            symbol=f"<{i}>", price=i / 2, side=Side.BID, halted=i % 2 == 1,
            reserved=b"\x01\x02", venue=[i, i], spread=[(i / 8, 1), (2, i / 8)],
            late=2**64 - 1, port=i,
            flags=[i % 3 == 0, True, False, True, False, i % 3 == 0],
        )  # fmt: skip


def check_cancels(there: tachyon.Bus, back: tachyon.Bus) -> None:
    send, received = there.channel(Cancel), back.channel(Cancel)
    values: dict[str, Any] = {"dlc": 8, "type": -5}
    parts = [[(b"a", 1.5), (b"b", 2.5), (b"c", 3.5)] for _ in range(2)]
    for i in range(COUNT):
        message = Cancel(order=i, net=i, parts=parts, sides=[1, 2, 1], **values)
        send(*message, timeout=TIMEOUT)
        message.order, message.net = i + 1, i + 1
        message.sides[2], message.parts[1][2].b = Side.ASK, 1.5
        assert received.recv(timeout=TIMEOUT) == message


def test_go(tmp_path: Path) -> None:
    go = os.environ["TACHYON_GO"]
    assert main([str(EVERY), *TYPES, "--go", "-o", str(tmp_path / "every")]) == 0
    (tmp_path / "go.mod").write_text(
        "module typed\n\ngo 1.24\n\nrequire tachyon-ipc v1.0.0\n\n"
        f"replace tachyon-ipc => {ROOT}\n"
    )
    (tmp_path / "main.go").write_text(GO)
    subprocess.run([go, "vet", "-C", tmp_path, "./..."], check=True)
    subprocess.run([go, "build", "-C", tmp_path, "-o", "program", "."], check=True)
    out = check_round_trip([tmp_path / "program"])
    assert out.startswith(f"{2 * COUNT} true ")
    assert REFUSAL in out


def test_java(tmp_path: Path) -> None:
    jar, java = os.environ["TACHYON_JAR"], Path(os.environ["TACHYON_JAVA"])
    assert main([str(EVERY), *TYPES, "--java", "-o", str(tmp_path)]) == 0
    (tmp_path / "Program.java").write_text(JAVA)
    subprocess.run(
        [
            *(java.with_name("javac"), "-Xlint:all", "-Werror", "-cp", jar, "-d", "."),
            *tmp_path.glob("*.java"),
        ],
        cwd=tmp_path,
        check=True,
    )
    out = check_round_trip(
        [java, "-XX:+UseSerialGC", "-cp", f"{jar}:{tmp_path}", "Program"]
    )
    assert out.startswith(f"{2 * COUNT} TACHYON_ERR_ABI_MISMATCH ")
    assert REFUSAL in out
