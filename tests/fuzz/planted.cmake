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
    file(COPY "${ROOT}/core/src/" "${ROOT}/core/include/" DESTINATION "${copy}")
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
bug(held_not_looked_behind receive consumer.c
    "want->look = ring_look_at(rx, rx->handed, &want->record);"
    "want->look = ring_look_at(rx, 0, &want->record);")
bug(held_without_bound receive consumer.c
    "return bus->rx.handed > bus->rx.capacity / 2;" "return false;")
bug(corrupt_behind_what_is_held_goes_on receive consumer.c
    "fail_behind(want->bus, TACHYON_ERR_CORRUPT);" "")
# ---- Frames ----
bug(frame_negative_extent frame tachyon_frame.h "if (frame->shape[i] < 0)" "if (false)")
bug(frame_shape_overflows frame tachyon_frame.h
    "if (extent > 0 && items > most / extent)" "if (false)")
bug(frame_overflow_of_items_only frame tachyon_frame.h
    "INT64_MAX) / (frame->bits / 8u);" "INT64_MAX);")
bug(frame_empty_overflows frame tachyon_frame.h
    "if (extent > 0 && items > most / extent)"
    "if (none == 0 && extent > 0 && items > most / extent)")
bug(frame_ndim_unchecked frame tachyon_frame.h
    "if (frame->ndim > TACHYON_FRAME_MAX_NDIM)" "if (false)")
bug(frame_rest_unchecked frame tachyon_frame.h "if (frame->shape[i] != 0)" "if (false)")
bug(frame_size_unchecked frame tachyon_frame.h
    "bytes != size - TACHYON_FRAME_HEADER_BYTES)" "bytes > size)")
bug(frame_short_message frame tachyon_frame.h
    "if (size < TACHYON_FRAME_HEADER_BYTES)" "if (size < 16)")
bug(frame_bits_unchecked frame tachyon_frame.h
    "if (frame->bits == 0 || frame->bits % 8 != 0 || frame->bits > 128)"
    "if (frame->bits == 0)")
bug(frame_bits_zero frame tachyon_frame.h
    "if (frame->bits == 0 || frame->bits % 8 != 0" "if (frame->bits % 8 != 0")
bug(frame_unknown_flags frame tachyon_frame.h
    "if (frame->flags > TACHYON_FRAME_COLUMN_MAJOR)" "if (false)")
bug(frame_fill_reads_a_shape_too_long frame tachyon_frame.h
    "i < ndim && i < TACHYON_FRAME_MAX_NDIM; i++)\n        frame->shape[i] = shape[i];"
    "i < ndim; i++)\n        frame->shape[i] = shape[i];")
# ---- Descriptions ----
bug(one_name_with_two_meanings types types.c
    "if (again && !same(&block[-1], block))" "if (false)")
bug(one_type_id_of_two_messages types types.c
    "if (block->seen && !equal(last->rest, block->rest))" "if (false)")
bug(a_message_merged_twice types types.c
    "block->seen = last && equal(last->key, block->message);" "block->seen = false;")
bug(type_ids_ordered_as_texts types types.c
    "if (a->message.length != b->message.length)" "if (false)")
bug(blocks_of_no_message_kept types types.c "kept = first;" "")
bug(blocks_compared_as_they_stand types types.c
    "if (there.length == 0 || by_key(&block, &other) != 0)" "if (there.length == 0)")
bug(blocks_compared_are_forgotten types types.c "blocks[i].seen = true;" "")
bug(messages_of_the_peer_alone_fit types types.c
    "return refuse_messages(there);" "return TACHYON_SUCCESS;")
bug(offer_before_the_types_are_compared hello listener.c
    "} else if (!client->agreed &&" "} else if (false &&")
bug(types_that_differ_are_agreed hello handshake.c
    "return ty_types_compare(options->types" "return TACHYON_SUCCESS; (void)(options->types")
bug(fingerprint_unchecked hello handshake.c
    "!= greeting->schema)" "== 0)")
bug(second_hello_unchecked hello listener.c
    "return memcmp(again, &client->hello, sizeof *again) == 0" "return true")
bug(types_of_any_size hello handshake.c
    "if (theirs->types_size > TYPES_MAX_BYTES)" "if (false)")
bug(offer_without_the_types answer connector.c
    "if (!connector->agreed && ty_handshake_types_differ" "if (false && ty_handshake_types_differ")
bug(types_of_the_last_try_kept answer handshake.c
    "free(theirs->text);" "")
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
    "record->size == item_size && record->type_id == type_id"
    "record->type_id == type_id")
bug(copy_larger_than_its_room receive consumer.c
    "record.size - 1 < room && !bus_disturbed(bus)"
    "record.size > 0 && !bus_disturbed(bus)")
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
    "if (listener->clients[index].answered && !listener->clients[index].asked)\n        ty_handshake_free_regions(listener->regions);"
    "")
bug(memory_of_the_refused_stays hello listener.c
    "if (listener->host.offer) /* they were for this client */\n                    ty_handshake_free_regions(listener->regions);"
    "")
bug(seals_unchecked answer region.c
    "if (seals < 0 || (seals & needed) != needed)" "if (seals < 0)")
bug(data_that_others_write answer region.c
    "capacity, SIZE_SEALS | F_SEAL_FUTURE_WRITE)" "capacity, SIZE_SEALS)")
bug(size_unchecked answer region.c
    "(uint64_t)stat.st_size != expected" "false")
bug(too_many_descriptors answer connector.c
    "if (connector->fd_count != rings * each)" "if (connector->fd_count < rings * each)")
bug(let_in_by_any_byte answer connector.c
    "count == 1 && byte == WIRE_JOINED" "count == 1")
bug(descriptors_without_bound answer connector.c
    "if (connector->fd_count < CONNECTOR_MAX_FDS)" "if (true)")
bug(passed_descriptors_leak answer connector.c
    "while (connector->fd_count > 0)\n        ty_close(&connector->fds[--connector->fd_count]);"
    "")

if(missed)
    message(FATAL_ERROR "missed: ${missed}")
endif()
message("found ${planted} planted bugs")
