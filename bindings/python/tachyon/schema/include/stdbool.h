/* SPDX-License-Identifier: Apache-2.0 */
#ifndef TACHYON_SCHEMA_STDBOOL_H
#define TACHYON_SCHEMA_STDBOOL_H
#define bool _Bool
#define true 1
#define false 0
#endif
