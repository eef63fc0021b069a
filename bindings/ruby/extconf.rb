# SPDX-License-Identifier: Apache-2.0
require "mkmf"
require "rbconfig/sizeof"

unless RUBY_PLATFORM.include?("linux") && RbConfig::SIZEOF["void*"] == 8
  abort "Tachyon needs a 64-bit Linux: it cannot be built for #{RUBY_PLATFORM}"
end
abort "Tachyon needs Ruby 3.0 or later: this is #{RUBY_VERSION}" if RUBY_VERSION < "3"
# What SWIG writes is not held to anybody's warnings. The names of the library are its
# own, also where another module in the process has the same.
$CFLAGS << " -w -fvisibility=hidden"
$DLDFLAGS << " -Wl,-Bsymbolic"
have_library("m")
create_makefile("tachyon")
