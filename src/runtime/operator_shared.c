/* SPDX-License-Identifier: MIT
 * A part of "ps": who has which ids of the types that several workers share, where this is a host. */
#include "codec/json.h"
#include "runtime/operator.h"

#define KEYS_SHOWN 100 /* of one worker's ids of one type */

typedef struct list { tr_buf *out; const char *comma; } list;

static void put_key(void *ud, tr_slice key) {
  list *self = ud;
  tr_json_writer writer;
  tr_error error;
  tr_error_init(&error);
  tr_buf_text(self->out, self->comma);
  tr_json_writer_init(&writer, self->out, &error);
  tr_sink sink = tr_json_sink(&writer);
  if (sink.string(sink.ud, key)) tr_buf_text(self->out, "\"\"");
  self->comma = ",";
}

static void put_shared(void *ud, const tr_host_shared *shared) {
  list *self = ud;
  tr_buf_text(self->out, self->comma);
  tr_question_put(self->out, "{\"type\":", shared->type);
  tr_question_put(self->out, ",\"worker\":", shared->client);
  tr_buf_printf(self->out, ",\"here\":%s,\"ids\":%u,\"open\":%u,\"keys\":[", shared->here ? "true" : "false", shared->keys, shared->open);
  list keys = { self->out, "" };
  tr_host_each_place(shared, KEYS_SHOWN, put_key, &keys);
  tr_buf_text(self->out, "]}");
  self->comma = ",";
}

void tr_question_shared(tr_buf *out, const troupe_t *rt) {
  list self = { out, "" };
  if (!rt->host) return;
  tr_buf_text(out, ",\"shared\":[");
  tr_host_each_shared(rt->host, put_shared, &self);
  tr_buf_text(out, "]");
}
