/* SPDX-License-Identifier: MIT
 * What the system says, as errors. */
#ifndef TR_STORE_SYSTEM_H
#define TR_STORE_SYSTEM_H

#include "base/error.h"

/* TR_EIO "DOING PATH: the system's words". `number` is an errno. */
int tr_system_error(tr_error *error, int number, const char *doing, const char *path);
/* The path as error texts show it: of a very long one the end, so that the reason still has room. */
const char *tr_system_path(const char *path);

#endif
