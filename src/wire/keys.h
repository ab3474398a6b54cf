/* SPDX-License-Identifier: MIT
 * The keys of metadata and attributes that mean something to the runtime; proto/troupe.proto describes them. */
#ifndef TR_WIRE_KEYS_H
#define TR_WIRE_KEYS_H

#include "core/message.h"

/* Of CloudEvents, as AutoGen uses them. */
#define TR_KEY_CONTENT_TYPE "datacontenttype"
#define TR_KEY_SCHEMA "dataschema"
#define TR_KEY_SENDER_TYPE "agagentsendertype"
#define TR_KEY_SENDER_KEY "agagentsenderkey"
#define TR_KEY_KIND "agmsgkind"

/* Ours. */
#define TR_KEY_PRIORITY "priority"
#define TR_KEY_OURS "troupe-" /* all others begin so */
#define TR_KEY_TIMEOUT "troupe-timeout"
#define TR_KEY_CHAIN "troupe-chain"
#define TR_KEY_ONEWAY "troupe-oneway"
#define TR_KEY_ID "troupe-id"
#define TR_KEY_AS "troupe-as"
#define TR_KEY_STREAM "troupe-stream"
#define TR_KEY_CODE "troupe-code"
#define TR_KEY_ORIGIN "troupe-origin"
#define TR_KEY_RESEND "troupe-resend"
#define TR_KEY_HOPS "troupe-hops"
#define TR_KEY_AGAIN "troupe-again"
#define TR_KEY_KEEP "troupe-keep"
#define TR_KEY_REFS "troupe-refs"
#define TR_KEY_KEPT "troupe-kept"
#define TR_KEY_UNRESOLVED "troupe-unresolved"
#define TR_KEY_NOT_FOR "troupe-not-for"
#define TR_KEY_ONLY_FOR "troupe-only-for"
#define TR_KEY_SIGNATURE "troupe-signature"

/* In a message's own metadata (tr_msg.meta), never on the wire: the content type of a body that is just bytes. */
#define TR_META_CONTENT_TYPE "content-type"

/* Keys that the runtime reads and writes itself, so that a message's own metadata cannot carry them. */
bool tr_wire_key_reserved(tr_slice key);

/* Take a key of ours from a received message into msg; false: it is none of ours. A value that makes no sense is
 * ignored. */
bool tr_wire_key_apply(tr_msg *msg, tr_slice key, tr_slice value);

uint8_t tr_wire_priority(tr_slice value); /* a tr_priority */

/* What goes out with a message beside its own metadata. */
typedef struct tr_wire_pairs {
  struct { tr_slice key, value; } pairs[16];
  size_t count;
  const tr_meta *meta;
  char stream[4], hops[4], timeout[24], chain[96], keep[24], token[40]; /* text of some of them */
} tr_wire_pairs;
void tr_wire_pairs_add(tr_wire_pairs *pairs, const char *key, tr_slice value);
void tr_wire_pairs_of(tr_wire_pairs *pairs, const tr_msg *msg);

/* seal.c: sign what is about to be encoded, where that is asked for; the text stays in `signature`. err: TR_EMEMORY. */
int tr_wire_sign(const tr_msg *msg, tr_slice content_type, tr_slice data, tr_wire_pairs *pairs, tr_buf *signature);

/* Content types and formats. */
tr_slice tr_wire_content_type(tr_format format, const tr_meta *meta); /* not of TR_FORMAT_OTHER */
/* false: an unknown one (TR_FORMAT_BYTES). Nothing at all is JSON. */
bool tr_wire_format(tr_slice content_type, tr_format *format);

#endif
