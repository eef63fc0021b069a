# SPDX-License-Identifier: Apache-2.0
"""What the generated module has beside what its stub can say.

python.stubtest compares the two.
"""

import tachyon
from tachyon import Peer, RpcStats, Stats, _native


def test_plain_structs_have_the_fields_of_the_named_tuples() -> None:
    for struct, fields in (
        (_native.Peer, Peer._fields),
        (_native.Stats, Stats._fields),
        (_native.RpcStats, RpcStats._fields),
    ):
        assert {n for n in vars(struct) if not n.startswith("_")} == set(fields)


def test_raw_handles_are_not_exposed() -> None:
    assert not [name for name in vars(_native) if name.startswith("tachyon_")]


def test_version_is_that_of_the_header() -> None:
    assert tachyon.__version__ == ".".join(
        str(getattr(_native, f"TACHYON_VERSION_{part}"))
        for part in ("MAJOR", "MINOR", "PATCH")
    )


def test_nothing_leads_to_a_struct_past_its_type() -> None:
    types = [t for t in vars(_native).values() if type(t) is type(_native.TachyonBus)]
    assert len(types) > 10
    for cls in types:
        assert not {"this", "thisown"} & set(dir(cls)), cls
