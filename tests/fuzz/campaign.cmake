# SPDX-License-Identifier: Apache-2.0
# Let a fuzzer loose on every target for some seconds; then on one with a planted bug.
#
# cmake -DFUZZER=afl -DCOMPILER=afl-clang-fast -DROOT=<source tree> -DWORK=<directory>
#       [-DSECONDS=3] -P campaign.cmake
cmake_minimum_required(VERSION 3.25)
include("${CMAKE_CURRENT_LIST_DIR}/fuzzer.cmake")
if(NOT SECONDS)
    set(SECONDS 3)
endif()
foreach(target answer hello receive rpc_replies send types)
    set(program "${WORK}/fuzz_${target}")
    fuzzer_build("${program}" ${target} "${ROOT}/core/src")
    fuzzer_run("${program}" ${SECONDS})
    if(found)
        message(FATAL_ERROR "${target}, after ${inputs} inputs: ${found}")
    elseif(inputs LESS 1000)
        message(FATAL_ERROR "${target}: only ${inputs} inputs in ${took} s")
    endif()
    message("${inputs} inputs for ${target} in ${took} s")
endforeach()
set(ONLY "^(record_beyond|any_kind)")
include("${CMAKE_CURRENT_LIST_DIR}/planted.cmake")
