# SPDX-License-Identifier: Apache-2.0
# Can the fuzzers see? Each bug below is planted in a copy of the core, and the target
# that should find it must do so in time.
#
# cmake -DFUZZER= -DCOMPILER= -DROOT=<source tree> -DWORK=<directory> [-DONLY=<regex>]
#       [-DPATIENCE=60] [-DFLAGS=...] -P planted.cmake
cmake_minimum_required(VERSION 3.25)
include("${CMAKE_CURRENT_LIST_DIR}/fuzzer.cmake")
if(NOT PATIENCE)
    set(PATIENCE 60) # seconds
endif()
set(planted 0)
set(missed "")

# bug(<name> <target> <file> <text> <replacement>)
function(bug name target file text replacement)
    if(ONLY AND NOT name MATCHES "${ONLY}")
        return()
    endif()
    set(copy "${WORK}/${name}")
    file(REMOVE_RECURSE "${copy}")
    file(COPY "${ROOT}/core/src/" DESTINATION "${copy}")
    execute_process(COMMAND "${CMAKE_COMMAND}" "-DSOURCE=${copy}/${file}"
                            "-DOUTPUT=${copy}/${file}" "-DTEXT=${text}"
                            "-DREPLACEMENT=${replacement}"
                            -P "${ROOT}/tests/mutate.cmake"
                    COMMAND_ERROR_IS_FATAL ANY)
    fuzzer_build("${copy}/fuzz" ${target} "${copy}")
    fuzzer_run("${copy}/fuzz" ${PATIENCE})
    if(found)
        message("found  ${name} with ${target} in ${took} s: ${found}")
        math(EXPR planted "${planted} + 1")
    else()
        message("MISSED ${name}: ${target} found nothing in ${took} s")
        list(APPEND missed ${name})
    endif()
    set(planted ${planted} PARENT_SCOPE)
    set(missed "${missed}" PARENT_SCOPE)
endfunction()

# ---- The decoder ----
bug(inline_size_unchecked receive ring.h
    "if (size > (next_line ? RING_LENGTH_BITS : RING_INLINE_BYTES))" "if (false)")
bug(record_beyond_the_ring receive ring.h
    "if (ahead + bytes > c->capacity - RING_LINE)" "if (bytes > c->capacity)")
bug(length_off_by_one receive ring.h
    "uint64_t size = (word & RING_LENGTH_BITS) - 1;"
    "uint64_t size = (word & RING_LENGTH_BITS);")
bug(length_zero_is_a_record receive ring.h
    "uint64_t size = (word & RING_LENGTH_BITS) - 1;"
    "uint64_t size = (word & RING_LENGTH_BITS) - ((word & RING_LENGTH_BITS) != 0);")
# ---- Receiving ----
bug(corruption_forgotten receive bus.c
    "atomic_compare_exchange_strong(&bus->error, &none, (int)error);"
    "if (error != TACHYON_ERR_CORRUPT) atomic_compare_exchange_strong(&bus->error, &none, (int)error);")
bug(batch_without_bound receive consumer.c
    "ring_look_at(&bus->rx, ahead, &want.record) == RING_FOUND);"
    "ring_look_at(&(struct ring_consumer){.data = bus->rx.data, .mask = bus->rx.mask, .capacity = bus->rx.capacity, .tail = bus->rx.tail + ahead}, 0, &want.record) == RING_FOUND);")
bug(batch_commit_believes_the_views receive consumer.c
    "if (!match || bytes > bus->rx.handed ||" "if (false ||")
bug(array_takes_any_size receive consumer.c
    "want.record.size == item_size && want.record.type_id == *type_id"
    "want.record.type_id == *type_id")
bug(copy_larger_than_its_room receive consumer.c
    "if (unlikely(record->size > room))" "if (false)")
bug(stride_of_unlike_records receive consumer.c
    "views[i].actual_size != views[0].actual_size ||" "")
# ---- Sending ----
bug(tail_from_the_future send ring.h
    "if (tail - seen > published - seen || tail % RING_LINE != 0)"
    "if (tail % RING_LINE != 0)")
bug(tail_inside_a_line send ring.h
    "if (tail - seen > published - seen || tail % RING_LINE != 0)"
    "if (tail - seen > published - seen)")
bug(room_for_the_next_word_forgotten send ring.h
    "p->head + bytes + RING_LINE > p->limit" "p->head + bytes > p->limit")
bug(commit_larger_than_reserved send producer.c
    "if (unlikely(actual_size > bus->tx.reserved))" "if (false)")
bug(array_left_unflushed send producer.c
    "return ty_bus_flush(bus) == TACHYON_SUCCESS ? sent : flushed;" "return sent;")
bug(batch_larger_than_the_room send producer.c
    "room < max_count ? room : max_count" "max_count")
bug(batch_commits_more_than_it_has send producer.c
    "if (unlikely(count > bus->tx.batch_count))" "if (false)")
bug(wakes_without_end send ring.h
    "if (wanted == 0 || wanted == *woken ||" "if (wanted == 0 ||")
# ---- Calls ----
bug(copy_too_small rpc_replies calls.h
    "malloc(size > 0 ? size : 1)" "malloc(size / 2 + 1)")
bug(call_number_zero rpc_replies calls.h
    "return id != 0 && call->id == id ? call : NULL;"
    "return call->id == id ? call : NULL;")
bug(second_reply_replaces_the_first rpc_replies calls.h
    "if (!call || call_settled(call))" "if (!call)")
bug(settled_replies_miscounted rpc_replies calls.h
    "        calls->settled--;" "")
bug(any_reply_will_do rpc_replies rpc.c
    "!is_reply_to(rpc, &want.rx.record, id)" "false")
# ---- Handshake ----
bug(hello_overflows hello listener.c
    "sizeof client->hello - client->received, MSG_DONTWAIT"
    "sizeof client->hello, MSG_DONTWAIT")
bug(any_kind_greets hello handshake.c
    "if (theirs->kind != (uint32_t)kind)" "if (false)")
bug(any_byte_acknowledges hello listener.c
    "byte == WIRE_ACKNOWLEDGE" "true")
bug(memory_offered_twice hello listener.c
    "if (listener->clients[index].answered)\n        ty_handshake_free_regions(listener->regions);"
    "")
bug(seals_unchecked answer region.c
    "seals < 0 || (seals & SIZE_SEALS) != SIZE_SEALS" "seals < 0")
bug(size_unchecked answer region.c
    "(uint64_t)stat.st_size != expected" "false")
bug(too_many_descriptors answer connector.c
    "if (connector->fd_count != needed)" "if (connector->fd_count < needed)")
bug(descriptors_without_bound answer connector.c
    "if (connector->fd_count < CONNECTOR_MAX_FDS)" "if (true)")
bug(passed_descriptors_leak answer connector.c
    "while (connector->fd_count > 0)\n        ty_close(&connector->fds[--connector->fd_count]);"
    "")

if(missed)
    message(FATAL_ERROR "missed: ${missed}")
endif()
message("found ${planted} planted bugs")
