/* SPDX-License-Identifier: MIT
 * Intrusive doubly linked list: the link lies in the element, so joining and leaving allocate nothing.
 * An element that is in no list has next == NULL. */
#ifndef TR_BASE_LIST_H
#define TR_BASE_LIST_H

#include <stdbool.h>
#include <stddef.h>

typedef struct tr_link { struct tr_link *next, *prev; } tr_link;

#define TR_CONTAINER(ptr, type, member) ((type *)((char *)(ptr) - offsetof(type, member)))

static inline void tr_list_init(tr_link *head) { head->next = head->prev = head; }
static inline bool tr_list_empty(const tr_link *head) { return head->next == head; }
static inline bool tr_link_in(const tr_link *link) { return link->next != NULL; }
static inline void tr_list_push(tr_link *head, tr_link *link) { /* at the end */
  link->prev = head->prev; link->next = head; head->prev->next = link; head->prev = link;
}
static inline void tr_list_push_front(tr_link *head, tr_link *link) {
  link->next = head->next; link->prev = head; head->next->prev = link; head->next = link;
}
static inline void tr_link_remove(tr_link *link) { /* no-op when in no list */
  if (!link->next) return;
  link->prev->next = link->next; link->next->prev = link->prev; link->next = link->prev = NULL;
}
static inline tr_link *tr_list_pop(tr_link *head) { /* the first, or NULL */
  tr_link *link = head->next;
  if (link == head) return NULL;
  tr_link_remove(link);
  return link;
}

#endif
