/* SPDX-License-Identifier: MIT
 * `troupe doctor`: what goes wrong most, looked for in this process, each with what to do about it.
 *
 * To add a check: its row in `checks`, a function that tells what it finds, and the same row in docs/doctor.md (a spec compares
 * them). A check looks at what there is anyway: it counts nothing for itself, and asks nobody outside. */
#include <stdio.h>
#include <unistd.h>

#include "runtime/isolate.h"
#include "runtime/operator.h"

#define FINDINGS_MOST 20 /* of one check: the others are counted */
#define NAMES_MOST 500
#define CROWDED 1000 /* messages in a mailbox */

typedef struct doctor {
  troupe_t *rt;
  tr_buf out;
  const char *check, *remedy; /* of the check that looks just now */
  unsigned found, of_check;
} doctor;

static void tell(doctor *d, const char *about, const char *format, ...)
#if defined(__GNUC__)
    __attribute__((format(printf, 3, 4)))
#endif
    ;
/* about NULL: that there were more than are told. */
static void tell(doctor *d, const char *about, const char *format, ...) {
  char says[700];
  va_list args;
  if (++d->of_check > FINDINGS_MOST && about) return;
  va_start(args, format);
  vsnprintf(says, sizeof says, format, args);
  va_end(args);
  says[tr_utf8_cut(tr_slice_of(says), sizeof says)] = 0;
  tr_buf_printf(&d->out, "%s{\"check\":\"%s\"", d->found++ ? "," : "", d->check);
  tr_question_put(&d->out, ",\"about\":", about ? about : "");
  tr_question_put(&d->out, ",\"says\":", says);
  tr_question_put(&d->out, ",\"do\":", d->remedy);
  tr_buf_text(&d->out, "}");
}

static double ago(int64_t wall_us) {
  double s = (double)(tr_wall_us() - wall_us) / 1e6;
  return s > 0 ? s : 0;
}

/* ---- nobody listens ---- */

static size_t topics_of(const troupe_t *rt, const char *names[NAMES_MOST + 1]) {
  size_t n = 0;
  for (tr_sub *sub = NULL; n < NAMES_MOST && (sub = tr_router_next_sub(tr_core_router(rt->core), sub));) {
    size_t i = 0;
    size_t length = sub->topic->len;
    if (length == 0 || sub->topic->text[length - 1] == ':') continue; /* "TYPE:", which every agent type has */
    while (i < n && strcmp(names[i], sub->topic->text)) i++;
    if (i == n) names[n++] = sub->topic->text;
  }
  names[n] = NULL;
  return n;
}

static void tell_unheard(doctor *d, const tr_unheard *it, const char *const *names, size_t known) {
  const char *nearest = tr_text_nearest(tr_slice_of(it->topic), names);
  char others[200];
  if (nearest) snprintf(others, sizeof others, "the nearest topic is %s", nearest);
  else snprintf(others, sizeof others, "%zu other topics have subscribers", known);
  tell(d, it->topic, "nobody listens to topic %s: %llu event%s, the last one, %s, %.0f s ago; %s", it->topic, (unsigned long long)it->count,
       it->count == 1 ? "" : "s", it->type, ago(it->wall_us), others);
}

/* What was counted from isolate i on; false: an earlier one has this topic, too, and it is told with that. */
static bool sum_up(const troupe_t *rt, unsigned i, const char *topic, tr_unheard *sum) {
  const tr_undelivered *all;
  *sum = (tr_unheard){ .count = 0 };
  for (unsigned at = 0; (all = tr_undelivered_of(rt, at)); at++) {
    for (uint32_t k = 0; k < all->unheard_count; k++) {
      const tr_unheard *it = &all->unheard[k];
      if (strcmp(it->topic, topic)) continue;
      if (at < i) return false;
      uint64_t count = sum->count + it->count;
      if (it->wall_us >= sum->wall_us) *sum = *it;
      sum->count = count;
    }
  }
  return true;
}

static void look_for_unheard(doctor *d) {
  const char *names[NAMES_MOST + 1];
  const tr_undelivered *all;
  size_t known = topics_of(d->rt, names);
  for (unsigned i = 0; (all = tr_undelivered_of(d->rt, i)); i++) {
    for (uint32_t k = 0; k < all->unheard_count; k++) {
      tr_unheard sum;
      size_t count = 0;
      if (tr_router_match(tr_core_router(d->rt->core), tr_slice_of(all->unheard[k].topic), &count) || count) continue; /* by now somebody does */
      if (sum_up(d->rt, i, all->unheard[k].topic, &sum)) tell_unheard(d, &sum, names, known);
    }
  }
}

/* ---- uplinks ---- */

const char *tr_doctor_turned_away(const char *reason) {
  if (strstr(reason, "unauthenticated")) return "correct the token (--token-file, TROUPE_TOKEN) or the certificate (--tls-cert) that is shown to it";
  if (strstr(reason, "permission_denied")) return "show another token (--token-file, TROUPE_TOKEN) or certificate (--tls-cert), or grant this one something there (--rights)";
  return strstr(reason, "certificate") || strstr(reason, "TLS") ? "correct --host, or its certificates (--tls-ca, --tls-cert, --tls-key)" : NULL;
}

static void look_for_hosts(doctor *d) {
  for (const tr_link *link = d->rt->uplinks.next; link != &d->rt->uplinks; link = link->next) {
    const tr_uplink *uplink = TR_CONTAINER(link, tr_uplink, all);
    if (tr_worker_get_state(uplink->worker) != TR_WORKER_DIALING) continue;
    const char *usual = d->remedy, *other = tr_doctor_turned_away(uplink->reason);
    if (other) d->remedy = other;
    tell(d, uplink->address, "host %s is away: %s", uplink->address, uplink->reason[0] ? uplink->reason : "it does not answer");
    d->remedy = usual;
  }
}

static void look_for_types(doctor *d) {
  for (const tr_link *link = d->rt->uplinks.next; link != &d->rt->uplinks; link = link->next) {
    const tr_uplink *uplink = TR_CONTAINER(link, tr_uplink, all);
    if (tr_worker_get_state(uplink->worker) == TR_WORKER_JOINING && uplink->reason[0])
      tell(d, uplink->address, "host %s has not taken all that this worker has: %s", uplink->address, uplink->reason);
  }
}

/* ---- receivers ---- */

static void look_at_client(void *ud, const tr_host_client *client) {
  doctor *d = ud;
  const char *type = client->type[0] ? client->type : "no agent type";
  if (!client->connected && client->queued)
    tell(d, client->id, "worker %s (%s) is away, and %zu bytes wait for it", client->id, type, client->queued);
  else if (client->queued > client->bound / 2 || client->held_back)
    tell(d, client->id, "worker %s (%s) takes too little: %zu of %zu bytes wait for it%s", client->id, type, client->queued, client->bound,
         client->held_back ? "; its senders were held back" : "");
  else if (client->dropped)
    tell(d, client->id, "worker %s (%s) did not get %llu events", client->id, type, (unsigned long long)client->dropped);
}

static void look_for_slow(doctor *d) {
  if (d->rt->host_options.block_senders)
    d->remedy = "see what its handlers wait for; its senders are held back meanwhile; give it more room (--session-bytes) where they come in bursts";
  if (d->rt->host) tr_host_each_client(d->rt->host, look_at_client, d);
}

static void look_at_mail(doctor *d, const tr_class *class_) {
  for (tr_agent *agent = NULL; class_ && (agent = tr_class_next_mailbox(class_, agent));) {
    char id[300];
    size_t mail = tr_agent_mail_count(agent);
    uint32_t limit = tr_class_mailbox_limit(class_);
    uint64_t bytes = tr_agent_mail_bytes(agent), most = tr_class_mailbox_bytes(class_);
    bool large = bytes * 2 >= most;
    if (mail == 0 || (mail < CROWDED && mail * 2 < limit && !large)) continue;
    snprintf(id, sizeof id, "%.140s/%.140s", tr_class_type(class_)->text, agent->key->text);
    if (large) tell(d, id, "the mailbox of %s has %llu bytes, of %llu that it holds", id, (unsigned long long)bytes, (unsigned long long)most);
    else tell(d, id, "the mailbox of %s has %zu messages, of %u that it holds", id, mail, (unsigned)limit);
  }
}

static void look_at_turns(doctor *d, const tr_class *class_) {
  for (tr_agent *agent = NULL; class_ && (agent = tr_class_next_agent(class_, agent));) {
    char id[300];
    tr_stuck stuck;
    if (!tr_script_stuck(agent, &stuck)) continue;
    snprintf(id, sizeof id, "%.140s/%.140s", tr_class_type(class_)->text, agent->key->text);
    tell(d, id, "%s has computed for %.0f s in %s, now at %s, and takes nothing else", id, (double)stuck.ran / 1e6, stuck.type, stuck.at);
  }
}

static void look_at_classes(doctor *d, void (*look)(doctor *d, const tr_class *class_)) {
  for (tr_class *class_ = NULL; (class_ = tr_core_next_class(d->rt->core, class_));) {
    look(d, class_);
    for (unsigned i = 1; d->rt->crew && i < d->rt->crew->count; i++)
      look(d, tr_core_find_class(d->rt->crew->isolates[i]->core, tr_name_view(tr_class_type(class_))));
  }
}

static void look_for_full(doctor *d) { look_at_classes(d, look_at_mail); }
static void look_for_stuck(doctor *d) { look_at_classes(d, look_at_turns); }

/* ---- doubled messages ---- */

static void look_at_pair(void *ud, const char *client, const tr_sub *one, const tr_sub *other) {
  tell(ud, one->agent_type->text, "agent type %s of worker %s hears an event on %s twice: it subscribes to %s and to all topics that begin with \"%s\"",
       one->agent_type->text, client, other->topic->text, other->topic->text, one->topic->text);
}

static void look_for_doubled(doctor *d) {
  if (d->rt->host) tr_host_each_doubled(d->rt->host, look_at_pair, d);
  for (const tr_link *a = d->rt->uplinks.next; a != &d->rt->uplinks; a = a->next)
    for (const tr_link *b = a->next; b != &d->rt->uplinks; b = b->next) {
      const char *address = TR_CONTAINER(a, tr_uplink, all)->address;
      if (strcmp(address, TR_CONTAINER(b, tr_uplink, all)->address) == 0)
        tell(d, address, "this process has joined host %s twice: each event from here is there twice", address);
    }
}

/* ---- formats and versions ---- */

static void look_at_format(void *ud, const tr_host_client *client) {
  if (client->withheld)
    tell(ud, client->id, "worker %s (%s, .NET) was not given %llu messages: it takes protobuf only, and no error answers", client->id,
         client->type, (unsigned long long)client->withheld);
}

static void look_for_formats(doctor *d) {
  const tr_undelivered *all;
  const tr_kept_letter *letter;
  if (d->rt->host) tr_host_each_client(d->rt->host, look_at_format, d);
  for (unsigned i = 0; (all = tr_undelivered_of(d->rt, i)); i++) {
    for (uint32_t k = 0; (letter = tr_undelivered_at(all, k)); k++)
      if (letter->code == TR_EINVALID) {
        tell(d, letter->target, "%s %s to %s was not delivered %.0f s ago: %s", letter->kind, letter->type, letter->target, ago(letter->wall_us),
             letter->reason);
        break; /* the newest says enough */
      }
  }
}

static void look_at_version(void *ud, const tr_host_client *client) {
  if (client->troupe && strcmp(client->version, TR_VERSION))
    tell(ud, client->id, "worker %s (%s) is troupe %s, this host is troupe " TR_VERSION, client->id, client->type, client->version);
}

static void look_for_versions(doctor *d) {
  if (d->rt->host) tr_host_each_client(d->rt->host, look_at_version, d);
  for (const tr_link *link = d->rt->uplinks.next; link != &d->rt->uplinks; link = link->next) {
    const tr_uplink *uplink = TR_CONTAINER(link, tr_uplink, all);
    const char *version = tr_worker_host_version(uplink->worker);
    if (version[0] && strcmp(version, TR_VERSION))
      tell(d, uplink->address, "host %s is troupe %s, this worker is troupe " TR_VERSION, uplink->address, version);
  }
}

/* ---- the rest ---- */

static void look_for_letters(doctor *d) {
  unsigned long long total = 0;
  const tr_undelivered *all;
  const tr_kept_letter *newest = NULL, *letter;
  for (unsigned i = 0; (all = tr_undelivered_of(d->rt, i)); i++) {
    total += all->count;
    letter = tr_undelivered_at(all, 0);
    if (letter && (!newest || letter->wall_us > newest->wall_us)) newest = letter;
  }
  if (newest)
    tell(d, newest->target, "%llu dead letter%s; the last one, %.0f s ago: %s %s to %s: %s: %s", total, total == 1 ? "" : "s", ago(newest->wall_us), newest->kind, newest->type,
         newest->target, tr_error_name(newest->code), newest->reason);
}

static const struct check { const char *name, *sign, *remedy; void (*look)(doctor *d); } checks[] = {
  { "nobody_listens", "events on a topic without subscribers",
    "correct the topic's name at the publisher or the subscriber, or start the worker that subscribes", look_for_unheard },
  { "host_away", "a host that this process joins does not answer",
    "start it (troupe host --listen ADDRESS), or correct --host or TROUPE_HOST; what is sent meanwhile waits", look_for_hosts },
  { "not_joined", "a host refuses an agent type or a subscription of this worker",
    "end the worker that holds the agent type, or give one of them another name; what the host's rights refuse, grant there (--rights)", look_for_types },
  { "slow_receiver", "a worker that does not take what comes for it",
    "see what its handlers wait for; give it more room (--session-bytes), or hold its senders back (--slow-consumer block)", look_for_slow },
  { "full_mailbox", "an agent that does not keep up with its mail",
    "let it handle more at once (`reentrant`, `pool`), share its keys, or send less; `mailbox` says what happens when it is full", look_for_full },
  { "stuck_turn", "an agent that computes without an end",
    "troupe break AGENT ends that turn, and troupe inspect AGENT shows where it is; let it do less at once, or bound it (`limits.turn_ms`)", look_for_stuck },
  { "doubled", "an event that comes to an agent twice",
    "remove one of the two subscriptions, or one of the two --host", look_for_doubled },
  { "content_type", "a body in a format that its receiver cannot take",
    "give the host the message types (--protobuf FILE), or send what the receiver takes (`encoding`, --json-only, --protobuf-only)", look_for_formats },
  { "version", "a troupe peer of another version",
    "install the same version on both sides; until then only what both know works", look_for_versions },
  { "dead_letters", "anything else that could not be delivered",
    "troupe deadletters lists the newest; subscribe to troupe.dead_letter to get each", look_for_letters },
};
enum { CHECKS = sizeof checks / sizeof *checks };

void tr_doctor_checks(tr_buf *out) {
  tr_buf_text(out, "\"checks\":[");
  for (int i = 0; i < CHECKS; i++) {
    tr_buf_printf(out, "%s{\"name\":\"%s\"", i ? "," : "", checks[i].name);
    tr_question_put(out, ",\"sign\":", checks[i].sign);
    tr_question_put(out, ",\"do\":", checks[i].remedy);
    tr_buf_text(out, "}");
  }
  tr_buf_text(out, "]");
}

void tr_question_doctor(tr_question *q) {
  troupe_t *rt = q->self->rt;
  doctor d = { .rt = rt };
  tr_buf_init(&d.out, &rt->mem);
  tr_buf_printf(&d.out, "{\"pid\":%ld,\"findings\":[", (long)getpid());
  if (rt->crew) tr_crew_pause(rt->crew);
  for (int i = 0; i < CHECKS; i++) {
    d.check = checks[i].name;
    d.remedy = checks[i].remedy;
    d.of_check = 0;
    checks[i].look(&d);
    if (d.of_check > FINDINGS_MOST) tell(&d, NULL, "… and %u more", d.of_check - FINDINGS_MOST);
  }
  if (rt->crew) tr_crew_resume(rt->crew);
  tr_buf_text(&d.out, "],");
  tr_doctor_checks(&d.out);
  tr_buf_text(&d.out, "}");
  tr_question_answer(q, &d.out);
}
