/* SPDX-License-Identifier: MIT
 * Base64 (RFC 4648, with padding): how bytes look in formats that have only text. */
#ifndef TR_CODEC_BASE64_H
#define TR_CODEC_BASE64_H

#include "base/buf.h"

/* Append; a failed growth is in out->failed. */
void tr_base64_write(tr_buf *out, tr_slice bytes);
/* Append what the text stands for. err: TR_EINVALID (not base64: wrong character, length or padding), TR_EMEMORY. */
int tr_base64_read(tr_buf *out, tr_slice text);

#endif
