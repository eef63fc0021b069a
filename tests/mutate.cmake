# SPDX-License-Identifier: Apache-2.0
# Sources with a planted bug, to see that a test finds it.
#
# tachyon_mutate(<output> <file of the tree> <text> <replacement>) makes <output> in the
# binary directory, at build time. <text> must stand in the file exactly once: a bug that
# can no longer be planted fails the build of what uses it, and only that.
if(NOT CMAKE_SCRIPT_MODE_FILE)
    set(TACHYON_MUTATE_SCRIPT "${CMAKE_CURRENT_LIST_FILE}")

    function(tachyon_mutate output file text replacement)
        set(source "${PROJECT_SOURCE_DIR}/${file}")
        # Make has no newlines in its commands.
        string(REPLACE "\n" "\\n" text "${text}")
        string(REPLACE "\n" "\\n" replacement "${replacement}")
        add_custom_command(
            OUTPUT "${CMAKE_CURRENT_BINARY_DIR}/${output}"
            COMMAND "${CMAKE_COMMAND}" "-DSOURCE=${source}" "-DTEXT=${text}"
                "-DREPLACEMENT=${replacement}"
                "-DOUTPUT=${CMAKE_CURRENT_BINARY_DIR}/${output}"
                -P "${TACHYON_MUTATE_SCRIPT}"
            DEPENDS "${source}" "${TACHYON_MUTATE_SCRIPT}"
            VERBATIM)
    endfunction()
    return()
endif()

file(READ "${SOURCE}" before)
string(REPLACE "\\n" "\n" text "${TEXT}")
string(REPLACE "\\n" "\n" replacement "${REPLACEMENT}")
string(FIND "${before}" "${text}" first)
string(FIND "${before}" "${text}" last REVERSE)
if(first EQUAL -1 OR NOT first EQUAL last)
    message(FATAL_ERROR "${SOURCE}: the text to replace does not stand there once:\n${text}")
endif()
string(REPLACE "${text}" "${replacement}" after "${before}")
file(WRITE "${OUTPUT}" "${after}")
