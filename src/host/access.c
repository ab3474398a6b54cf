/* SPDX-License-Identifier: MIT
 * Who is asking, and whether they may.
 *
 * The owner of the sockets tells who is behind a call (tr_host_options.identify): the names in its certificate, its token's, its user's.
 * That is asked once a connection and authorization, and kept as a tr_who. A client-id belongs to whoever used it first, so nobody can
 * take over another's stream by knowing its id; a token or certificate may change under way, its first name may not.
 *
 * Rights (rights.h) are looked up by those names once a client and file; answers to the same question are remembered with the client,
 * so a message costs a comparison. Where there are no rights, that is one test of a pointer (tr_may).
 *
 * When tokens or rights change, all who have a stream are asked again, and only those who may not have what they have lose it. */
#include "host/internal.h"

#include <stdio.h>

#define CACHE 32
#define CACHE_TEXT 92

typedef struct answer { uint32_t stamp; uint8_t right, length; bool allowed; char text[CACHE_TEXT]; } answer;
struct tr_access_cache { answer answers[CACHE]; };

struct tr_who { uint32_t refs, length; char names[]; };

/* ---- who ---- */

tr_slice tr_who_names(const tr_who *who) { return who ? tr_slice_make(who->names, who->length) : tr_slice_of(""); }

/* The first of them: who it is for the log, and for itself. */
tr_slice tr_access_name(const tr_who *who) {
  tr_slice names = tr_who_names(who);
  const char *end = names.n ? memchr(names.p, '\n', names.n) : NULL;
  if (end) names.n = (size_t)(end - names.p);
  return names.n ? names : TR_SLICE_LITERAL("anonymous");
}

static void unref_who(tr_host *host, tr_who *who) {
  if (who && --who->refs == 0) tr_free(host->mem, who, sizeof *who + who->length + 1);
}

static tr_who *ref_who(tr_who *who) {
  if (who) who->refs++;
  return who;
}

static tr_who *new_who(tr_host *host, tr_slice names) {
  tr_who *who = tr_calloc(host->mem, 1, sizeof *who + names.n + 1);
  if (!who) return NULL;
  who->refs = 1;
  who->length = (uint32_t)names.n;
  if (names.n) memcpy(who->names, names.p, names.n);
  return who;
}

static int ask(tr_host_conn *conn, const tr_rpc_call *call, tr_who **out, tr_error *error) {
  tr_host *host = conn->host;
  tr_buf names;
  tr_buf_init(&names, host->mem);
  int rc = host->o.identify(host->o.ud, conn, tr_rpc_call_header(call, "authorization"), tr_rpc_call_header(call, "user-agent"), &names, error);
  if (rc == 0 && host->rights && !tr_rights_find(host->rights, tr_buf_view(&names)))
    rc = names.len ? tr_error_set(error, TR_EPERMISSION, "nothing is granted to %.*s", (int)strcspn((char *)names.data, "\n"), (char *)names.data)
                   : tr_error_set(error, TR_EUNAUTHENTICATED, "who you are is not known here (a token: --token-file, TROUPE_TOKEN; or a certificate: --tls-cert)");
  if (rc == 0) {
    *out = names.failed ? NULL : new_who(host, names.len ? tr_slice_make(names.data, names.len - 1) : tr_buf_view(&names));
    if (!*out) rc = tr_error_set(error, TR_EMEMORY, "out of memory");
  }
  tr_buf_fini(&names);
  return rc;
}

/* What was answered to the same authorization on this connection. */
static bool known(const tr_host_conn *conn, tr_slice authorization) {
  return conn->who && conn->who_stamp == conn->host->access_stamp && tr_slice_equal(tr_slice_make(conn->authorization, conn->authorization_size), authorization);
}

static void remember(tr_host_conn *conn, tr_slice authorization, tr_who *who) {
  tr_access_forget_conn(conn);
  conn->authorization = tr_strndup(conn->host->mem, authorization.n ? authorization.p : "", authorization.n);
  if (!conn->authorization) return;
  conn->authorization_size = (uint32_t)authorization.n;
  conn->who = ref_who(who);
  conn->who_stamp = conn->host->access_stamp;
}

void tr_access_forget_conn(tr_host_conn *conn) {
  if (conn->authorization) {
    memset(conn->authorization, 0, conn->authorization_size);
    tr_free(conn->host->mem, conn->authorization, conn->authorization_size + 1u);
  }
  unref_who(conn->host, conn->who);
  conn->authorization = NULL;
  conn->who = NULL;
}

static void turned_away(tr_host *host, const tr_host_stream *stream, const tr_error *error) {
  host->stats.denied++;
  if (tr_guard_worth_a_line(host->stats.denied))
    tr_log_write(host->log, TR_LOG_WARN, "access.refused", "peer=%s count=%llu reason=\"%s\"", stream->conn->address->text,
                 (unsigned long long)host->stats.denied, error->text);
}

bool tr_access_admit(tr_host_stream *stream) {
  tr_host_conn *conn = stream->conn;
  tr_error error;
  tr_error_init(&error);
  tr_slice authorization = tr_rpc_call_header(stream->call, "authorization");
  if (!authorization.p) authorization = tr_rpc_call_header(stream->call, "user-agent");
  if (known(conn, authorization)) {
    stream->who = ref_who(conn->who);
    return true;
  }
  if (ask(conn, stream->call, &stream->who, &error) == 0) {
    remember(conn, authorization, stream->who);
    return true;
  }
  turned_away(conn->host, stream, &error);
  tr_host_stream_end(stream, tr_error_grpc(error.code), error.text);
  return false;
}

void tr_access_leave(tr_host_stream *stream) {
  unref_who(stream->conn->host, stream->who);
  stream->who = NULL;
}

/* ---- whose client-id it is ---- */

bool tr_access_bind(tr_host_stream *stream, tr_client *client) {
  if (!stream->who || client->who == stream->who) return true;
  if (client->who && !tr_slice_equal(tr_access_name(client->who), tr_access_name(stream->who))) {
    tr_error error;
    tr_error_init(&error);
    tr_error_set(&error, TR_EPERMISSION, "this client-id belongs to another than %.*s", TR_BRIEF(tr_access_name(stream->who)));
    turned_away(client->host, stream, &error);
    tr_host_stream_end(stream, TR_GRPC_PERMISSION_DENIED, error.text);
    return false;
  }
  unref_who(client->host, client->who);
  client->who = ref_who(stream->who);
  client->entry_stamp = 0;
  return true;
}

void tr_access_forget(tr_client *client) {
  unref_who(client->host, client->who);
  if (client->access) TR_DELETE(client->host->mem, client->access);
  client->who = NULL;
  client->access = NULL;
}

/* ---- what it may do ---- */

static const tr_rights_entry *entry_of(tr_client *client) {
  tr_host *host = client->host;
  if (client->entry_stamp != host->access_stamp) {
    client->entry = tr_rights_find(host->rights, tr_who_names(client->who));
    client->entry_stamp = host->access_stamp;
  }
  return client->entry;
}

static size_t place(tr_right right, const char *text, size_t n) {
  uint32_t hash = 2166136261u ^ (uint32_t)right;
  for (size_t i = 0; i < n; i++) hash = (hash ^ (uint8_t)text[i]) * 16777619u;
  return hash % CACHE;
}

bool tr_access_check(tr_client *client, tr_right right, tr_slice type, tr_slice key) {
  const tr_rights_entry *entry = entry_of(client);
  if (!entry) return false;
  if (!tr_rights_by_key(entry, right)) key = (tr_slice){ NULL, 0 };
  size_t n = type.n + 1 + key.n;
  if (!client->access) client->access = TR_NEW(client->host->mem, tr_access_cache);
  if (n > CACHE_TEXT || !client->access) return tr_rights_allow(entry, right, type, key);
  char text[CACHE_TEXT];
  if (type.n) memcpy(text, type.p, type.n);
  text[type.n] = '/';
  if (key.n) memcpy(text + type.n + 1, key.p, key.n);
  answer *at = &client->access->answers[place(right, text, n)];
  if (at->stamp == client->host->access_stamp && at->right == right && at->length == n && memcmp(at->text, text, n) == 0) return at->allowed;
  *at = (answer){ .stamp = client->host->access_stamp, .right = (uint8_t)right, .length = (uint8_t)n, .allowed = tr_rights_allow(entry, right, type, key) };
  memcpy(at->text, text, n);
  return at->allowed;
}

/* "token:ci has no right to it (call = counter/main in the host's rights would grant it)" */
void tr_access_explain(const tr_client *client, tr_right right, tr_slice type, tr_slice key, char *out, size_t size) {
  tr_slice who = tr_access_name(client->who);
  client->host->stats.denied++;
  if (right == TR_RIGHT_CONTROL) snprintf(out, size, "%.*s may not (control = yes in the host's rights would grant it)", TR_BRIEF(who));
  else snprintf(out, size, "%.*s may not (%s = %.*s%s%.*s in the host's rights would grant it)", TR_BRIEF(who), tr_right_name(right), TR_BRIEF(type),
                key.n ? "/" : "", TR_BRIEF(key));
}

/* Calls and registrations, which are answered and so not told elsewhere: in the log by who and by right, with doubling. */
void tr_access_tell(const tr_client *client, tr_right right, const char *why) {
  char kind[300], times[TR_TALLY_TIMES];
  int n = snprintf(kind, sizeof kind, "%s %.*s", tr_right_name(right), TR_BRIEF(tr_access_name(client->who)));
  if (tr_tally_tell(&client->host->refusals, tr_slice_make(kind, (size_t)n), times))
    tr_log_write(client->host->log, TR_LOG_INFO, "access.denied", "client=%s reason=\"%s\"%s", client->id, why, times);
}

/* A message: 0, or which right is missing. */
static bool lacks(tr_client *client, tr_right right, tr_slice type, tr_slice key, char *why, size_t size) {
  if (tr_access_check(client, right, type, key)) return false;
  tr_access_explain(client, right, type, key, why, size);
  return true;
}

/* AutoGen's runtimes, and ours, write "unknown" where no agent has sent it. */
static bool is_somebody(tr_slice type) { return type.n && !tr_slice_is(type, "unknown"); }

bool tr_access_request(tr_client *caller, const tr_wire_span *span, char *why, size_t size) {
  tr_slice none = { NULL, 0 };
  bool kept = caller->troupe && tr_key_is_result(span->target_key); /* its id is 128 random bits, which it had from whoever has it */
  if (!kept && lacks(caller, TR_RIGHT_CALL, span->target_type, span->target_key, why, size)) return false;
  if (span->has_source && is_somebody(span->source_type) && lacks(caller, TR_RIGHT_SENDER, span->source_type, span->source_key, why, size)) return false;
  return !tr_slice_is(tr_wire_metadata(span->inner, TR_WIRE_REQUEST, TR_KEY_AS), "state") || !lacks(caller, TR_RIGHT_CONTROL, none, none, why, size);
}

bool tr_access_event(tr_client *from, const tr_wire_span *span, char *why, size_t size) {
  tr_slice type = tr_wire_event_attribute(span->inner, TR_KEY_SENDER_TYPE);
  if (lacks(from, TR_RIGHT_PUBLISH, span->topic_type, span->topic_source, why, size)) return false;
  return !is_somebody(type) || !lacks(from, TR_RIGHT_SENDER, type, tr_wire_event_attribute(span->inner, TR_KEY_SENDER_KEY), why, size);
}

/* The agent that a program outside subscribes with: "subscriber-" and a UUID. */
static bool is_subscriber(tr_slice type) { return type.n == 11 + 36 && tr_slice_starts(type, TR_SLICE_LITERAL("subscriber-")); }

bool tr_access_type(tr_client *client, tr_slice type, char *why, size_t size) {
  tr_slice none = { NULL, 0 };
  return is_subscriber(type) || !lacks(client, TR_RIGHT_REGISTER, type, none, why, size);
}

/* "TYPE:…": topics by which an agent is spoken to directly; AutoGen's workers and ours subscribe to them for each agent that they have. */
static bool is_own(const tr_wire_subscription *want) {
  tr_slice topic = want->topic, type = want->agent_type;
  return type.n && topic.n > type.n && topic.p[type.n] == ':' && tr_slice_starts(topic, type);
}

bool tr_access_topic(tr_client *client, const tr_wire_subscription *want, char *why, size_t size) {
  tr_slice none = { NULL, 0 }, topic = want->topic;
  char prefix[TR_ID_MAX + 1];
  if (want->kind == TR_SUB_PREFIX && topic.n < sizeof prefix) { /* all that begin so: a pattern has to cover that */
    if (topic.n) memcpy(prefix, topic.p, topic.n);
    prefix[topic.n] = '*';
    topic = tr_slice_make(prefix, topic.n + 1);
  }
  return (is_own(want) || !lacks(client, TR_RIGHT_SUBSCRIBE, topic, none, why, size)) && tr_access_type(client, want->agent_type, why, size);
}

bool tr_access_control(tr_client *client, const tr_wire_control *message, char *why, size_t size) {
  static const tr_slice answer_ending = TR_SLICE_LITERAL("Response"), none = { NULL, 0 };
  tr_slice url = message->type_url;
  if (url.n >= answer_ending.n && tr_slice_is(tr_slice_make(url.p + url.n - answer_ending.n, answer_ending.n), "Response")) return true;
  return !lacks(client, TR_RIGHT_CONTROL, none, none, why, size);
}

/* ---- changes ---- */

/* Is it still who it was, and may it have what it has? */
static bool stays(tr_client *client, tr_error *error) {
  tr_host_stream *stream = client->stream;
  tr_who *who = NULL;
  char why[TR_ERROR_TEXT];
  if (ask(stream->conn, stream->call, &who, error)) return false;
  bool same = !client->who || tr_slice_equal(tr_access_name(who), tr_access_name(client->who));
  unref_who(client->host, client->who);
  client->who = who;
  client->entry_stamp = 0;
  if (!same) tr_error_set(error, TR_EUNAUTHENTICATED, "it is not who it was any more");
  tr_route_type *type = NULL;
  while (client->host->rights && !error->code && (type = tr_router_next_type(client->host->router, &client->dest, type)))
    if (!tr_access_type(client, tr_name_view(type->name), why, sizeof why)) tr_error_set(error, TR_EPERMISSION, "%s", why);
  for (tr_link *l = client->subs.next; client->host->rights && !error->code && l != &client->subs; l = l->next) {
    const tr_sub *sub = TR_CONTAINER(l, tr_sub, by_owner);
    tr_wire_subscription has = { .kind = sub->kind, .topic = tr_name_view(sub->topic), .agent_type = tr_name_view(sub->agent_type) };
    if (!tr_access_topic(client, &has, why, sizeof why)) tr_error_set(error, TR_EPERMISSION, "%s", why);
  }
  return error->code == 0;
}

void tr_host_guard(tr_host *host, bool identify, tr_rights *rights) {
  tr_rights_ref(rights);
  tr_rights_unref(host->rights);
  host->rights = rights;
  host->guarded = (identify || rights) && host->o.identify;
  host->access_stamp++;
  if (!host->guarded) return;
  for (tr_link *l = host->clients_list.next; l != &host->clients_list;) {
    tr_client *client = TR_CONTAINER(l, tr_client, link);
    tr_error error;
    tr_error_init(&error);
    l = l->next;
    if (client->guard_stamp == host->access_stamp) continue;
    client->guard_stamp = host->access_stamp;
    if (!client->stream || stays(client, &error)) continue;
    tr_log_write(host->log, TR_LOG_WARN, "access.withdrawn", "client=%s reason=\"%s\"", client->id, error.text);
    tr_client_banish(client, tr_error_grpc(error.code), error.text);
    l = host->clients_list.next; /* with its requests others may have gone; those that were looked at are passed over */
  }
}
