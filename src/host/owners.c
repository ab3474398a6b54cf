/* SPDX-License-Identifier: MIT
 * The workers of an agent type, and what they are told about reloading their files: notes of a host's own (wire/note.h), which no client can send
 * to another. Who asks them, and what becomes of it, is the runtime's (runtime/operator_workers.c). */
#include "host/share.h"
#include "wire/note.h"

static void tell(const tr_client *client, bool (*fn)(void *ud, const tr_host_owner *owner), void *ud) {
  if (client->left && !client->stream) return; /* it will not come back */
  tr_host_owner owner = { .client = tr_client_id(client), .address = client->stream ? client->stream->conn->address->text : "", .troupe = client->troupe,
                          .connected = client->stream != NULL };
  fn(ud, &owner);
}

bool tr_host_each_owner(tr_host *host, tr_slice type, bool (*fn)(void *ud, const tr_host_owner *owner), void *ud) {
  tr_dest *owner = tr_router_owner(host->router, type);
  const tr_share *share = tr_share_of(owner);
  if (owner && owner->ops == &tr_client_ops) tell(tr_client_of(owner), fn, ud);
  for (const tr_link *link = share ? share->members.next : NULL; link && link != &share->members; link = link->next)
    tell(TR_CONTAINER(link, tr_member, by_share)->client, fn, ud);
  return owner && owner == tr_core_local(host->core);
}

uint32_t tr_host_session(const tr_host *host, tr_slice id, bool *left) {
  const tr_client *client = tr_client_find(host, id);
  *left = !client || (client->left && !client->stream);
  return client && client->stream ? client->generation : 0;
}

bool tr_host_tell_worker(tr_host *host, tr_slice client_id, tr_slice id, const struct tr_wire_note *note) {
  tr_client *client = tr_client_find(host, client_id);
  if (!client || !client->stream || !client->troupe) return false;
  tr_blob *frame = tr_wire_encode_note(host->mem, id, note);
  int err = frame ? tr_client_send(client, frame, true) : TR_EMEMORY;
  tr_blob_unref(frame);
  return !err;
}

void tr_owners_note(tr_client *from, tr_slice id, const tr_wire_note *note) {
  tr_host *host = from->host;
  bool says = note->kind == TR_NOTE_STAGED || note->kind == TR_NOTE_DECIDED;
  if (says && host->o.worker_says) host->o.worker_says(host->o.ud, tr_client_id(from), id, note);
}
