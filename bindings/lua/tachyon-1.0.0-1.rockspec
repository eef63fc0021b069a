-- SPDX-License-Identifier: Apache-2.0
-- Not tried with luarocks: `luarocks make bindings/lua/tachyon-1.0.0-1.rockspec` at the top
-- of the source tree, which needs CMake and what it builds with.
rockspec_format = "3.0"
package = "tachyon"
version = "1.0.0-1"
source = { url = "git+file://." }
description = {
  summary = "Same-machine messaging through shared memory",
  license = "Apache-2.0",
}
dependencies = { "lua >= 5.3" }
build = {
  type = "command",
  build_command = "cmake -B build -DTACHYON_RUST=OFF -DTACHYON_TESTS=OFF"
    .. " -DTACHYON_LANGUAGES=lua && cmake --build build --target tachyon_lua",
  install_command = "cp build/bindings/lua/tachyon.so $(LIBDIR)",
}
