/* SPDX-License-Identifier: MIT
 * Any bytes as an agent's id, a topic and an address. What is taken, written out again, is the same; what is refused is told
 * with a text. */
#include <stdio.h>
#include <stdlib.h>

#include "base/text.h"
#include "core/id.h"
#include "net/address.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void told(int err, const tr_error *error) {
  if (err && (err != error->code || !error->text[0] || !tr_utf8_valid(tr_slice_of(error->text)))) abort();
}

static void agent(tr_slice text) {
  tr_agent_id id = { { NULL, 0 }, { NULL, 0 } };
  tr_error error;
  tr_error_init(&error);
  int err = tr_agent_id_parse(text, TR_SLICE_LITERAL("default"), &id, &error);
  told(err, &error);
  if (err) return;
  if (!id.type.n || id.type.n > TR_ID_MAX || id.key.n > TR_ID_MAX) abort();
  if (!tr_utf8_valid(id.type) || !tr_utf8_valid(id.key) || memchr(id.type.p, '/', id.type.n)) abort();
}

static void topic(tr_slice text) {
  tr_topic_id id = { { NULL, 0 }, { NULL, 0 } };
  tr_error error;
  tr_error_init(&error);
  int err = tr_topic_id_parse(text, TR_SLICE_LITERAL("default"), &id, &error);
  told(err, &error);
  if (err) return;
  if (!id.type.n || id.type.n > TR_ID_MAX || id.source.n > TR_ID_MAX) abort();
  if (!tr_utf8_valid(id.type) || !tr_utf8_valid(id.source) || memchr(id.type.p, '/', id.type.n)) abort();
}

static void address(tr_slice text) {
  tr_address one, two;
  char written[TR_ADDRESS_MAX], again[TR_ADDRESS_MAX];
  struct sockaddr_storage numeric;
  tr_error error;
  tr_error_init(&error);
  int err = tr_address_parse(text, &one, &error);
  told(err, &error);
  if (err) return;
  tr_address_format(&one, written, sizeof written);
  if (tr_address_parse(tr_slice_of(written), &two, &error)) abort();
  tr_address_format(&two, again, sizeof again);
  if (strcmp(written, again) != 0 || one.port != two.port) abort();
  (void)tr_address_numeric(&one, &numeric);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
  char *copy = malloc(size ? size : 1); /* so that reading past its end is seen */
  if (!copy) return 0;
  if (size) memcpy(copy, data, size);
  tr_slice text = tr_slice_make(copy, size);
  agent(text);
  topic(text);
  if (size) address(text);
  free(copy);
  return 0;
}
