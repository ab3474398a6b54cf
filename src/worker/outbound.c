/* SPDX-License-Identifier: MIT
 * From agents here to the host: what the core gives an uplink.
 *
 * Encoded at once, so that what cannot be encoded or is too large fails at its sender, and queued whether or not the
 * host is there at the moment: a request may wait until its deadline, an event as long as there is room. */
#include "worker/internal.h"

#include <stdio.h>

static int check_size(const tr_worker *w, const tr_blob *frame, tr_error *error) {
  uint32_t size = frame->len - TR_WIRE_PREFIX;
  if (size <= w->o.max_message) return 0;
  return tr_error_set(error, TR_ETOO_LARGE, "%u bytes are more than the limit of %u", (unsigned)size, (unsigned)w->o.max_message);
}

static const char *text_of(const tr_error *error, int code) {
  if (error->text[0]) return error->text;
  return code == TR_EOVERLOADED ? "the queue to the host is full" : tr_error_default_text(code);
}

static tr_worker *worker_of(tr_dest *dest) { return TR_CONTAINER(dest, tr_worker, dest); }

static int encode_event(const tr_worker *w, tr_msg *msg, tr_blob **frame, tr_error *error) {
  return tr_wire_encode_event_as(msg, tr_slice_make(w->origin, w->origin_length), tr_worker_plain(w), frame, error);
}

tr_blob *tr_worker_encode_event_again(tr_worker *w, tr_msg *event, bool marked) {
  tr_blob *frame = NULL;
  if (marked && !tr_msg_get_more(event)) return NULL;
  if (marked) event->more->again = true;
  return encode_event(w, event, &frame, NULL) ? NULL : frame;
}

static void send_event(tr_dest *dest, tr_msg *msg) {
  tr_worker *w = worker_of(dest);
  tr_blob *frame = NULL;
  tr_error error;
  tr_error_init(&error);
  int code = w->state == TR_WORKER_OFF || w->leave >= TR_LEAVE_CANCEL ? TR_EUNAVAILABLE : 0;
  if (!code) code = encode_event(w, msg, &frame, &error);
  if (!code) code = check_size(w, frame, &error);
  if (!code) code = tr_worker_push(w, msg->priority, frame, msg, 0, NULL);
  tr_blob_unref(frame);
  if (code) tr_core_dead_letter(w->core, msg, code, text_of(&error, code));
}

static void refuse(tr_worker *w, tr_msg *msg, int code, const char *text) {
  if (msg->kind == TR_MSG_REQUEST) tr_msg_fail(msg, code, text);
  else tr_core_dead_letter(w->core, msg, code, text);
}

void tr_worker_send_request(tr_worker *w, tr_msg *msg) {
  tr_worker_request *request = tr_worker_request_new(w, msg);
  if (!request) {
    refuse(w, msg, TR_EMEMORY, tr_error_default_text(TR_EMEMORY));
    return;
  }
  char id[TR_WORKER_ID];
  tr_slot_write_id(&request->slot, id);
  tr_blob *frame = NULL;
  tr_error error;
  tr_error_init(&error);
  int code = tr_wire_encode_request_as(msg, tr_slice_make(id, sizeof id), tr_worker_plain(w), &frame, &error);
  if (!code) code = check_size(w, frame, &error);
  if (!code) code = tr_worker_push(w, msg->priority, frame, NULL, tr_slot_token(&request->slot), &request->number);
  tr_blob_unref(frame);
  if (code) tr_worker_request_fail(request, code, text_of(&error, code));
}

tr_blob *tr_worker_encode_again(tr_worker_request *request) {
  char id[TR_WORKER_ID];
  tr_slot_write_id(&request->slot, id);
  tr_blob *frame = NULL;
  tr_format plain = tr_worker_plain(request->worker);
  return tr_wire_encode_request_as(request->msg, tr_slice_make(id, sizeof id), plain, &frame, NULL) ? NULL : frame;
}

/* Results are kept, and referred to, only through a host that is troupe's: what is behind another one may be anybody.
 * False: the message has its answer. */
static bool fits_host(const tr_worker *w, tr_msg *msg) {
  if (w->troupe) return true;
  msg->more->keep_ms = 0;
  if (!msg->more->refs) return true;
  if (msg->kind == TR_MSG_REQUEST) tr_msg_unresolved(msg, TR_EUNAVAILABLE, "behind this host results cannot be referred to");
  else refuse((tr_worker *)w, msg, TR_EINVALID, "behind this host results cannot be referred to");
  return false;
}

static void on_request(tr_dest *dest, tr_msg *msg) {
  tr_worker *w = worker_of(dest);
  if (msg->more && !fits_host(w, msg)) return;
  if (w->state != TR_WORKER_OFF && !w->leave) tr_worker_send_request(w, msg);
  else refuse(w, msg, TR_EUNAVAILABLE, "the connection to the host is being closed");
}

const tr_dest_ops tr_worker_dest_ops = { .event = send_event, .request = on_request };
