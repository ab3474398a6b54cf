/* SPDX-License-Identifier: MIT
 * What a file's table says, once it is read: handlers, subscriptions, policies, and the schemas of message types. A part of
 * internal.h, which includes it where the types that it builds on are there. */
#ifndef TR_SCRIPT_DEFINITIONS_H
#define TR_SCRIPT_DEFINITIONS_H

/* --- definition.c, fields.c, handlers.c, subscriptions.c: what a file's table says --- */
typedef struct tr_handler { tr_name *type; int ref; bool list; } tr_handler; /* list: { match|false, handle, … } */
typedef struct tr_handlers { tr_handler *items; size_t cap; tr_handler star; } tr_handlers;
typedef struct tr_handler_set { /* counted: agents of one file that give the same tables share it */
  unsigned refs;
  tr_handlers requests, events_apart;
  const tr_handlers *events; /* the requests' own, where there is neither `on_request` nor `on_event` */
  const void *from[3];       /* those tables, to compare with another agent's while the file is read */
} tr_handler_set;
typedef struct tr_sub_spec {
  tr_link link;
  tr_script *script;
  tr_sub_kind kind;
  char *topic, *key; /* NUL-terminated; key NULL: the source */
  size_t topic_size, key_size; /* of the blocks */
  bool all, custom;
  int match_ref, agent_ref;
  bool over; /* they met a limit: not asked any more */
  uint64_t id;  /* the core's, once active */
  uint64_t number; /* what ctx:subscribe returned; 0: the definition's own */
  tr_buf found; /* what agent() said */
} tr_sub_spec;
typedef struct tr_key_spec { char *text; size_t size; } tr_key_spec;
typedef struct tr_tick_spec { tr_name *type; tr_time period; } tr_tick_spec;
typedef struct tr_schema_set tr_schema_set;
typedef struct tr_priority_spec { tr_name *type; tr_priority priority; } tr_priority_spec;
typedef struct tr_reply_spec { tr_name *request, *reply; } tr_reply_spec;

typedef enum { TR_FAIL_CONTINUE = 0, TR_FAIL_RESTART, TR_FAIL_STOP } tr_fail_action;

struct tr_definition {
  unsigned refs;
  tr_link link; /* of its stage */
  tr_link held; /* of its class's versions */
  uint32_t number;    /* of the reload that brought it (versions.c) */
  uint32_t instances; /* that are on it */
  tr_script *script;
  char *type;
  size_t type_size;
  bool program, flat_state, nulls_keep, reentrant, requeue, shared;
  bool luv;      /* its file has required luv */
  bool own;      /* vm = "own" */
  tr_code *code; /* own: what each instance's state runs; NULL in those states */
  int table_ref; /* the agent's table, or the program's function */
  int env_ref; /* what its file sees; LUA_NOREF: it was given as a table */
  int state_ref, methods_ref, meta_ref, init_ref, migrate_ref, close_ref, save_ref, restore_ref; /* LUA_NOREF: none */
  bool state_is_function;
  int state_fields; /* of a flat state */
  lua_Integer version;
  tr_time timeout; /* TR_NEVER: none */
  uint64_t instructions, messages; /* messages: 0: no limit */
  tr_time turn_time;
  size_t memory;
  uint32_t timer_limit;
  uint32_t sub_limit;      /* made by ctx:subscribe, of the type */
  uint32_t instance_limit; /* 0: the core's own */
  uint32_t mailbox_limit; /* these two: 0: the core's own */
  uint64_t mailbox_bytes;
  tr_overflow overflow;
  tr_handler_set *handlers; /* NULL: a program */
  tr_link subs; /* tr_sub_spec, moved to the class when it becomes active */
  tr_tick_spec *ticks;
  size_t tick_count;
  tr_reply_spec *replies;
  size_t reply_count;
  tr_schema_set *schemas; /* NULL: none */
  tr_priority_spec *priorities;
  size_t priority_count;
  tr_time idle;      /* 0: instances stay in memory */
  uint32_t pool;
  uint32_t fail_limit; /* 0: failures are not counted */
  tr_time fail_within;
  tr_fail_action fail_action;
  bool autostart_default;
  tr_key_spec *shards;
  size_t shard_count, shard_cap;
  tr_key_spec *autostart;
  size_t autostart_count;
};
/* Where errors about a definition point to. */
typedef struct tr_place { const char *name; tr_slice source; tr_error *error; } tr_place;

tr_definition *tr_definition_new(tr_script *script);
void tr_definition_unref(tr_definition *definition); /* does not raise */
/* Read the agent's table on the top into `definition`. `before`: another of the same reading of the file, or NULL.
 * 0 or a code naming file, line, what was expected. [-1, +0, m] */
int tr_definition_read(lua_State *L, tr_definition *definition, const tr_definition *before, const tr_place *place);
tr_priority tr_definition_priority(const tr_definition *definition, const tr_name *type);
int tr_definition_error(const tr_place *place, const char *parent, const char *key, const char *format, ...)
    __attribute__((format(printf, 4, 5)));
/* "a table" */
const char *tr_type_name(lua_State *L, int at);
int tr_raw_field(lua_State *L, int at, const char *name); /* as lua_getfield, without metamethods */
/* TR_EINVALID unless every key of the table at `at` is one of `names`. parent: the key in the source behind which they
 * stand, NULL for the agent's own table; of: what they are keys of, as the error calls it. */
int tr_fields_known(lua_State *L, int at, const tr_place *place, const char *parent, const char *of,
                    const char *const *names);
/* ":12" or "" */
void tr_fields_line(const tr_place *place, const char *parent, const char *key, char *out, size_t size);
enum { TR_KEY_ON = 1, TR_KEY_ON_EVENT, TR_KEY_ON_REQUEST }; /* their bits, below */
/* keys.c: are all keys known, and their values of the right type? A bit for each that is there. Then read those. */
int tr_keys_check(lua_State *L, int table, const tr_place *place, uint64_t *present);
int tr_keys_read(lua_State *L, int table, uint64_t present, tr_definition *definition, const tr_place *place);
int tr_handlers_read(lua_State *L, int table, uint64_t present, tr_definition *definition, const tr_definition *before,
                     const tr_place *place);
void tr_handlers_unref(tr_script *script, tr_handler_set *set); /* does not raise; NULL is fine */
const tr_handler *tr_handlers_find(const tr_definition *definition, const tr_msg *msg); /* NULL: none */
int tr_subs_read(lua_State *L, int at, tr_definition *definition, const tr_place *place);
/* Of the whole type's, made while it runs: an active one becomes its; one of its is given up, and freed. */
void tr_run_sub_add(tr_script_class *class_, tr_sub_spec *sub);
void tr_run_sub_drop(tr_script_class *class_, tr_sub_spec *sub);
/* One form at `at`: *out, or a code with text in *error (no place). */
int tr_sub_spec_read(lua_State *L, int at, tr_sub_spec **out, tr_error *error);
void tr_sub_spec_free(tr_sub_spec *sub); /* does not raise */
bool tr_subs_have(const tr_definition *definition, const tr_sub_spec *sub); /* among those not active yet */
bool tr_sub_spec_same(const tr_sub_spec *a, const tr_sub_spec *b);
tr_shared_sub tr_sub_spec_shared(const tr_sub_spec *sub, const char *type); /* borrows; not of the function form */
int tr_sub_spec_activate(tr_sub_spec *sub, tr_class *class_, tr_error *error);
static inline bool tr_sub_by_source(const tr_sub_spec *sub) { return !sub->all && !sub->custom && !sub->key; }
#define TR_SHARED_SUB \
  "a shared agent subscribes by the event's source alone, without `key`, `all` or `match`: by it the host decides which worker gets the event"
void tr_type_from_name(const char *name, char *out, size_t size); /* "agents/my agent.lua" → "my_agent" */

/* --- schema.c, schema_read.c, schema_json.c: what bodies of a message type look like --- */
enum {
  TR_KIND_STRING = 1, TR_KIND_INTEGER = 2, TR_KIND_NUMBER = 4, TR_KIND_BOOLEAN = 8, TR_KIND_BYTES = 16,
  TR_KIND_LIST = 32, TR_KIND_MAP = 64, TR_KIND_NULL = 128,
  TR_KIND_ANY = 255
};
typedef struct tr_schema tr_schema;
typedef struct tr_schema_field { char *name; size_t length; tr_schema *value; bool required; } tr_schema_field;
typedef struct tr_schema_constant { int type; lua_Integer integer; double number; char *text; size_t length; } tr_schema_constant;
struct tr_schema { /* a node; they may lead to each other in circles */
  tr_schema *all;          /* of the set */
  unsigned kinds;
  bool closed;             /* a map: no other fields */
  uint8_t mark;            /* schema_read.c */
  double minimum, maximum; /* infinite: none */
  tr_schema *item, *extra; /* of a list; of fields that are not named. NULL: anything */
  tr_schema_field *fields; /* by name, once it is read */
  size_t field_count, field_cap, required;
  tr_schema_constant *constants;
  size_t constant_count;
};
struct tr_schema_set { /* of a definition */
  tr_script *script;
  tr_schema *all;
  struct tr_schema_entry { tr_name *type; tr_schema *schema; } *entries;
  size_t count, cap;
};
int tr_schemas_read(lua_State *L, int at, tr_definition *definition, const tr_place *place);
void tr_schemas_free(tr_schema_set *set); /* does not raise */
typedef struct tr_schema_reader {
  lua_State *L;
  tr_schema_set *set;
  const tr_place *place;
  const char *type;  /* whose schema it is */
  int memo;          /* stack index: table → its node */
  unsigned depth, refs;
  char path[200];
  size_t path_at;
} tr_schema_reader;
int tr_schema_fail(tr_schema_reader *reader, const char *format, ...) __attribute__((format(printf, 2, 3)));
tr_schema *tr_schema_new(tr_schema_reader *reader, unsigned kinds); /* raises out of memory */
tr_schema_field *tr_schema_field_get(tr_schema_reader *reader, tr_schema *schema, tr_slice name); /* found or new */
void tr_schema_sort(tr_schema *schema); /* its fields */
size_t tr_schema_enter(tr_schema_reader *reader, const char *format, ...) __attribute__((format(printf, 2, 3)));
int tr_schema_json(tr_schema_reader *reader, int at, tr_schema **out); /* the JSON Schema at `at` */
const tr_schema *tr_schema_of(const tr_definition *definition, const tr_name *type); /* NULL: any body */
/* The checked value at `at` (0: {}). 0, or TR_EINVALID naming the field. Does not raise. */
int tr_schema_check(lua_State *L, const tr_schema *schema, int at, const char *root, tr_error *error);
int tr_schema_check_body(lua_State *L, const tr_schema *schema, const tr_body *body, int slots, const char *root,
                         tr_error *error); /* [-0, +0, m] */

#endif
