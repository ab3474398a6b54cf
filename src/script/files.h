/* SPDX-License-Identifier: MIT
 * Files of scripts: loading one, loading it again, and going back to what it was. A part of internal.h,
 * which includes it where the types that it builds on are there. */
#ifndef TR_SCRIPT_FILES_H
#define TR_SCRIPT_FILES_H

/* --- versions.c: what files were, for going back --- */
typedef struct tr_version { tr_link link; uint32_t number, origin; tr_code *code; } tr_version; /* origin: the number at which it came up first; 0: its own */
tr_version *tr_version_new(tr_mem *mem, tr_code *code); /* takes the reference when it succeeds; NULL: out of memory */
void tr_version_free(tr_mem *mem, tr_version *version); /* may be NULL */
void tr_file_keep(tr_script_file *file, tr_version *version); /* own: takes it; it serves now, as the script's number */
void tr_file_forget(tr_script_file *file);
const tr_version *tr_file_version_at(const tr_script_file *file, uint32_t number); /* NULL: it was not there */
bool tr_file_is_at(const tr_script_file *file, const tr_version *version);
/* Is it a number that can be gone back to? 0, or a code. */
int tr_version_check(const tr_script *script, uint32_t number, tr_error *error);
void tr_class_versions_add(tr_script_class *class_, tr_definition *def, uint32_t number); /* it serves from now on */
/* code.c */
uint64_t tr_code_hash(const tr_code *code);
const char *tr_code_next(const tr_code *code, const char *after, tr_slice *text); /* its paths: NULL starts and ends */
void tr_file_undone(tr_script_file *file, const tr_version *bad); /* it served, and was taken back */

tr_script *tr_reloading_script(const tr_reloading *reloading); /* reload.c */
size_t tr_reloading_texts(const tr_reloading *reloading, tr_code **out, size_t room); /* of the files that it stages: how many there are; borrowed */
tr_code *tr_prepared_find(const tr_prepared *prepared, const char *name); /* prepared.c; prepared may be NULL. NULL: that file has not changed */

/* --- load.c, reload.c --- */
typedef struct tr_stage { /* one version of a file, compiled, run and checked */
  tr_script *script;
  const char *name;
  tr_slice source;
  char *const *args;
  size_t argc;
  tr_error *error;
  tr_link definitions;
  tr_version *version; /* its texts; NULL: it has none */
  int unit_ref;
  int table_ref; /* instead of a source: what it would return; 0: none */
} tr_stage;
struct tr_script_file {
  tr_link all;
  tr_script *script;
  char *name;
  char **args;
  size_t argc;
  char *source; /* of one that was loaded from memory */
  size_t source_size;
  bool from_memory;
  uint64_t hash;
  uint64_t undone; /* texts that were taken back: not again before they have changed. 0: none; */
  uint32_t undone_number; /* and which version that was */
  tr_link classes;
  tr_link versions; /* tr_version, the oldest first; the last one serves */
  int unit_ref;
};
int tr_stage_run(tr_stage *stage); /* 0 or a code with file:line; tr_stage_fini in any case */
void tr_stage_fini(tr_stage *stage);
int tr_script_load_table(tr_script *script, int table_ref, const char *name, tr_error *error); /* as tr_script_load, of a foreign one */
tr_script_file *tr_script_file_find(const tr_script *script, const char *name);
void tr_script_file_free(tr_script_file *file);
/* Replace what the file knows of its source by the stage's. */
void tr_script_file_take(tr_script_file *file, tr_stage *stage);
int tr_file_set_args(tr_script_file *file, const tr_slice *args, size_t argc);
tr_link *tr_script_file_modules(const tr_script_file *file); /* of tr_module; NULL: none */
/* Reload those of the files that changed, all or nothing. `source` (p NULL: read it) is for a single file. */
int tr_reload(tr_script *script, tr_script_file *const *files, size_t count, const tr_reload_options *options, size_t *changed,
              tr_error *error);

#endif
