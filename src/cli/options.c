/* SPDX-License-Identifier: MIT
 * Command lines: one table row per option, from which parsing, --help and error messages all come. */
#include <stdlib.h>
#include <string.h>

#include "base/text.h"
#include "cli/cli.h"

static const cli_option help_option = { "help", 'h', NULL, "show this", NULL };

static int find(const cli_verb *verb, const char *name, size_t length) {
  for (int i = 0; verb->options[i].name; i++)
    if (strlen(verb->options[i].name) == length && memcmp(verb->options[i].name, name, length) == 0) return i;
  return -1;
}

static int find_letter(const cli_verb *verb, char letter) {
  for (int i = 0; verb->options[i].name; i++)
    if (verb->options[i].letter == letter) return i;
  return -1;
}

static int unknown(const cli_verb *verb, const char *word) {
  const char *names[CLI_OPTIONS_MAX + 1];
  size_t n = 0, length = strcspn(word, "=");
  for (; verb->options[n].name; n++) names[n] = verb->options[n].name;
  names[n] = NULL;
  const char *nearest = length > 2 ? tr_text_nearest(tr_slice_make(word + 2, length - 2), names) : NULL;
  if (nearest)
    return cli_fail(CLI_USAGE, verb->name, "unknown option %.*s (did you mean --%s? see troupe %s --help)", (int)length, word,
                    nearest, verb->name);
  return cli_fail(CLI_USAGE, verb->name, "unknown option %.*s (see troupe %s --help)", (int)length, word, verb->name);
}

static bool repeats(const cli_option *option) {
  size_t n = option->argument ? strlen(option->argument) : 0, dots = strlen("…");
  return n > dots && strcmp(option->argument + n - dots, "…") == 0;
}

static int repeat(const cli_verb *verb, cli_args *args, int index) {
  if (args->repeat_count == CLI_REPEATS_MAX)
    return cli_fail(CLI_USAGE, verb->name, "--%s: more than %d options that may be repeated", verb->options[index].name, CLI_REPEATS_MAX);
  args->repeats[args->repeat_count].option = index;
  args->repeats[args->repeat_count++].value = args->value[index];
  return 0;
}

/* One option word at argv[*at]; *at is left on its last word. */
static int parse_option(const cli_verb *verb, int argc, char **argv, int *at, cli_args *args) {
  const char *word = argv[*at], *equals = NULL;
  int index;
  if (word[1] == '-') {
    equals = strchr(word, '=');
    index = find(verb, word + 2, equals ? (size_t)(equals - word - 2) : strlen(word + 2));
  } else {
    index = word[2] ? -1 : find_letter(verb, word[1]);
  }
  if (index < 0) return unknown(verb, word);
  const cli_option *option = &verb->options[index];
  if (!option->argument) {
    if (equals) return cli_fail(CLI_USAGE, verb->name, "--%s takes no value", option->name);
    args->value[index] = "";
  } else if (equals) {
    args->value[index] = equals + 1;
  } else if (*at + 1 < argc) {
    args->value[index] = argv[++*at];
    args->taken = index + 1;
  } else {
    return cli_fail(CLI_USAGE, verb->name, "--%s needs a value: --%s %s", option->name, option->name, option->argument);
  }
  return repeats(option) ? repeat(verb, args, index) : 0;
}

static bool is_number_of_seconds(const char *text, double *value) {
  char *end;
  *value = strtod(text, &end);
  return end != text && !*end && *value >= 0 && *value <= 1e9;
}

static bool takes_seconds(const cli_option *option) { return option->argument && strcmp(option->argument, "S") == 0; }

static int not_seconds(const cli_verb *verb, const char *name, const char *text) {
  return cli_fail(CLI_USAGE, verb->name, "--%s: \"%s\" is not a number of seconds", name, text);
}

/* Often the word that is missing went to an option that wants a value. */
static int wrong_count(const cli_verb *verb, const cli_args *args) {
  const cli_option *option = args->taken && args->count == 0 && verb->minimum > 0 ? &verb->options[args->taken - 1] : NULL;
  const char *value = option ? args->value[args->taken - 1] : "";
  double seconds;
  if (option && takes_seconds(option) && !is_number_of_seconds(value, &seconds)) return not_seconds(verb, option->name, value);
  if (option)
    return cli_fail(CLI_USAGE, verb->name, "usage: troupe %s %s (\"%s\" is the value of --%s; see troupe %s --help)", verb->name, verb->usage, value,
                    option->name, verb->name);
  if (args->count > verb->maximum && verb->maximum >= 0)
    return cli_fail(CLI_USAGE, verb->name, "usage: troupe %s %s (\"%s\" is too much; see troupe %s --help)", verb->name, verb->usage,
                    args->words[verb->maximum], verb->name);
  return cli_fail(CLI_USAGE, verb->name, "usage: troupe %s %s (see troupe %s --help)", verb->name, verb->usage, verb->name);
}

int cli_parse(const cli_verb *verb, int argc, char **argv, cli_args *args) {
  memset(args, 0, sizeof *args);
  args->words = (const char **)argv; /* positional words are moved to the front */
  for (int i = 0; i < argc; i++) {
    const char *word = argv[i];
    if (strcmp(word, "--") == 0 && verb->maximum < 0) { /* for the scripts */
      args->rest = (const char **)argv + i + 1;
      args->rest_count = argc - i - 1;
      break;
    }
    if (strcmp(word, "--") == 0) { /* no options any more: troupe call a Add -- -5 */
      while (++i < argc) args->words[args->count++] = argv[i];
      break;
    }
    if (strcmp(word, "--help") == 0 || strcmp(word, "-h") == 0) {
      cli_help(verb, stdout);
      return -1;
    }
    if (word[0] == '-' && word[1]) {
      int rc = parse_option(verb, argc, argv, &i, args);
      if (rc) return rc;
    } else {
      args->words[args->count++] = word;
    }
  }
  for (int i = 0; verb->options[i].name; i++)
    if (!args->value[i] && verb->options[i].environment) {
      const char *value = getenv(verb->options[i].environment);
      args->value[i] = value && *value ? value : NULL;
    }
  if (args->count < verb->minimum || (verb->maximum >= 0 && args->count > verb->maximum))
    return wrong_count(verb, args);
  return 0;
}

const char *cli_get(const cli_verb *verb, const cli_args *args, const char *name) {
  int index = find(verb, name, strlen(name));
  return index < 0 ? NULL : args->value[index];
}

int cli_get_all(const cli_verb *verb, const cli_args *args, const char *name, const char **out, int most) {
  int index = find(verb, name, strlen(name)), n = 0;
  for (int i = 0; i < args->repeat_count && n < most; i++)
    if (args->repeats[i].option == index) out[n++] = args->repeats[i].value;
  if (n == 0 && most > 0 && index >= 0 && args->value[index]) out[n++] = args->value[index];
  return n;
}

bool cli_seconds(const cli_verb *verb, const cli_args *args, const char *name, tr_time fallback, tr_time *out) {
  const char *text = cli_get(verb, args, name);
  *out = fallback;
  if (!text) return true;
  double value;
  if (!is_number_of_seconds(text, &value)) {
    not_seconds(verb, name, text);
    return false;
  }
  *out = TR_SECONDS(value);
  return true;
}

bool cli_size(const cli_verb *verb, const cli_args *args, const char *name, uint64_t fallback, uint64_t *out) {
  const char *text = cli_get(verb, args, name);
  *out = fallback;
  if (!text) return true;
  char *end;
  unsigned long long value = strtoull(text, &end, 10);
  int shift = *end == 'K' || *end == 'k' ? 10 : *end == 'M' || *end == 'm' ? 20 : *end == 'G' || *end == 'g' ? 30 : 0;
  if (shift) end++;
  if (end == text || *end || *text == '-' || value == 0 || value > (1ull << 40 >> shift)) {
    const char *what = verb->options[find(verb, name, strlen(name))].argument;
    bool number = what && strcmp(what, "N") == 0;
    cli_fail(CLI_USAGE, verb->name, "--%s: \"%s\" is not %s", name, text, number ? "a number from 1" : "a size in bytes (4194304, 4M, 512K)");
    return false;
  }
  *out = (uint64_t)value << shift;
  return true;
}

int cli_columnless(const char *text) {
  int n = 0;
  for (; *text; text++) n += (*text & 0xC0) == 0x80;
  return n;
}

static void option_help(const cli_option *option, FILE *out) {
  char left[64];
  snprintf(left, sizeof left, "%s%c%s --%s%s%s", option->letter ? "-" : " ", option->letter ? option->letter : ' ',
           option->letter ? "," : " ", option->name, option->argument ? " " : "", option->argument ? option->argument : "");
  fprintf(out, "  %-*s %s", 28 + cli_columnless(left), left, option->help);
  if (option->environment) fprintf(out, " [or $%s]", option->environment);
  fputc('\n', out);
}

void cli_help(const cli_verb *verb, FILE *out) {
  fprintf(out, "troupe %s %s\n\n%s\n\n", verb->name, verb->usage, verb->summary ? verb->summary : "");
  for (const cli_option *option = verb->options; option->name; option++) option_help(option, out);
  option_help(&help_option, out);
  fprintf(out, "\nFor example:\n%s\n", verb->example);
}

void cli_help_all(FILE *out) {
  fprintf(out, "troupe: a Lua-scriptable agent host\n\nusage: troupe VERB …   (troupe VERB --help tells more)\n\n");
  for (int i = 0; cli_verbs[i]; i++)
    if (cli_verbs[i]->summary) fprintf(out, "  %-12s %s\n", cli_verbs[i]->name, cli_verbs[i]->summary);
  fprintf(out, "\n  --version    versions of troupe and of the libraries in it\n\n"
               "An agent is a Lua file that returns a table:\n"
               "  return { type = \"greeter\", on = { Greeting = function(self, message, ctx) return { content = \"hello\" } end } }\n");
}
