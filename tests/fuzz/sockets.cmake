# SPDX-License-Identifier: Apache-2.0
# TACHYON_FUZZ_WRAPS: the linker's options that put sockets.c in front of libc.
file(READ "${CMAKE_CURRENT_LIST_DIR}/sockets.h" text)
string(REGEX MATCHALL "X\\([a-z0-9_ *]+, [a-z0-9_]+," TACHYON_FUZZ_WRAPS "${text}")
list(TRANSFORM TACHYON_FUZZ_WRAPS REPLACE ".* ([a-z0-9_]+),$" "-Wl,--wrap=\\1")
list(REMOVE_ITEM TACHYON_FUZZ_WRAPS "-Wl,--wrap=name")
