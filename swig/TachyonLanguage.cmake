# SPDX-License-Identifier: Apache-2.0
# What the languages under bindings/ have in common: one call generates and builds the
# module, one says why there is none, and the end of configure shows a table of both.

# tachyon_add_language(<lang> SWIG <language and options>... [INTERFACE <file.i>] [CXX]
#                      [SOURCES <file>...] [INCLUDES <dir>...] [LIBRARIES <lib>...]
#                      [OUTPUT_DIRECTORY <dir>] [OUTPUT_NAME <name>] [PREFIX <prefix>]
#                      [SUFFIX <suffix>] [PRODUCT <words>])
# The module tachyon_<lang> from <lang>.i, the facade and the core, which export nothing
# but what the language loads. SWIG's other files go to <build>/bindings/<lang>/swig, also
# in the variable TACHYON_GENERATED; the wrapper is TACHYON_WRAPPER. The module lands in
# <build>/bindings/<lang>.
function(tachyon_add_language language)
    cmake_parse_arguments(PARSE_ARGV 1 arg "CXX"
        "INTERFACE;OUTPUT_DIRECTORY;OUTPUT_NAME;PREFIX;SUFFIX;PRODUCT"
        "SWIG;SOURCES;INCLUDES;LIBRARIES")
    set(target tachyon_${language})
    set(generated "${CMAKE_CURRENT_BINARY_DIR}/swig")
    set(wrapper "${generated}/${language}_wrap.c")
    set(interface "${CMAKE_CURRENT_SOURCE_DIR}/${language}.i")
    if(arg_CXX)
        string(APPEND wrapper "xx")
        list(APPEND arg_SWIG -c++)
    endif()
    if(arg_INTERFACE)
        set(interface "${arg_INTERFACE}")
    endif()
    if(NOT arg_OUTPUT_DIRECTORY)
        set(arg_OUTPUT_DIRECTORY "${CMAKE_CURRENT_BINARY_DIR}")
    endif()
    if(NOT arg_OUTPUT_NAME)
        set(arg_OUTPUT_NAME tachyon)
    endif()
    if(NOT DEFINED arg_SUFFIX)
        set(arg_SUFFIX .so)
    endif()
    file(MAKE_DIRECTORY "${generated}")
    list(POP_FRONT arg_SWIG swig_language)
    add_custom_command(OUTPUT "${wrapper}"
        COMMAND "${SWIG_EXECUTABLE}" -${swig_language} ${arg_SWIG} -Wall -Werror
                "-I${CMAKE_CURRENT_SOURCE_DIR}" "-I${PROJECT_SOURCE_DIR}/swig"
                "-I${PROJECT_SOURCE_DIR}/core/include"
                -MMD -MF "${wrapper}.d" -outdir "${generated}" -o "${wrapper}"
                "${interface}"
        DEPENDS "${interface}"
        DEPFILE "${wrapper}.d"
        COMMENT "SWIG: ${language}"
        VERBATIM)
    add_library(${target} MODULE "${wrapper}" ${arg_SOURCES})
    # What SWIG writes is not held to our warnings.
    set_source_files_properties("${wrapper}" PROPERTIES COMPILE_OPTIONS -w)
    set_target_properties(${target} PROPERTIES
        C_VISIBILITY_PRESET hidden CXX_VISIBILITY_PRESET hidden
        PREFIX "${arg_PREFIX}" OUTPUT_NAME "${arg_OUTPUT_NAME}" SUFFIX "${arg_SUFFIX}"
        LIBRARY_OUTPUT_DIRECTORY "${arg_OUTPUT_DIRECTORY}")
    target_include_directories(${target} SYSTEM PRIVATE ${arg_INCLUDES})
    target_include_directories(${target} PRIVATE "${CMAKE_CURRENT_SOURCE_DIR}")
    target_link_libraries(${target} PRIVATE tachyon_facade ${arg_LIBRARIES})
    # Two modules in one process must not share one core.
    target_link_options(${target} PRIVATE -Wl,--exclude-libs,ALL)
    if(NOT arg_PRODUCT)
        set(arg_PRODUCT "built")
    endif()
    tachyon_note_language(${language} "${arg_PRODUCT}")
    set_property(GLOBAL APPEND PROPERTY tachyon_modules ${language})
    set(TACHYON_GENERATED "${generated}" PARENT_SCOPE)
    set(TACHYON_WRAPPER "${wrapper}" PARENT_SCOPE)
endfunction()

# A row of the table.
function(tachyon_note_language language text)
    set_property(GLOBAL APPEND PROPERTY tachyon_languages "${language}: ${text}")
endfunction()

# tachyon_skip_language(<lang> <what is missing> [<how to get it>])
# A row that says so, and a test that is listed as skipped.
function(tachyon_skip_language language missing)
    set(reason "not built, ${missing} is missing")
    if(ARGC GREATER 2)
        string(APPEND reason " (${ARGV2})")
    endif()
    tachyon_note_language(${language} "${reason}")
    if(TACHYON_TESTS)
        tachyon_skip_test(${language} "${reason}")
        tachyon_skip_peer(${language} "${missing}")
    endif()
endfunction()

# tachyon_require_cxx(<lang>)
# C++ from here on; without a compiler the file ends with a row that says so.
macro(tachyon_require_cxx language)
    include(CheckLanguage)
    check_language(CXX)
    if(NOT CMAKE_CXX_COMPILER)
        tachyon_skip_language(${language} "a C++ compiler" "apt-get install g++")
        return() # from the file: this is a macro
    endif()
    enable_language(CXX)
endmacro()

# At the end of configure.
function(tachyon_print_languages)
    get_property(rows GLOBAL PROPERTY tachyon_languages)
    message(STATUS "Languages beside C:")
    foreach(row IN LISTS rows)
        message(STATUS "  ${row}")
    endforeach()
endfunction()

# tachyon_add_script_language(<lang> <extension> <interpreter> [FLAGS <flag>...]
#                             [WITHOUT <word>...] [ENVIRONMENT VAR=value...])
# The peer, the samples and the tests of a language whose programs are scripts: each
# tests/test_<subject>.<extension> is the test <lang>.<subject>.
function(tachyon_add_script_language language extension interpreter)
    cmake_parse_arguments(PARSE_ARGV 3 arg "" "" "FLAGS;WITHOUT;ENVIRONMENT")
    set(run "${interpreter}" ${arg_FLAGS})
    set(here "${CMAKE_CURRENT_SOURCE_DIR}")
    set(programs "")
    foreach(sample send recv rpc_server rpc_client)
        string(TOUPPER ${sample} keyword)
        list(APPEND programs ${keyword} ${run} "${here}/samples/${sample}.${extension}")
    endforeach()
    tachyon_add_peer(${language} COMMAND ${run} "${here}/tests/peer.${extension}"
        ${programs} WITHOUT in_place ${arg_WITHOUT}
        ENVIRONMENT ${arg_ENVIRONMENT} DEPENDS tachyon_${language})
    file(GLOB tests CONFIGURE_DEPENDS "${here}/tests/test_*.${extension}")
    foreach(test IN LISTS tests)
        cmake_path(GET test STEM name)
        string(REPLACE "test_" "${language}." name "${name}")
        tachyon_add_test(${name} COMMAND ${run} "${test}" ENVIRONMENT ${arg_ENVIRONMENT})
    endforeach()
endfunction()
