#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
# gem install, into a folder of its own, and no other.
set -eu
. "$TALK"
gem=$PACKAGES/tachyon-$VERSION.gem
"$GEM" install --local --no-document --install-dir "$PWD/gems" "$gem"
export GEM_HOME="$PWD/gems" GEM_PATH="$PWD/gems"
said=$("$RUBY" -e 'require "tachyon"; print Gem.loaded_specs["tachyon"].version, " ", Tachyon.version')
[ "$said" = "$VERSION $VERSION" ] || { echo "it says it is $said"; exit 1; }
cp "$SOURCE"/bindings/ruby/samples/*.rb .
talk rb "$RUBY"
# A machine that it is not for.
for platform in 'RUBY_PLATFORM = "x86_64-darwin"' 'RbConfig::SIZEOF = {"void*" => 4}'; do
    if "$RUBY" -W0 -rmkmf -rrbconfig/sizeof -e "$platform; load ARGV[0]" \
        gems/gems/tachyon-"$VERSION"/ext/tachyon/extconf.rb >log 2>said; then
        echo "$platform is not refused"
        exit 1
    fi
    grep -q "^Tachyon needs a 64-bit Linux: " said
done
