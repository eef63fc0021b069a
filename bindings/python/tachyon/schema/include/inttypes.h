/* SPDX-License-Identifier: Apache-2.0 */
#ifndef TACHYON_SCHEMA_INTTYPES_H
#define TACHYON_SCHEMA_INTTYPES_H
#include <stdint.h>
#if __has_include_next(<inttypes.h>)
#include_next <inttypes.h>
#endif
#endif
