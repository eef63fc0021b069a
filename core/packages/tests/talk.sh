# SPDX-License-Identifier: Apache-2.0
# Sourced by the tests of packages. talk <extension> <interpreter>...: two samples of the
# language, copied to here, talk to each other.
talk() {
    extension=$1
    shift
    path=@tachyon-package-$$
    "$@" "recv.$extension" "$path" >received &
    receiver=$!
    "$@" "send.$extension" "$path" 3 >sent || { kill $receiver; exit 1; }
    wait $receiver
    cat received sent
    [ "$(tail -1 received)" = "received 3" ]
    [ "$(cat sent)" = "sent 3" ]
}
