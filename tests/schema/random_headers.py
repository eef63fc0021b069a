# SPDX-License-Identifier: Apache-2.0
"""Headers with structs of all kinds, by a seed."""

import random

SCALARS = [
    *(f"{sign}int{bits}_t" for sign in ("", "u") for bits in (8, 16, 32, 64)),
    *("float", "double", "bool", "char", "signed char", "long", "unsigned short"),
]
PACKING = [
    ("", "", ""),
    ("", "", ""),
    ("#pragma pack(push, 1)\n", "", "#pragma pack(pop)\n"),
    ("#pragma pack(push, 2)\n", "", "#pragma pack(pop)\n"),
    ("#pragma pack(push, 4)\n", "", "#pragma pack(pop)\n"),
    ("", " __attribute__((packed))", ""),
    ("", " __attribute__((packed, aligned(4)))", ""),
    ("", " __attribute__((aligned(32)))", ""),
]


def header(seed: int) -> tuple[str, list[str]]:
    """Return the text of a header, and the names of its structs."""
    rng = random.Random(seed)
    text = "#include <stdbool.h>\n#include <stdint.h>\n"
    types, names = list(SCALARS), []
    for i in range(rng.randint(0, 2)):
        values = ", ".join(
            f"E{seed}_{i}_{n} = {value}"
            for n, value in enumerate(rng.sample([0, 1, 2, 9, -1, 70000, 1 << 31], 3))
        )
        packed = rng.choice(["", "", " __attribute__((packed))"])
        text += f"enum{packed} Enum{seed}_{i} {{ {values} }};\n"
        types.append(f"enum Enum{seed}_{i}")
    for i in range(rng.randint(1, 4)):
        name = f"S{seed}_{i}"
        before, attribute, after = rng.choice(PACKING)
        text += f"{before}typedef struct {{\n{body(rng, types)}}}{attribute} {name};\n"
        text += after
        names.append(name)
        types += [name] * 3
    return text, names


def body(rng: random.Random, types: list[str]) -> str:
    """Return the fields of a struct."""
    text = ""
    for i in range(rng.randint(1, 12)):
        dimensions = "".join(
            f"[{rng.randint(1, 4)}]" for _ in range(rng.randint(-2, 2))
        )
        aligned = " __attribute__((aligned(16)))" if rng.random() < 0.04 else ""
        text += f"    {rng.choice(types)} f{i}{dimensions}{aligned};\n"
    scalars = rng.sample(SCALARS, 4)
    for chance, field in (
        (0.2, f"union {{ {scalars[0]} ua; {scalars[0]} ub; }};"),
        (0.2, f"struct {{ {scalars[1]} sa; struct {{ {scalars[2]} sb; }}; }};"),
        (0.2, f"struct {{ {scalars[2]} ia; {scalars[3]} ib[2]; }} inner[2];"),
        (0.1, f"struct {{ struct {{ {scalars[3]} da; }} deep; }} outer;"),
    ):
        if rng.random() < chance:
            text += f"    {field}\n"
    return text
