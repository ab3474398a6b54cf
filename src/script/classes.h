/* SPDX-License-Identifier: MIT
 * Agent types and their instances. A part of internal.h, which includes it where the types that it builds on are there. */
#ifndef TR_SCRIPT_CLASSES_H
#define TR_SCRIPT_CLASSES_H

/* --- class.c: agent types and instances --- */
struct tr_script_class {
  tr_link all;      /* of the script */
  tr_link by_file;
  tr_script *script;
  tr_script_file *file;
  tr_script_class *whole; /* this is what one instance with a state of its own sees of it; NULL: it is the type itself */
  tr_class *core_class;
  tr_definition *def;
  tr_definition *canary; /* what serves some of its keys; NULL: there is none */
  bool fresh;       /* the whole type is the canary's */
  uint32_t failed, failed_canary; /* turns, since that began */
  tr_link versions; /* tr_definition: those that something still holds, the oldest first */
  tr_link subs;     /* of the definition, active */
  tr_link run_subs; /* made by ctx:subscribe */
  uint32_t run_sub_count;
  bool started;
  bool reloaded;    /* since its program began */
  bool restores;    /* there is, or was, saved state for it: its instances begin with an INIT turn */
  tr_link idle;     /* instances that may be put out of memory, the one idle longest first */
  tr_timer idle_timer;
  tr_map told;      /* what was said once: keys own their text */
};
struct tr_instance { /* a userdata; its user value is `self`. A million of them may be idle: what few need is in `more` */
  tr_agent *agent;  /* NULL: gone */
  tr_script_class *class_;
  tr_definition *def; /* the version it is on */
  struct tr_instance_more *more; /* never NULL: an empty one that is the script's, not to be written to, until it needs its own */
  bool save_failed;
  bool live;   /* it was brought to its state: its INIT turn went well, or it needed none */
  bool stored; /* in the file of the end already */
  bool has_self, pinned; /* pinned: its migration failed, so it stays on its version */
  bool late; /* a reload left it behind, with an open turn: its end lists it (late.c) */
  bool anew; /* its canary was undone, and there is no way back for its state: it begins anew */
  uint32_t account; /* of its memory */
};
/* Its own: NULL where memory ran out. */
tr_instance_more *tr_instance_get_more(tr_instance *instance);
static inline tr_script_class *tr_class_whole(tr_script_class *class_) { return class_->whole ? class_->whole : class_; }
tr_script_class *tr_script_class_new(tr_script *script, tr_script_file *file, tr_definition *def, tr_error *error);
void tr_script_class_remove(tr_script_class *class_); /* from the core too */
tr_class_options tr_script_class_options(tr_script_class *class_, const tr_definition *def);
/* true the first time for this text. */
bool tr_script_class_once(tr_script_class *class_, const char *what, tr_slice text);
/* The instance of an agent, pushed; made at first use. [-0, +1, m] */
tr_instance *tr_instance_push(lua_State *L, tr_script_class *class_, tr_agent *agent);
void tr_instance_set_def(tr_instance *instance, tr_definition *def); /* takes a reference of its own */
bool tr_instance_is_open(const tr_instance *instance); /* it has turns that have begun */
/* Bring it to the class' definition before a turn, but not to another version of the state while others are open. lua: the instance at `at` */
void tr_instance_adopt(lua_State *L, tr_instance *instance, int at);
/* late.c: a reload leaves it as it is, and this is to be its code: it follows when its open turns have ended. None of these raises. */
void tr_instance_left_behind(tr_instance *instance, const tr_definition *def);
void tr_instance_list_late(tr_instance *instance) TR_COLD; /* a turn of one that is late has ended */
int tr_instance_catch_up(tr_instance *instance, tr_error *error); /* in its state; it may be gone then */
void tr_script_catch_up(tr_script *home) TR_COLD; /* some of those */
/* Make `self` from the default state (not a function). */
void tr_instance_make_self(lua_State *L, tr_instance *instance, int at);
/* The table on the top becomes `self`: methods behind it; a clash is an error text, else NULL. [-1, +0, m] */
const char *tr_instance_set_self(lua_State *L, tr_instance *instance, int at);
void tr_instance_set_methods(lua_State *L, const tr_definition *def); /* behind the table on the top */
/* Top-level fields that a newer definition's state has and `self` (on the top) lacks. */
void tr_instance_defaults(lua_State *L, tr_instance *instance, const tr_definition *def);
/* The same in good order, closing its instances; the class is freed when the last one has left. Its saved states are forgotten. */
void tr_script_class_retire(tr_script_class *class_);
void tr_script_class_free(tr_script_class *class_); /* once the core has let go of it */

/* The class that the core's is, if it is one of this room's. */
tr_script_class *tr_script_class_of(const tr_class *class_);

#endif
