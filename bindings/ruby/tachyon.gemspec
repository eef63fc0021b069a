# SPDX-License-Identifier: Apache-2.0
# A gem of the built module for one platform: `gem build bindings/ruby/tachyon.gemspec` at
# the top of the source tree after `cmake --build build --target tachyon_ruby`. Tried so
# far; not published.
Gem::Specification.new do |spec|
  spec.name = "tachyon"
  spec.version = "1.0.0"
  spec.summary = "Same-machine messaging through shared memory"
  spec.authors = ["The Tachyon authors"]
  spec.license = "Apache-2.0"
  spec.required_ruby_version = ">= 3.0"
  spec.platform = Gem::Platform::CURRENT
  spec.files = ["build/bindings/ruby/tachyon.so", "bindings/ruby/README.md"]
  spec.require_paths = ["build/bindings/ruby"]
end
