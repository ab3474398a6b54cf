/* SPDX-License-Identifier: MIT
 * A line in the log when a mailbox gets crowded: how much is in it, who sent most of it, what type, and where that is handled.
 *
 * It comes at TR_CROWDED messages (or at the mailbox's bound, if that is less), then at twice as many, and so on; and when the mailbox is
 * first full of bytes, where it has fewer: each step once in an
 * instance's life, so looking through the whole mailbox is paid for by the messages that filled it. Who sent most is found in one pass with
 * a few counters (Misra and Gries): whoever sent more than a ninth of the mail is among what is left, and a second pass counts exactly. */
#include <stdio.h>
#include <string.h>

#include "core/internal.h"

#define CANDIDATES 8

typedef struct sender { const tr_name *type, *key, *message; uint32_t count; } sender;
typedef struct census { sender senders[CANDIDATES]; } census;

static bool is_from(const sender *s, const tr_msg *msg) {
  return s->type == msg->sender_type && s->key == msg->sender_key && s->message == msg->type;
}

static int narrow(void *ud, tr_msg *msg) {
  sender *senders = ((census *)ud)->senders, *free_one = NULL;
  for (int i = 0; i < CANDIDATES; i++) {
    if (senders[i].count && is_from(&senders[i], msg)) {
      senders[i].count++;
      return 0;
    }
    if (!senders[i].count) free_one = &senders[i];
  }
  if (free_one) *free_one = (sender){ msg->sender_type, msg->sender_key, msg->type, 1 };
  for (int i = 0; !free_one && i < CANDIDATES; i++) senders[i].count--;
  return 0;
}

static int count(void *ud, tr_msg *msg) {
  sender *senders = ((census *)ud)->senders;
  for (int i = 0; i < CANDIDATES; i++)
    if (senders[i].message && is_from(&senders[i], msg)) senders[i].count++;
  return 0;
}

static sender top_sender(const tr_agent *agent) {
  census all;
  memset(&all, 0, sizeof all);
  tr_agent_each_mail(agent, narrow, &all);
  for (int i = 0; i < CANDIDATES; i++) {
    if (!all.senders[i].count) all.senders[i].message = NULL;
    all.senders[i].count = 0;
  }
  tr_agent_each_mail(agent, count, &all);
  sender top = all.senders[0];
  for (int i = 1; i < CANDIDATES; i++)
    if (all.senders[i].count > top.count) top = all.senders[i];
  return top;
}

typedef struct first { const sender *of; const tr_msg *msg; } first;

static int find_first(void *ud, tr_msg *msg) {
  first *search = ud;
  if (!is_from(search->of, msg)) return 0;
  search->msg = msg;
  return 1;
}

void tr_mail_tell_crowded(tr_core *core, tr_agent *agent) {
  const tr_class *class_ = agent->class_;
  char place[200] = "?";
  if (agent->crowded < 31) agent->crowded++;
  if (!core->log || core->log->level < TR_LOG_WARN) return;
  sender top = top_sender(agent);
  first search = { &top, NULL };
  if (top.count) tr_agent_each_mail(agent, find_first, &search);
  if (search.msg && class_->ops->place) class_->ops->place(class_->ud, search.msg, place, sizeof place);
  tr_log_write(core->log, TR_LOG_WARN, "mailbox.crowded",
               "agent=%s/%s messages=%u limit=%u top_sender=%s%s%s sent=%u type=%s handler=%s bytes=%llu", class_->type->text, agent->key->text,
               agent->mail.count, class_->mailbox_limit, top.type ? top.type->text : "(outside)", top.key ? "/" : "",
               top.key ? top.key->text : "", top.count, top.message ? top.message->text : "(many)", place,
               (unsigned long long)tr_agent_mail_bytes(agent));
}
