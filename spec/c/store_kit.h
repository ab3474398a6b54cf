/* SPDX-License-Identifier: MIT
 * What the checks of the store share: a small snapshot, a folder of its own, errors by code and text. */
#ifndef STORE_KIT_H
#define STORE_KIT_H

#include "check.h"
#include "store/file.h"
#include "store/snapshot.h"

#define S(text) tr_slice_of(text)

/* The call fails with this code, and its text has this in it. */
#define FAILS(code_wanted, part, call)                                              \
  do {                                                                              \
    tr_error error;                                                                 \
    tr_error_init(&error);                                                          \
    CHECK_INT(call, ==, code_wanted);                                               \
    CHECK_INT(error.code, ==, code_wanted);                                         \
    if (!strstr(error.text, part)) CHECK_FAIL("\"%s\" has no \"%s\"", error.text, part); \
  } while (0)
#define WORKS(call)                                                                      \
  do {                                                                                   \
    tr_error error;                                                                      \
    tr_error_init(&error);                                                               \
    int works_err = call;                                                                \
    if (works_err) CHECK_FAIL("%s: %s: %s", #call, tr_error_name(works_err), error.text); \
  } while (0)

typedef struct sample { const char *kind, *key, *part; uint32_t version; const char *body; } sample;
extern const sample samples[];
#define SAMPLES 5

tr_record record_of(const sample *s);
/* The samples as a snapshot; freed with tr_buf_fini. */
tr_buf small_snapshot(void);
/* Opened, every body read and every name found; the first failure. */
int read_all(tr_slice bytes, tr_error *error);
int read_all_of_file(const char *path, tr_error *error);

/* A path in this case's own folder, which is made at the first call; valid until 8 calls later. */
const char *path_of(const char *name);
/* The names in that folder, in order, with a blank between; then the folder goes with everything in it. */
const char *folder_names(void);
void remove_folder(void);
void write_plainly(const char *path, tr_slice bytes);

#endif
