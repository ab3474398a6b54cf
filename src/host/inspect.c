/* SPDX-License-Identifier: MIT
 * What may be asked about the clients of a host: who is slow, who speaks another version, whose subscriptions bring an event twice. For
 * `troupe doctor`; nothing here is on any message's way. */
#include "host/internal.h"

void tr_host_each_client(const tr_host *host, void (*fn)(void *ud, const tr_host_client *client), void *ud) {
  for (const tr_link *link = host->clients_list.next; link != &host->clients_list; link = link->next) {
    const tr_client *client = TR_CONTAINER(link, tr_client, link);
    tr_host_client it = {
      .id = client->id, .version = client->version, .connected = client->stream != NULL, .troupe = client->troupe, .dotnet = client->dotnet,
      .queued = client->stream ? tr_rpc_queued(client->stream->call) : client->backlog.bytes, .bound = (size_t)host->o.session_bytes,
      .dropped = client->dropped, .withheld = client->withheld, .held_back = client->held_back,
    };
    const tr_route_type *type = tr_router_next_type(host->router, &client->dest, NULL);
    it.type = type ? type->name->text : "";
    fn(ud, &it);
  }
}

#define SUBS_MOST 1000 /* of a client that are looked at */

static bool covers(const tr_sub *prefix, const tr_sub *other) {
  return prefix->kind == TR_SUB_PREFIX && prefix != other && prefix->agent_type == other->agent_type &&
         tr_slice_starts(tr_name_view(other->topic), tr_name_view(prefix->topic));
}

void tr_host_each_doubled(const tr_host *host, void (*fn)(void *ud, const char *client, const tr_sub *one, const tr_sub *other), void *ud) {
  for (const tr_link *link = host->clients_list.next; link != &host->clients_list; link = link->next) {
    const tr_client *client = TR_CONTAINER(link, tr_client, link);
    size_t n = 0;
    if (client->troupe) continue; /* its agents get an event once, whatever leads there */
    for (const tr_link *a = client->subs.next; a != &client->subs && n < SUBS_MOST; a = a->next, n++) {
      const tr_sub *prefix = TR_CONTAINER(a, tr_sub, by_owner);
      size_t m = 0;
      for (const tr_link *b = client->subs.next; b != &client->subs && m < SUBS_MOST && prefix->kind == TR_SUB_PREFIX; b = b->next, m++)
        if (covers(prefix, TR_CONTAINER(b, tr_sub, by_owner))) fn(ud, client->id, prefix, TR_CONTAINER(b, tr_sub, by_owner));
    }
  }
}
