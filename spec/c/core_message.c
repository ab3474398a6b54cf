/* SPDX-License-Identifier: MIT
 * Messages themselves: bodies, ids, metadata. */
#include <stdio.h>

#include "core_kit.h"

/* ---- bodies ---- */

static int taken;
static void take_body(void *ud, tr_call *call, tr_reply *reply) {
  (void)ud;
  (void)call;
  CHECK_INT(reply->body.kind, ==, TR_BODY_SLOT);
  taken = K.slots[reply->body.slot];
  if (taken == 1) return;
  tr_body_release(K.core, &reply->body);
}

static uint32_t slot(int value) {
  for (uint32_t i = 1; i < 64; i++)
    if (!K.slots[i]) {
      K.slots[i] = value;
      K.live_slots++;
      return i;
    }
  return 0;
}

static int run_replies_slot(void *ud, tr_turn *turn) {
  (void)ud;
  tr_body unheard = { .kind = TR_BODY_SLOT, .slot = slot(99) }, body = { .kind = TR_BODY_SLOT };
  tr_turn_reply(turn, NULL, &unheard);
  CHECK_INT(unheard.kind, ==, TR_BODY_NONE);
  body.slot = slot(turn->msg->body.kind == TR_BODY_NONE ? 1 : 2);
  tr_turn_reply(turn, NULL, &body); /* the last counts */
  return TR_RUN_DONE;
}

CHECK_CASE(bodies_are_released_whoever_leaves_them) {
  kit_open();
  kit_class("a", run_replies_slot, NULL);
  tr_core_call(K.core, kit_msg(TR_MSG_REQUEST, "a", "Ask"), take_body, NULL);
  kit_step();
  CHECK_INT(taken, ==, 1); /* looked at, not taken */
  tr_msg *msg = kit_msg(TR_MSG_REQUEST, "a", "Ask");
  msg->body = (tr_body){ .kind = TR_BODY_SLOT, .slot = slot(5) };
  tr_core_call(K.core, msg, take_body, NULL);
  kit_step();
  CHECK_INT(taken, ==, 2);
  msg = kit_msg(TR_MSG_SEND, "a", "Note"); /* a send's reply goes nowhere */
  msg->body = (tr_body){ .kind = TR_BODY_SLOT, .slot = slot(5) };
  tr_core_post(K.core, msg);
  kit_step();
  CHECK_INT(K.live_slots, ==, 0);
  kit_close();
}

CHECK_CASE(a_body_becomes_bytes) {
  tr_blob *blob;
  tr_format format;
  tr_error error = { 0 };
  kit_open();
  tr_body body = { .kind = TR_BODY_NONE };
  CHECK_INT(tr_body_bytes(K.core, &body, TR_FORMAT_JSON, &blob, &format, NULL), ==, 0);
  CHECK_SLICE(tr_blob_view(blob), "{}");
  tr_blob_unref(blob);
  body.kind = TR_BODY_NULL;
  CHECK_INT(tr_body_bytes(K.core, &body, TR_FORMAT_JSON, &blob, &format, NULL), ==, 0);
  CHECK_SLICE(tr_blob_view(blob), "null");
  tr_blob_unref(blob);
  body = (tr_body){ .kind = TR_BODY_SLOT, .slot = slot(17) };
  CHECK_INT(tr_body_bytes(K.core, &body, TR_FORMAT_JSON, &blob, &format, NULL), ==, 0);
  CHECK_SLICE(tr_blob_view(blob), "17");
  tr_blob_unref(blob);
  CHECK_INT(tr_body_bytes(K.core, &body, TR_FORMAT_TEXT, &blob, &format, &error), ==, TR_EINVALID);
  CHECK_STR(error.text, "only JSON here");
  tr_body_release(K.core, &body);
  body = (tr_body){ .kind = TR_BODY_BYTES, .format = TR_FORMAT_TEXT, .bytes = tr_blob_copy(check_mem(), tr_slice_of("t")) };
  CHECK_INT(tr_body_bytes(K.core, &body, TR_FORMAT_JSON, &blob, &format, NULL), ==, 0);
  CHECK(blob == body.bytes && format == TR_FORMAT_TEXT);
  tr_blob_unref(blob);
  tr_body_release(K.core, &body);
  kit_close();
}

CHECK_CASE(a_message_has_an_id) {
  char one[TR_MSG_ID_MAX], two[TR_MSG_ID_MAX];
  kit_open();
  tr_msg *a = kit_msg(TR_MSG_SEND, "a", "X"), *b = kit_msg(TR_MSG_SEND, "a", "X");
  tr_slice id = tr_msg_id(a, one), again = tr_msg_id(a, two);
  CHECK(tr_slice_equal(id, again));
  again = tr_msg_id(b, two);
  CHECK(!tr_slice_equal(id, again));
  b->id = tr_name_new(tr_core_names(K.core), tr_slice_of("given"));
  CHECK_SLICE(tr_msg_id(b, two), "given");
  tr_msg_unref(a);
  tr_msg_unref(b);
  kit_close();
}

CHECK_CASE(metadata_keeps_its_order_and_its_last_values) {
  char key[32], value[32];
  tr_meta *meta = tr_meta_new(check_mem());
  CHECK(tr_meta_get(meta, tr_slice_of("k1")).p == NULL);
  for (int round = 0; round < 2; round++)
    for (int i = 0; i < 100; i++) {
      snprintf(key, sizeof key, "k%d", i);
      snprintf(value, sizeof value, "v%d.%d", i, round);
      CHECK_INT(tr_meta_set(meta, tr_slice_of(key), tr_slice_of(value)), ==, 0);
    }
  CHECK_INT(tr_meta_count(meta), ==, 100);
  CHECK_SLICE(tr_meta_get(meta, tr_slice_of("k7")), "v7.1");
  CHECK_SLICE(tr_meta_get(meta, tr_slice_of("k77")), "v77.1");
  CHECK(tr_meta_get(meta, tr_slice_of("k100")).p == NULL);
  tr_slice k, v;
  tr_meta_at(meta, 99, &k, &v);
  CHECK_SLICE(k, "k99");
  CHECK_SLICE(v, "v99.1");
  CHECK_INT(tr_meta_set(meta, tr_slice_make(NULL, 0), tr_slice_make(NULL, 0)), ==, 0);
  CHECK(tr_meta_get(meta, tr_slice_of("")).p != NULL);
  tr_meta_free(meta);
  tr_meta_free(NULL);
  CHECK_INT(tr_meta_count(NULL), ==, 0);
}
