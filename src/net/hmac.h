/* SPDX-License-Identifier: MIT
 * HMAC-SHA256, as webhooks are signed by. */
#ifndef TR_NET_HMAC_H
#define TR_NET_HMAC_H

#include <stdbool.h>

#include "base/slice.h"

/* Is `hex` ("sha256=" before it or not, in small or large letters) that of these bytes by this key? In the same time whatever it is. */
bool tr_hmac_check(tr_slice key, tr_slice bytes, tr_slice hex);

#endif
