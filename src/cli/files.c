/* SPDX-License-Identifier: MIT
 * The scripts that a command line names: files, and folders, whose *.lua are meant. */
#include <dirent.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "cli/cli.h"

#define ARGUMENTS_MAX 64

static int is_script(const struct dirent *entry) {
  size_t n = strlen(entry->d_name);
  if (n < 5 || entry->d_name[0] == '.' || strcmp(entry->d_name + n - 4, ".lua")) return 0;
  return n < 9 || strcmp(entry->d_name + n - 9, "_spec.lua") != 0;
}

/* The scripts directly in a folder, in order of their names; shared modules lie in subfolders. */
static int each_in_folder(const cli_verb *verb, const char *folder, cli_file_fn fn, void *ud) {
  struct dirent **entries;
  int n = scandir(folder, &entries, is_script, alphasort), rc = CLI_OK;
  if (n < 0) return cli_fail(CLI_FAILED, verb->name, "%s: cannot be read", folder);
  if (n == 0) rc = cli_fail(CLI_FAILED, verb->name, "%s: there is no *.lua directly in this folder", folder);
  for (int i = 0; i < n; i++) {
    char path[4096];
    if (rc == CLI_OK) {
      size_t length = strlen(folder);
      snprintf(path, sizeof path, "%s%s%s", folder, length && folder[length - 1] == '/' ? "" : "/", entries[i]->d_name);
      rc = fn(path, ud);
    }
    free(entries[i]);
  }
  free(entries);
  return rc;
}

int cli_each_file(const cli_verb *verb, const cli_args *args, cli_file_fn fn, void *ud) {
  for (int i = 0; i < args->count; i++) {
    struct stat st;
    bool folder = stat(args->words[i], &st) == 0 && S_ISDIR(st.st_mode);
    int rc = folder ? each_in_folder(verb, args->words[i], fn, ud) : fn(args->words[i], ud);
    if (rc) return rc;
  }
  return CLI_OK;
}

typedef struct loading { troupe_t *rt; const cli_verb *verb; tr_slice rest[ARGUMENTS_MAX]; size_t count; } loading;

static int load(const char *path, void *ud) {
  loading *l = ud;
  if (tr_runtime_load(l->rt, path, l->rest, l->count)) return cli_fail(CLI_FAILED, l->verb->name, "%s", troupe_error(l->rt));
  return CLI_OK;
}

int cli_load_all(troupe_t *rt, const cli_verb *verb, const cli_args *args) {
  loading l = { .rt = rt, .verb = verb, .count = (size_t)args->rest_count };
  if (l.count > ARGUMENTS_MAX) return cli_fail(CLI_USAGE, verb->name, "more than %d arguments after --", ARGUMENTS_MAX);
  for (size_t i = 0; i < l.count; i++) l.rest[i] = tr_slice_of(args->rest[i]);
  return cli_each_file(verb, args, load, &l);
}
