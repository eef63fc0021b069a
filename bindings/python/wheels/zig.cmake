# SPDX-License-Identifier: Apache-2.0
# A toolchain file: zig, which comes from PyPI with the C libraries that a wheel is for.
# Needs TACHYON_ZIG, the program, and TACHYON_ZIG_TARGET, such as
# x86_64-linux-gnu.2.17 or aarch64-linux-musl.
list(APPEND CMAKE_TRY_COMPILE_PLATFORM_VARIABLES TACHYON_ZIG TACHYON_ZIG_TARGET)
string(REGEX MATCH "^[^-]+" CMAKE_SYSTEM_PROCESSOR "${TACHYON_ZIG_TARGET}")
set(CMAKE_SYSTEM_NAME Linux)
set(CMAKE_C_COMPILER "${TACHYON_ZIG}" cc -target "${TACHYON_ZIG_TARGET}")

# Its archiver is a word behind the program's name, which CMAKE_AR has no room for; and
# the system's tools may know the system's machine alone.
set(CMAKE_C_ARCHIVE_CREATE "\"${TACHYON_ZIG}\" ar qc <TARGET> <LINK_FLAGS> <OBJECTS>")
set(CMAKE_C_ARCHIVE_APPEND "\"${TACHYON_ZIG}\" ar q <TARGET> <LINK_FLAGS> <OBJECTS>")
set(CMAKE_C_ARCHIVE_FINISH "\"${TACHYON_ZIG}\" ranlib <TARGET>")

# Nobody debugs with the symbols of a wheel.
set(CMAKE_SHARED_LINKER_FLAGS_INIT -s)
set(CMAKE_MODULE_LINKER_FLAGS_INIT -s)

# zig's musl is libc.so by name; Alpine's, and so what auditwheel knows, is this. To the
# loader, which is the library, they are one.
if(TACHYON_ZIG_TARGET MATCHES "musl")
    set(CMAKE_C_CREATE_SHARED_MODULE
        "<CMAKE_C_COMPILER> <CMAKE_SHARED_LIBRARY_C_FLAGS> <LANGUAGE_COMPILE_FLAGS> <LINK_FLAGS> -shared -o <TARGET> <OBJECTS> <LINK_LIBRARIES>"
        "patchelf --replace-needed libc.so libc.musl-${CMAKE_SYSTEM_PROCESSOR}.so.1 <TARGET>")
endif()
