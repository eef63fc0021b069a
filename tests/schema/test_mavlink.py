# SPDX-License-Identifier: Apache-2.0
"""All 210 messages of MAVLink's "common", from the C headers of its own generator.

pymavlink brings it, and is installed for this test into a directory of its own.
"""

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

from tachyon import schema
from tachyon.schema import SchemaError, Struct, describe, to_c, to_rust
from tachyon.schema.parser import Header

import mavlink
from mavlink import ALL, DEFINITION, found, messages
from test_layouts import check_dtype, compile_c, compile_rust, dtypes_of

REASON = r"[\w.]+\.h:\d+: \S+ (is|has|holds) .+; "
SECONDS = 2.0  # 0.7 of an idle machine
# What mavlink_types.h has besides: unions, pointers, a bit-field.
REFUSED = {
    *("mavlink_param_union_t", "mavlink_param_union_double_t", "mavlink_message_t"),
    *("mavlink_field_info_t", "mavlink_message_info_t", "mavlink_status_t"),
    "mavlink_signing_t",
}


@pytest.fixture(scope="module")
def common(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return the directory of the dialect's headers, beside mavlink_types.h."""
    try:
        return mavlink.generate(tmp_path_factory.mktemp("mavlink"))
    except OSError as error:
        # CTest takes 77 for skipped, where pytest's own status would be a pass.
        pytest.exit(f"skipped: {error}", returncode=77)


def test_the_layout_of_every_struct_that_fits(common: Path, tmp_path: Path) -> None:
    header = Header(common / ALL)
    structs: dict[int, Struct] = {}
    refused = set()
    for name in dict.fromkeys(match[1] for match in found(common, DEFINITION)):
        try:
            structs[len(structs) + 1] = header.struct(name)
        except SchemaError as error:
            if " is of kind enum; " not in str(error):
                assert re.match(REASON, str(error)), error
                refused.add(name)
    assert (len(structs), refused) == (213, REFUSED)

    everything = schema.Schema(ALL, header.checksum, structs)
    (text,) = to_c.write(everything).values()
    compile_c(tmp_path, text, f"-I{common}")
    (rust,) = to_rust.write(everything).values()
    compile_rust(tmp_path, {"mavlink": rust})
    dtypes = dtypes_of(describe(everything))
    for struct in structs.values():
        check_dtype(struct, dtypes)


def test_every_message_is_written_in_time(common: Path, tmp_path: Path) -> None:
    # Of a processor, the process included: the machine is not ours alone.
    types = [f"{name}={number}" for name, number in messages(common).items()]
    assert len(types) == 210
    command = [sys.executable, "-m", "tachyon.schema", str(common / ALL)]
    command += ["--types", *types, "--c", "--python", "--rust", "-o", str(tmp_path)]
    times = []
    for _ in range(3):
        before = os.times()
        subprocess.run(command, check=True)
        after = os.times()
        times.append(sum(after[2:4]) - sum(before[2:4]))
    print(f"{len(types)} messages of MAVLink: {min(times):.2f} s of a processor")
    assert {p.name for p in tmp_path.iterdir()} == {
        *("mavlink.types.h", "mavlink.py", "mavlink.rs"),
    }
    assert min(times) <= SECONDS, times
