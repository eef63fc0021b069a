# SPDX-License-Identifier: Apache-2.0
# Typed messages from a C header; docs/TYPED_MESSAGES.md says what a header may hold.

# tachyon_add_messages(<target> HEADER <file.h> TYPES <NAME=ID>...
#                      [LANGUAGES C PYTHON RUST GO JAVA]
#                      [INCLUDE_DIRECTORIES <dir>...] [INCLUDES <header>...]
#                      [OUTPUT_DIRECTORY <dir>] [PACKAGE <name>])
# Writes the files of the languages at build time, only C's if none is named, into
# <dir>, else <build>/<target>. <target> is an interface library: who links with it
# includes <file>.types.h. INCLUDES come before the header, as with -include.
# PACKAGE is that of Java's files, its last part that of Go's.
#
# Where files lie beside the header too, to be committed, the test <target>.up_to_date
# compares them; with TACHYON_UPDATE=1 in the environment it rewrites them. They also
# stand in where there is no generator.
#
# The generator is that of TACHYON_SCHEMA_PYTHON, an interpreter with
# tachyon-ipc[schema]; else of the first python3 that has it.
function(tachyon_add_messages target)
    cmake_parse_arguments(PARSE_ARGV 1 arg "" "HEADER;OUTPUT_DIRECTORY;PACKAGE"
                          "TYPES;LANGUAGES;INCLUDE_DIRECTORIES;INCLUDES")
    if(NOT arg_HEADER OR NOT arg_TYPES OR arg_UNPARSED_ARGUMENTS)
        message(FATAL_ERROR " tachyon_add_messages(${target}): give HEADER and TYPES"
                            " NAME=ID; what is \"${arg_UNPARSED_ARGUMENTS}\"?")
    endif()
    if(NOT arg_LANGUAGES)
        set(arg_LANGUAGES C)
    endif()
    if(NOT arg_OUTPUT_DIRECTORY)
        set(arg_OUTPUT_DIRECTORY "${CMAKE_CURRENT_BINARY_DIR}/${target}")
    endif()
    cmake_path(ABSOLUTE_PATH arg_HEADER NORMALIZE OUTPUT_VARIABLE header)
    cmake_path(GET header PARENT_PATH directory)
    cmake_path(GET header STEM LAST_ONLY stem)
    string(REGEX REPLACE "[^A-Za-z0-9_]" "_" stem "${stem}")

    set(file_C "${stem}.types.h")
    set(file_PYTHON "${stem}.py")
    set(file_RUST "${stem}.rs")
    set(file_GO "${stem}.go")
    string(REGEX REPLACE "[=;].*" ".java" file_JAVA "${arg_TYPES}") # one of several
    set(arguments --types ${arg_TYPES})
    foreach(path IN LISTS arg_INCLUDE_DIRECTORIES)
        list(APPEND arguments -I "${path}")
    endforeach()
    foreach(include IN LISTS arg_INCLUDES)
        list(APPEND arguments -include "${include}")
    endforeach()
    if(arg_PACKAGE)
        list(APPEND arguments --package "${arg_PACKAGE}")
    endif()
    set(files "")
    set(switches "")
    set(committed "")
    foreach(language IN LISTS arg_LANGUAGES)
        if(NOT DEFINED file_${language})
            message(FATAL_ERROR " tachyon_add_messages(${target}): LANGUAGES are C,"
                                " PYTHON, RUST, GO and JAVA, not \"${language}\"")
        endif()
        string(TOLOWER "--${language}" switch)
        list(APPEND switches ${switch})
        list(APPEND files "${arg_OUTPUT_DIRECTORY}/${file_${language}}")
        if(EXISTS "${directory}/${file_${language}}")
            list(APPEND committed ${switch})
        endif()
    endforeach()

    add_library(${target} INTERFACE)
    target_include_directories(${target} INTERFACE "${directory}"
        "$<TARGET_PROPERTY:tachyon::tachyon,INTERFACE_INCLUDE_DIRECTORIES>")
    tachyon_find_schema(command dependencies)
    if(NOT command)
        if(NOT committed STREQUAL switches)
            message(FATAL_ERROR " tachyon_add_messages(${target}) needs an interpreter with"
                " tachyon-ipc[schema]: pip install 'tachyon-ipc[schema]', and pass"
                " -DTACHYON_SCHEMA_PYTHON=<python> if it is not python3")
        endif()
        return()
    endif()
    # A file whose text stays the same is not written, so that nothing is built anew.
    set(stamp "${CMAKE_CURRENT_BINARY_DIR}/${target}.stamp")
    add_custom_command(OUTPUT "${stamp}"
        COMMAND ${command} "${header}" ${arguments} ${switches}
                --output "${arg_OUTPUT_DIRECTORY}" --depfile "${stamp}.d"
        COMMAND "${CMAKE_COMMAND}" -E touch "${stamp}"
        BYPRODUCTS ${files}
        DEPENDS "${header}" ${dependencies}
        DEPFILE "${stamp}.d"
        COMMENT "Writing the messages of ${arg_HEADER}"
        VERBATIM)
    add_custom_target(${target}_files ALL DEPENDS "${stamp}")
    add_dependencies(${target} ${target}_files)
    target_include_directories(${target} BEFORE INTERFACE "${arg_OUTPUT_DIRECTORY}")
    if(committed)
        add_test(NAME ${target}.up_to_date
                 COMMAND ${command} "${header}" ${arguments} ${committed} --check)
    endif()
endfunction()

# Sets the command line of the generator, "" if there is none, and what it depends on.
function(tachyon_find_schema command dependencies)
    set(${dependencies} "" PARENT_SCOPE)
    if(TARGET tachyon_python) # Tachyon's own build
        file(GLOB sources CONFIGURE_DEPENDS
             "${tachyon_SOURCE_DIR}/bindings/python/tachyon/schema/*.py")
        set(${dependencies} tachyon_python ${sources} PARENT_SCOPE)
        set(python "${CMAKE_COMMAND}" -E env ${TACHYON_PYTHON_TEST_ENV}
                   "${Python_EXECUTABLE}") # a sanitizer has a say in it
    else()
        if(NOT TACHYON_SCHEMA_PYTHON)
            find_program(TACHYON_SCHEMA_PYTHON NAMES python3 python
                         DOC "The interpreter with tachyon-ipc[schema]")
        endif()
        execute_process(
            COMMAND "${TACHYON_SCHEMA_PYTHON}" -c "import tachyon.schema.parser"
            RESULT_VARIABLE status OUTPUT_QUIET ERROR_QUIET)
        if(NOT status EQUAL 0)
            set(${command} "" PARENT_SCOPE)
            return()
        endif()
        set(python "${TACHYON_SCHEMA_PYTHON}")
    endif()
    set(${command} ${python} -m tachyon.schema PARENT_SCOPE)
endfunction()
