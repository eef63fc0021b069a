# SPDX-License-Identifier: Apache-2.0
# Sourced by the tests of packages, which have two programs of a language talk.
path=@tachyon-package-$$

# talk <extension> <interpreter>...: two samples of the language, copied to here.
talk() {
    extension=$1
    shift
    "$@" "recv.$extension" "$path" >received &
    receiver=$!
    "$@" "send.$extension" "$path" 3 >sent || { kill $receiver; exit 1; }
    wait $receiver
    cat received sent
    [ "$(tail -1 received)" = "received 3" ]
    [ "$(cat sent)" = "sent 3" ]
}

# pair <operation> <what it prints> <operation of who connects> <its keys> <what that prints>
#      <peer>...: two peers of tests/interop, which may be slow.
pair() {
    listens=$1 heard=$2 connects=$3 keys=$4 said=$5
    shift 5
    "$@" "$listens" "$path" end=listen $slowly >heard &
    listener=$!
    "$@" "$connects" "$path" $slowly $keys >said || { kill $listener; exit 1; }
    wait $listener
    printf "$heard\n" | diff - heard
    printf "$said\n" | diff - said
}
slowly="open=200 wait=200 capacity=65536 size=0,1,31,32,33,64,65,1000,4096,30000"

# converse <peer>...: a thousand messages of all sizes, calls, and an end in an error.
converse() {
    pair recv "received 1000\nerror 16" send "count=1000" "sent 1000" "$@"
    pair recv "received 1000\nerror 16" send "count=1000 how=in_place" "sent 1000" "$@"
    pair serve "served 100\nerror 16" call "count=100" "answered 100\ncancelled 0" "$@"
    pair recv "received 10\nerror 23" send "count=10 finish=abort" "sent 10" "$@"
}
