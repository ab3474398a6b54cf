/* SPDX-License-Identifier: MIT
 * gRPC server reflection: a client (grpcurl, Postman, …) asks which services there are and what their messages look like,
 * and can then call them without having the .proto files. grpc.reflection.v1 and v1alpha are the same but for their names.
 *
 * The answers come from one google.protobuf.FileDescriptorSet that protoc makes of proto/ while troupe is built. It is
 * small, so a question walks it by tag; nothing is indexed, and a host that is never asked does nothing. A file is sent
 * with all that it imports, as the protocol has it. There are no extensions (proto3).
 *
 * A stream of questions has one answer each; who asks without reading the answers is cut off at QUEUED bytes. No client-id
 * is needed: who asks is no client. To have another file answered for, add it to SERVED in the Makefile. */
#include "host/internal.h"
#include "wire/reader.h"

extern const unsigned char tr_descriptors[];
extern const size_t tr_descriptors_size;

#define QUEUED (256u << 10)
#define ECHO 1024 /* bytes of a question that are repeated in its answer */

enum { BY_NAME = 3, BY_SYMBOL = 4, BY_EXTENSION = 5, EXTENSIONS_OF = 6, LIST = 7 };    /* fields of a question… */
enum { ORIGINAL = 2, ANSWER_FILES = 4, ANSWER_EXTENSIONS = 5, ANSWER_LIST = 6, ANSWER_ERROR = 7 }; /* …and of an answer */

typedef struct question { tr_slice host, text; unsigned kind; } question;

/* ---- reading descriptors ---- */

static bool next_field(tr_reader *reader, unsigned number, tr_slice *value) {
  tr_field field;
  while (tr_read_field(reader, &field) > 0)
    if (field.key == TR_FIELD_KEY(number)) {
      *value = field.value;
      return true;
    }
  return false;
}

static tr_slice first_of(tr_slice message, unsigned number) {
  tr_reader reader = tr_reader_of(message);
  tr_slice value;
  return next_field(&reader, number, &value) ? value : tr_slice_make("", 0);
}

static tr_reader all_files(void) { return tr_reader_of(tr_slice_make(tr_descriptors, tr_descriptors_size)); }

enum { NAME = 1, PACKAGE = 2, IMPORT = 3, SERVICE = 6 }; /* of a FileDescriptorProto */

/* What a descriptor may declare by name: the field it stands in, and the row of what it declares in turn. */
enum { OF_FILE, OF_MESSAGE, OF_SERVICE, NOTHING };
static const struct { unsigned field, holds; } declares_of[][4] = {
  [OF_FILE] = { { 4, OF_MESSAGE }, { 5, NOTHING }, { SERVICE, OF_SERVICE }, { 0, 0 } },
  [OF_MESSAGE] = { { 3, OF_MESSAGE }, { 4, NOTHING }, { 2, NOTHING }, { 0, 0 } },
  [OF_SERVICE] = { { 2, NOTHING }, { 0, 0 } },
  [NOTHING] = { { 0, 0 } },
};

/* "a.b" after "a" → "b". false: it does not begin so. */
static bool strip(tr_slice *name, tr_slice prefix) {
  if (prefix.n == 0) return true;
  if (name->n <= prefix.n || !tr_slice_starts(*name, prefix) || name->p[prefix.n] != '.') return false;
  *name = tr_slice_make(name->p + prefix.n + 1, name->n - prefix.n - 1);
  return true;
}

/* Depth is bounded by the schema: each step takes a name off. */
static bool declares(tr_slice scope, unsigned row, tr_slice name) {
  for (unsigned i = 0; declares_of[row][i].field; i++) {
    tr_reader reader = tr_reader_of(scope);
    for (tr_slice item; next_field(&reader, declares_of[row][i].field, &item);) {
      tr_slice own = first_of(item, NAME), rest = name;
      if (tr_slice_equal(own, name)) return true;
      if (own.n && strip(&rest, own) && declares(item, declares_of[row][i].holds, rest)) return true;
    }
  }
  return false;
}

/* Files that answer, a bit each (there are few): those with this name, or that declare this symbol; and all that they import. */
static uint32_t files_for(tr_slice text, bool by_symbol) {
  uint32_t found = 0, bit = 1;
  tr_reader files = all_files();
  for (tr_slice file; next_field(&files, 1, &file); bit <<= 1) {
    tr_slice rest = text;
    bool fits = by_symbol ? strip(&rest, first_of(file, PACKAGE)) && declares(file, OF_FILE, rest)
                          : tr_slice_equal(first_of(file, NAME), text);
    if (!fits) continue;
    found |= bit;
    tr_reader imports = tr_reader_of(file);
    for (tr_slice import; next_field(&imports, IMPORT, &import);) found |= files_for(import, false);
  }
  return found;
}

/* ---- answering ---- */

static void put_head(tr_buf *out, unsigned number, size_t n) {
  uint8_t head[16], *end = tr_put_varint(tr_put_varint(head, TR_FIELD_KEY(number)), n);
  tr_buf_append(out, head, (size_t)(end - head));
}

static void put(tr_buf *out, unsigned number, tr_slice value) {
  put_head(out, number, value.n);
  tr_buf_append(out, value.p, value.n);
}

static void put_error(tr_buf *out, int code, const char *text) {
  char number[2] = { 1 << 3 | TR_PB_VARINT, (char)code };
  put_head(out, ANSWER_ERROR, sizeof number + 2 + strlen(text)); /* texts here are shorter than 128 bytes */
  tr_buf_append(out, number, sizeof number);
  put(out, 2, tr_slice_of(text));
}

static void put_files(tr_buf *out, tr_buf *part, uint32_t which) {
  tr_reader files = all_files();
  for (tr_slice file; next_field(&files, 1, &file); which >>= 1)
    if (which & 1) put(part, 1, file);
  put(out, ANSWER_FILES, tr_buf_view(part));
}

static void put_services(tr_buf *out, tr_buf *part) {
  tr_reader files = all_files();
  for (tr_slice file, service; next_field(&files, 1, &file);) {
    tr_slice package = first_of(file, PACKAGE);
    tr_reader services = tr_reader_of(file);
    while (next_field(&services, SERVICE, &service)) {
      tr_slice name = first_of(service, NAME);
      size_t n = package.n + 1 + name.n;
      put_head(part, 1, 1 + tr_varint_size(n) + n);
      put_head(part, NAME, n);
      tr_buf_append(part, package.p, package.n);
      tr_buf_append(part, ".", 1);
      tr_buf_append(part, name.p, name.n);
    }
  }
  put(out, ANSWER_LIST, tr_buf_view(part));
}

static void put_answer(tr_buf *out, tr_buf *part, const question *asked) {
  uint32_t files;
  switch (asked->kind) {
  case LIST: put_services(out, part); return;
  case BY_NAME:
  case BY_SYMBOL:
    files = files_for(asked->text, asked->kind == BY_SYMBOL);
    if (files) put_files(out, part, files);
    else put_error(out, TR_GRPC_NOT_FOUND, asked->kind == BY_SYMBOL ? "no such symbol" : "no such file");
    return;
  case BY_EXTENSION: put_error(out, TR_GRPC_NOT_FOUND, "there are no extensions"); return;
  case EXTENSIONS_OF:
    if (!files_for(asked->text, true)) {
      put_error(out, TR_GRPC_NOT_FOUND, "no such type");
      return;
    }
    put(part, 1, asked->text);
    put(out, ANSWER_EXTENSIONS, tr_buf_view(part));
    return;
  default: put_error(out, TR_GRPC_INVALID_ARGUMENT, "an empty question");
  }
}

static bool read_question(tr_slice bytes, question *out) {
  tr_reader reader = tr_reader_of(bytes);
  tr_field field;
  int more;
  *out = (question){ .kind = 0 };
  while ((more = tr_read_field(&reader, &field)) > 0) {
    if ((field.key & 7) != TR_PB_BYTES) continue;
    unsigned number = field.key >> 3;
    if (number == 1) out->host = field.value;
    if (number < BY_NAME || number > LIST) continue;
    out->kind = number;
    out->text = field.value;
  }
  return more == 0;
}

void tr_reflection_message(tr_host_stream *stream, tr_slice bytes) {
  tr_mem *mem = stream->conn->host->mem;
  question asked;
  if (bytes.n > ECHO || !read_question(bytes, &asked)) {
    tr_host_stream_end(stream, TR_GRPC_INVALID_ARGUMENT, "malformed ServerReflectionRequest");
    return;
  }
  tr_buf out, part;
  tr_buf_init(&out, mem);
  tr_buf_init(&part, mem);
  if (asked.host.n) put(&out, 1, asked.host);
  put(&out, ORIGINAL, bytes);
  put_answer(&out, &part, &asked);
  tr_blob *frame = out.failed || part.failed ? NULL : tr_rpc_frame(mem, tr_buf_view(&out));
  bool sent = frame && tr_host_stream_answer(stream, frame);
  tr_blob_unref(frame);
  tr_buf_fini(&part);
  tr_buf_fini(&out);
  if (!frame) tr_host_stream_end(stream, TR_GRPC_RESOURCE_EXHAUSTED, "out of memory");
  else if (sent && tr_rpc_queued(stream->call) > QUEUED)
    tr_host_stream_end(stream, TR_GRPC_RESOURCE_EXHAUSTED, "the answers are not read");
}
