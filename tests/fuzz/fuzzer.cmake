# SPDX-License-Identifier: Apache-2.0
# Scripts build targets over a copy of the core, and run them, with any of three fuzzers.
# FUZZER: random, libfuzzer (COMPILER has it) or afl (COMPILER is AFL++'s).
# ROOT: the source tree. FLAGS: more of the compiler's.
include("${CMAKE_CURRENT_LIST_DIR}/sockets.cmake")
set(sanitizers address,undefined)
set(environment "ASAN_OPTIONS=abort_on_error=1:detect_leaks=1" "AFL_QUIET=1")

# AFL++'s compiler may lack the runtime of the sanitizers; guard pages and checks remain.
if(FUZZER STREQUAL "afl")
    file(WRITE "${WORK}/empty.c" "int main(void) { return 0; }\n")
    execute_process(COMMAND "${COMPILER}" -fsanitize=${sanitizers} "${WORK}/empty.c"
                            -o "${WORK}/empty"
                    RESULT_VARIABLE result OUTPUT_QUIET ERROR_QUIET)
    if(NOT result EQUAL 0)
        message("${COMPILER} has no sanitizers: going on without")
        set(sanitizers "")
    endif()
endif()

# fuzzer_build(<program> <target> <directory with the core's sources>)
function(fuzzer_build program target core)
    foreach(source ${target} fuzz sockets)
        list(APPEND sources "${ROOT}/tests/fuzz/${source}.c")
    endforeach()
    set(sanitize ${sanitizers})
    if(FUZZER STREQUAL "random")
        list(APPEND sources "${ROOT}/tests/fuzz/random.c")
    else()
        list(APPEND sanitize fuzzer)
    endif()
    list(JOIN sanitize "," sanitize)
    set(compile "${CMAKE_COMMAND}" -E env ${environment}
        "${COMPILER}" -std=gnu11 -O1 -g -w -pthread ${FLAGS} -fsanitize=${sanitize}
        -fno-sanitize-recover=all "-I${core}" "-I${ROOT}/core/include"
        "-I${ROOT}/tests/c" "-I${ROOT}/tests/fuzz")
    # The core is compiled once for all targets. One that includes a source of it defines
    # all that this source does, so that the linker takes nothing of that one from here.
    get_property(archive GLOBAL PROPERTY "archive of ${core}")
    if(NOT archive)
        string(MD5 name "${core}")
        set(objects "${WORK}/${name}")
        set(archive "${objects}/core.a")
        set_property(GLOBAL PROPERTY "archive of ${core}" "${archive}")
        file(GLOB core_sources "${core}/*.c")
        file(REMOVE_RECURSE "${objects}")
        file(MAKE_DIRECTORY "${objects}")
        execute_process(COMMAND ${compile} -c ${core_sources}
                        WORKING_DIRECTORY "${objects}" COMMAND_ERROR_IS_FATAL ANY)
        file(GLOB object_files "${objects}/*.o")
        execute_process(COMMAND ar rcs "${archive}" ${object_files}
                        COMMAND_ERROR_IS_FATAL ANY)
    endif()
    execute_process(COMMAND ${compile} ${TACHYON_FUZZ_WRAPS} ${sources} "${archive}"
                            -o "${program}"
                    COMMAND_ERROR_IS_FATAL ANY)
endfunction()

# fuzzer_run(<program> <seconds>): sets found (what it ended with, or empty), inputs (how
# many) and took (seconds). An AFL++ run leaves <program>.afl behind.
function(fuzzer_run program seconds)
    if(FUZZER STREQUAL "afl")
        file(REMOVE_RECURSE "${program}.afl")
        file(WRITE "${program}.afl/seeds/one" "0123456789abcdefghijklmnopqrstuvwxyz")
        set(command AFL_SKIP_CPUFREQ=1 AFL_I_DONT_CARE_ABOUT_MISSING_CRASHES=1
            AFL_NO_UI=1 AFL_TRY_AFFINITY=1 AFL_BENCH_UNTIL_CRASH=1
            "ASAN_OPTIONS=abort_on_error=1:detect_leaks=0:symbolize=0"
            afl-fuzz -i "${program}.afl/seeds" -o "${program}.afl" -V ${seconds}
            -t 2000 -m none -- "${program}")
    else()
        get_filename_component(directory "${program}" DIRECTORY)
        set(command "${program}" -max_total_time=${seconds})
        if(FUZZER STREQUAL "libfuzzer")
            list(APPEND command -max_len=512 -print_final_stats=1
                 "-artifact_prefix=${directory}/")
        endif()
    endif()
    string(TIMESTAMP begin "%s")
    execute_process(COMMAND "${CMAKE_COMMAND}" -E env ${environment} ${command}
                    RESULT_VARIABLE result OUTPUT_FILE "${program}.output"
                    ERROR_FILE "${program}.errors")
    string(TIMESTAMP end "%s")
    math(EXPR took "${end} - ${begin}")
    file(READ "${program}.output" output)
    file(READ "${program}.errors" errors)
    set(found "")
    set(inputs 0)
    if(FUZZER STREQUAL "afl")
        set(statistics "${program}.afl/default/fuzzer_stats")
        if(NOT EXISTS "${statistics}")
            message(FATAL_ERROR "afl-fuzz did not run ${program}:\n${output}${errors}")
        endif()
        file(READ "${statistics}" output)
        file(GLOB crashes "${program}.afl/default/crashes/id*"
             "${program}.afl/default/hangs/id*")
        set(result "0")
        if(crashes)
            list(GET crashes 0 crash)
            execute_process(COMMAND "${program}" "${crash}" RESULT_VARIABLE result
                            OUTPUT_QUIET ERROR_VARIABLE errors)
            set(found "${crash}")
        endif()
    elseif(NOT result STREQUAL "0")
        set(found "${result}")
    endif()
    if(output MATCHES "(execs_done *: |stat::number_of_executed_units: )([0-9]+)")
        set(inputs "${CMAKE_MATCH_2}")
    elseif(output MATCHES "([0-9]+) random inputs")
        set(inputs "${CMAKE_MATCH_1}")
    elseif(errors MATCHES "stat::number_of_executed_units: ([0-9]+)")
        set(inputs "${CMAKE_MATCH_1}")
    endif()
    if(found AND errors MATCHES "([^\n]*(ERROR: |runtime error|\\.[ch]:[0-9]+: )[^\n]*)")
        set(found "${CMAKE_MATCH_1}")
    endif()
    foreach(name found inputs took)
        set(${name} "${${name}}" PARENT_SCOPE)
    endforeach()
endfunction()
