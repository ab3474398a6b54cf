/* SPDX-License-Identifier: MIT
 * What consoles need of this room's other files (console.c, visit.c, show.c). A part of internal.h, which includes it where the types that
 * it builds on are there. */
#ifndef TR_SCRIPT_CONSOLES_H
#define TR_SCRIPT_CONSOLES_H

/* --- console.c --- */
void tr_instance_add_time(tr_instance *instance, tr_time begun); /* it has run since then */

/* --- life.c --- */
typedef struct tr_failures { uint32_t count; tr_time at; const char *text; } tr_failures; /* the last one; text NULL: none */
tr_failures tr_instance_failures(const tr_instance *instance);

/* --- show.c: values for people's eyes --- */
typedef enum { TR_SHOW_LUA = 0, TR_SHOW_JSON } tr_show_style;
/* The value at `at`, whatever it is, to `out`: without metamethods, the keys of maps in order, deep and long values cut at about `limit`
 * bytes. lua: [-0, +0, m] */
void tr_show(lua_State *L, int at, tr_show_style style, size_t limit, tr_buf *out);

/* --- visit.c --- */
static inline bool tr_turn_is_visit(const tr_turn *turn) { return turn->msg && turn->msg->more && turn->msg->more->visit; }
const char *tr_turn_what(const tr_turn *turn); /* the message's type; "init", "close", "program", "console" */
int tr_visit_begin(lua_State *L, tr_instance *instance, int at, tr_lua_turn *lt); /* the number of arguments, on its coroutine */

/* --- timer.c --- */
/* Each timer of the instance: in how long it fires, and its period (0: once). */
typedef void (*tr_timer_each_fn)(void *ud, const tr_name *type, tr_time in, tr_time period);
void tr_script_timers_each(const tr_instance *instance, tr_timer_each_fn fn, void *ud);

#endif
