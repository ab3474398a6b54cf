/* SPDX-License-Identifier: MIT
 * troupe cert: certificates to develop with. One folder holds a CA and what it has signed; the first run makes the CA. Keys are for
 * their owner's eyes (mode 0600), and nothing that is there is overwritten. */
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "cli/cli.h"

#define DAY 86400L
#define NAMES_MAX 32

typedef struct maker { const cli_verb *verb; const char *folder; tr_mem mem; tr_buf cert, key, ca_cert, ca_key; } maker;

static bool there(const maker *m, const char *name) {
  char path[1024];
  snprintf(path, sizeof path, "%s/%s.pem", m->folder, name);
  return access(path, F_OK) == 0;
}

static int write_new(const maker *m, const char *name, const char *ending, mode_t mode, const tr_buf *text) {
  char path[1024];
  snprintf(path, sizeof path, "%s/%s%s", m->folder, name, ending);
  int fd = open(path, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, mode);
  if (fd < 0) return cli_fail(CLI_FAILED, m->verb->name, "%s: %s", path, errno == EEXIST ? "it exists already, and is left as it is" : strerror(errno));
  ssize_t n = write(fd, text->data, text->len);
  if (close(fd) || n != (ssize_t)text->len) return cli_fail(CLI_FAILED, m->verb->name, "%s: %s", path, strerror(errno));
  printf("%s\n", path);
  return CLI_OK;
}

static int read_all(const maker *m, const char *ending, tr_buf *out) {
  char path[1024], block[4096];
  size_t n;
  snprintf(path, sizeof path, "%s/ca%s", m->folder, ending);
  FILE *file = fopen(path, "r");
  if (!file) return cli_fail(CLI_FAILED, m->verb->name, "%s: %s", path, strerror(errno));
  while ((n = fread(block, 1, sizeof block, file)) > 0) tr_buf_append(out, block, n);
  fclose(file);
  return CLI_OK;
}

static int make(maker *m, tr_cert_kind kind, const char *file, const char *name, const char *const *names, long days) {
  tr_error error;
  tr_error_init(&error);
  tr_cert_request request = { .kind = kind, .name = name, .names = names, .from = -3600, .until = days * DAY };
  tr_buf_clear(&m->cert);
  tr_buf_clear(&m->key);
  if (tr_runtime_make_cert(&request, tr_buf_view(&m->ca_cert), tr_buf_view(&m->ca_key), &m->cert, &m->key, &error))
    return cli_fail(CLI_FAILED, m->verb->name, "%s", error.text);
  int rc = write_new(m, file, ".key", 0600, &m->key); /* the key first: a certificate without one would look whole */
  return rc ? rc : write_new(m, file, ".pem", 0644, &m->cert);
}

static int need_ca(maker *m) {
  int rc = there(m, "ca") ? CLI_OK : make(m, TR_CERT_CA, "ca", "troupe development CA", NULL, 3650);
  if (rc == CLI_OK) rc = read_all(m, ".pem", &m->ca_cert);
  return rc ? rc : read_all(m, ".key", &m->ca_key);
}

/* A host answers to what it is called on this machine, and to what was asked for. */
static size_t host_names(const cli_verb *verb, const cli_args *args, char *own, size_t size, const char **names) {
  const char *asked[CLI_REPEATS_MAX];
  size_t n = 0, count = (size_t)cli_get_all(verb, args, "name", asked, CLI_REPEATS_MAX);
  for (size_t i = 0; i < count && n < NAMES_MAX - 4; i++) names[n++] = asked[i];
  names[n++] = "localhost";
  names[n++] = "127.0.0.1";
  names[n++] = "::1";
  if (gethostname(own, size - 1) == 0 && *own) names[n++] = own;
  names[n] = NULL;
  return n;
}

static int make_keys(maker *m, const char *name) {
  tr_buf_clear(&m->cert);
  tr_buf_clear(&m->key);
  if (tr_runtime_make_keys(name, &m->key, &m->cert)) return cli_fail(CLI_FAILED, m->verb->name, "out of memory");
  int rc = write_new(m, name, ".sign", 0600, &m->key);
  return rc ? rc : write_new(m, name, ".verify", 0644, &m->cert);
}

static int make_one(maker *m, const cli_args *args, const char *what, const char *name, long days) {
  const char *names[NAMES_MAX + 1];
  char own[256] = "";
  if (strcmp(what, "ca") == 0) return make(m, TR_CERT_CA, "ca", "troupe development CA", NULL, days);
  if (strcmp(what, "sign") == 0) return make_keys(m, name);
  int rc = need_ca(m);
  if (rc) return rc;
  if (strcmp(what, "client") == 0) return make(m, TR_CERT_CLIENT, name, name, NULL, days);
  host_names(m->verb, args, own, sizeof own, names);
  return make(m, TR_CERT_HOST, name ? name : "host", names[0], names, days);
}

static int check(const cli_verb *verb, const char *what, const char *name) {
  bool named = strcmp(what, "client") == 0 || strcmp(what, "sign") == 0;
  if (strcmp(what, "ca") && strcmp(what, "host") && !named)
    return cli_fail(CLI_USAGE, verb->name, "\"%s\": there are ca, host, client and sign", what);
  if (named && !name) return cli_fail(CLI_USAGE, verb->name, "%s needs a name: troupe cert %s NAME", what, what);
  if (name && (!*name || strlen(name) > 64 || strchr(name, '/') || *name == '.' || strcmp(name, "ca") == 0))
    return cli_fail(CLI_USAGE, verb->name, "\"%.80s\": a name is 1 to 64 characters, without /, and not ca", name);
  return CLI_OK;
}

static int run_cert(const cli_verb *verb, cli_args *args) {
  const char *what = args->words[0], *name = args->count > 1 ? args->words[1] : NULL, *folder = cli_get(verb, args, "folder");
  uint64_t days;
  int rc = check(verb, what, name);
  if (rc) return rc;
  if (!cli_size(verb, args, "days", strcmp(what, "ca") ? 365 : 3650, &days)) return CLI_USAGE;
  if (days < 1 || days > 36500) return cli_fail(CLI_USAGE, verb->name, "--days: from 1 to 36500");
  maker m = { .verb = verb, .folder = folder ? folder : "certs" };
  if (mkdir(m.folder, 0700) && errno != EEXIST) return cli_fail(CLI_FAILED, verb->name, "%s: %s", m.folder, strerror(errno));
  tr_buf *const bufs[] = { &m.cert, &m.key, &m.ca_cert, &m.ca_key };
  tr_mem_init(&m.mem);
  for (int i = 0; i < 4; i++) tr_buf_init(bufs[i], &m.mem);
  rc = make_one(&m, args, what, name, (long)days);
  for (int i = 0; i < 4; i++) {
    if (bufs[i]->data) memset(bufs[i]->data, 0, bufs[i]->cap);
    tr_buf_fini(bufs[i]);
  }
  return rc;
}

static const cli_option cert_options[] = {
  { "folder", 'd', "FOLDER", "where they are (certs)", NULL },
  { "name", 'n', "NAME…", "host: a DNS name or IP address it is for, beside localhost and this machine's; may be given several times", NULL },
  { "days", 0, "N", "valid for so long (365; ca: 3650)", NULL }, { NULL, 0, NULL, NULL, NULL },
};

const cli_verb cli_cert = {
  "cert", "ca|host|client|sign [NAME]", "Make certificates for development: a CA, hosts', clients'; keys that sign messages. Nothing that exists is overwritten.",
  "  troupe cert host --name my.host.example\n  troupe cert client anna\n  troupe cert sign anna   # anna.sign for --sign-key, anna.verify for others' --verify-keys\n"
  "  troupe host --listen tls:0.0.0.0:50051 --tls-cert certs/host.pem --tls-key certs/host.key --tls-client-ca certs/ca.pem\n"
  "  troupe call echo Hi --host tls:my.host.example:50051 --tls-ca certs/ca.pem --tls-cert certs/anna.pem --tls-key certs/anna.key",
  cert_options, 1, 2, run_cert,
};
