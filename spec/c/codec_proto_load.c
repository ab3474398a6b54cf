/* SPDX-License-Identifier: MIT
 * Descriptor sets: several in one pool, and those that break protobuf's rules. The broken ones are written by our own
 * writer from JSON, with descriptor.proto's own descriptors. */
#include <stdio.h>
#include <stdlib.h>

#include "check.h"
#include "codec_proto_kit.h"

static int add_file(tr_proto_pool *pool, const char *path, tr_error *error) {
  size_t n;
  const char *set = check_file(path, &n);
  tr_error_init(error);
  return tr_proto_pool_add(pool, tr_slice_make(set, n), error);
}

/* A set as JSON of google.protobuf.FileDescriptorSet, added to the pool. */
static int add_json(tr_proto_pool *pool, const char *json, tr_error *error) {
  tr_proto_pool *own = kit_pool("descriptor");
  tr_buf set;
  tr_buf_init(&set, check_mem());
  if (kit_write(kit_type(own, "google.protobuf.FileDescriptorSet"), tr_slice_of(json), 0, &set, error))
    CHECK_FAIL("%s: %s", json, error->text);
  int err = tr_proto_pool_add(pool, tr_buf_view(&set), error);
  CHECK_INT(error->code, ==, err);
  tr_buf_fini(&set);
  tr_proto_pool_free(own);
  return err;
}

static size_t count_types(const tr_proto_pool *pool) {
  size_t at = 0, n = 0;
  while (tr_proto_pool_next(pool, &at)) n++;
  return n;
}

CHECK_CASE(proto_pool_takes_several_sets) {
  tr_proto_pool *pool = tr_proto_pool_new(check_mem(), 1);
  tr_error error;
  CHECK_INT(count_types(pool), ==, 0);
  CHECK(!tr_proto_pool_find(pool, S("demo.Item")));
  CHECK_INT(add_file(pool, "spec/data/proto/demo.desc", &error), ==, 0);
  size_t n = count_types(pool); /* no map entries, no enums */
  CHECK_INT(n, ==, 14);
  CHECK(tr_proto_pool_find(pool, S("demo.Order.Line")));
  CHECK(!tr_proto_pool_find(pool, S("demo.Color")) && !tr_proto_pool_find(pool, S(".demo.Item")));
  CHECK_INT(add_file(pool, "spec/data/proto/demo.desc", &error), ==, 0);
  CHECK_INT(add_file(pool, "spec/data/proto/alone.desc", &error), ==, 0);  /* its imports are there */
  CHECK_INT(add_file(pool, "spec/data/proto/source.desc", &error), ==, 0); /* comments do not count */
  CHECK_INT(count_types(pool), ==, n);
  CHECK_INT(add_file(pool, "spec/data/proto/legacy.desc", &error), ==, 0);
  CHECK_INT(count_types(pool), ==, n + 3);
  tr_proto_pool_free(pool);
  tr_proto_pool_free(NULL);
}

CHECK_CASE(proto_pool_refuses_a_set_and_stays_as_it_was) {
  tr_proto_pool *pool = tr_proto_pool_new(check_mem(), 1);
  tr_error error;
  CHECK_INT(add_file(pool, "spec/data/proto/alone.desc", &error), ==, TR_EINVALID);
  CHECK_STR(error.text, "descriptor set: demo.proto: demo.Order.at: the type google.protobuf.Timestamp is missing (made with "
                        "protoc --include_imports?)");
  CHECK_INT(add_file(pool, "spec/data/proto/group.desc", &error), ==, TR_EINVALID);
  CHECK_STR(error.text, "descriptor set: group.proto: grouped.Old.inner: groups are not supported");
  CHECK_INT(count_types(pool), ==, 0);
  CHECK_INT(tr_proto_pool_add(pool, S(""), NULL), ==, TR_EINVALID);
  CHECK_INT(add_file(pool, "spec/data/proto/demo.desc", &error), ==, 0);
  size_t n = count_types(pool);
  CHECK_INT(add_json(pool, "{\"file\":[{\"name\":\"new.proto\",\"messageType\":[{\"name\":\"New\"}]},{\"name\":\"demo.proto\"}]}",
                     &error), ==, TR_EEXISTS);
  CHECK_STR(error.text, "descriptor set: another file demo.proto is loaded already");
  CHECK_INT(add_json(pool, "{\"file\":[{\"name\":\"b.proto\",\"package\":\"demo\",\"enumType\":[{\"name\":\"Item\",\"value\":"
                           "[{\"name\":\"A\",\"number\":0}]}]}]}", &error), ==, TR_EEXISTS);
  CHECK_STR(error.text, "descriptor set: demo.Item is in the file demo.proto and in b.proto");
  CHECK_INT(count_types(pool), ==, n);
  CHECK(!tr_proto_pool_find(pool, S("New")));
  CHECK_INT(add_json(pool, "{\"file\":[{\"name\":\"new.proto\",\"messageType\":[{\"name\":\"New\"}]}]}", &error), ==, 0);
  kit_reads(kit_type(pool, "New"), S(""), "{}");
  tr_proto_pool_free(pool);
}

static void refused(const char *file, const char *text) {
  char json[2048], expected[512];
  tr_proto_pool *pool = tr_proto_pool_new(check_mem(), 1);
  tr_error error;
  snprintf(json, sizeof json, "{\"file\":[{\"name\":\"f\",%s}]}", file);
  snprintf(expected, sizeof expected, "descriptor set: %s", text);
  CHECK_INT(add_json(pool, json, &error), ==, TR_EINVALID);
  CHECK_STR(error.text, expected);
  tr_proto_pool_free(pool);
}

/* One message M with these fields. */
static void refused_fields(const char *fields, const char *text) {
  char file[1024];
  snprintf(file, sizeof file, "\"messageType\":[{\"name\":\"M\",\"field\":[%s]}]", fields);
  refused(file, text);
}

#define FIELD "\"label\":\"LABEL_OPTIONAL\",\"type\":\"TYPE_INT32\""

CHECK_CASE(proto_pool_names_the_rule_that_is_broken) {
  refused("\"syntax\":\"editions\"", "f: its syntax is neither proto2 nor proto3");
  refused("\"package\":\"a..b\"", "f: a package that is no name");
  refused("\"messageType\":[{}]", "f: in \"\": a name that is none");
  refused("\"package\":\"p\",\"messageType\":[{\"name\":\"a b\"}]", "f: in \"p\": a name that is none");
  refused("\"enumType\":[{\"name\":\"E\"}]", "f: E: an enum without values");
  refused("\"enumType\":[{\"name\":\"E\",\"value\":[{}]}]", "f: an enum value without a name");
  refused("\"enumType\":[{\"name\":\"E\",\"value\":[{\"name\":\"A\"},{\"name\":\"A\"}]}]", "f: E: two values named A");
  refused("\"messageType\":[{\"name\":\"M\",\"oneofDecl\":[{}]}]", "f: a oneof without a name");
  refused_fields("{}", "f: M: a field without a name");
  refused_fields("{\"name\":\"x\"}", "f: M.x: a field without number or label");
  refused_fields("{\"name\":\"x\",\"number\":0," FIELD "}", "f: malformed: not a descriptor");
  refused_fields("{\"name\":\"x\",\"number\":536870912," FIELD "}", "f: malformed: not a descriptor");
  refused_fields("{\"name\":\"x\",\"number\":1," FIELD "},{\"name\":\"y\",\"number\":1," FIELD "}",
                 "f: M.y: its number is another field's, too");
  refused_fields("{\"name\":\"x\",\"number\":1," FIELD "},{\"name\":\"x\",\"number\":2," FIELD "}",
                 "f: M.x: two fields of this name");
  refused_fields("{\"name\":\"x\",\"number\":1,\"label\":\"LABEL_OPTIONAL\"}",
                 "f: M.x: a type name that is not a full one");
  refused_fields("{\"name\":\"x\",\"number\":1,\"label\":\"LABEL_OPTIONAL\",\"typeName\":\"M\"}",
                 "f: M.x: a type name that is not a full one");
  refused_fields("{\"name\":\"x\",\"number\":1,\"label\":\"LABEL_OPTIONAL\",\"type\":\"TYPE_ENUM\",\"typeName\":\".M\"}",
                 "f: M.x: its type is of another kind");
  refused_fields("{\"name\":\"x\",\"number\":1,\"oneofIndex\":0," FIELD "}", "f: M.x: in a oneof that is not there");
  refused_fields("{\"name\":\"x\",\"number\":1,\"options\":{\"packed\":true}," FIELD "}",
                 "f: M.x: packed, but not a repeated number");
  static const char *const defaults[] = { "", "-", "x", "1.0", "2147483648", "-2147483649", "1 " };
  for (size_t i = 0; i < sizeof defaults / sizeof *defaults; i++) {
    char field[256];
    snprintf(field, sizeof field, "{\"name\":\"x\",\"number\":1,\"defaultValue\":\"%s\"," FIELD "}", defaults[i]);
    refused_fields(field, "f: M.x: its default makes no sense");
  }
  refused("\"messageType\":[{\"name\":\"M\",\"options\":{\"mapEntry\":true}}]", "f: M: not the entry of a map");
  refused("\"messageType\":[{\"name\":\"M\",\"options\":{\"mapEntry\":true}},{\"name\":\"N\",\"field\":[{\"name\":\"x\",\"number\":1,"
          "\"label\":\"LABEL_OPTIONAL\",\"type\":\"TYPE_MESSAGE\",\"typeName\":\".M\"}]}]",
          "f: N.x: a map's entry outside of a map");
}

CHECK_CASE(proto_reads_the_descriptors_themselves) {
  tr_proto_pool *pool = kit_pool("descriptor");
  const tr_proto_type *type = kit_type(pool, "google.protobuf.FileDescriptorSet");
  size_t n;
  const char *bytes = check_file("spec/data/proto/demo.desc", &n);
  tr_buf json, again;
  tr_error error;
  tr_buf_init(&json, check_mem());
  tr_buf_init(&again, check_mem());
  CHECK_INT(kit_read(type, tr_slice_make(bytes, n), &json, &error), ==, 0);
  CHECK_INT(kit_write(type, tr_buf_view(&json), 0, &again, &error), ==, 0);
  tr_proto_pool *second = tr_proto_pool_new(check_mem(), 1); /* more is in it now: declared defaults */
  if (tr_proto_pool_add(second, tr_buf_view(&again), &error)) CHECK_FAIL("%s", error.text);
  CHECK_INT(count_types(second), ==, 14);
  tr_proto_pool_free(second);
  tr_buf_fini(&json);
  tr_buf_fini(&again);
  tr_proto_pool_free(pool);
}

/* Add it; then use each type that came of it. */
static int add_and_use(tr_slice set) {
  tr_proto_pool *pool = tr_proto_pool_new(check_mem(), 1);
  tr_error error = { 0 };
  int err = tr_proto_pool_add(pool, set, &error);
  CHECK_INT(error.code, ==, err);
  if (err) CHECK(err == TR_EINVALID || err == TR_EEXISTS);
  const tr_proto_type *type;
  for (size_t at = 0; (type = tr_proto_pool_next(pool, &at)) != NULL;) {
    tr_buf out;
    tr_buf_init(&out, check_mem());
    err = kit_read(type, S("\x0a\x00\x12\x02\x08\x01\x18\x05"), &out, &error);
    CHECK(err == 0 || err == TR_EINVALID);
    err = kit_write(type, S("{\"name\":\"x\",\"id\":1,\"d\":[]}"), 0, &out, &error);
    CHECK(err == 0 || err == TR_EINVALID);
    tr_buf_fini(&out);
  }
  tr_proto_pool_free(pool);
  return err;
}

static void damage(const char *path, unsigned step) {
  size_t n;
  const char *set = check_file(path, &n);
  for (size_t i = 0; i < n; i++) {
    char *cut = malloc(i ? i : 1); /* of its own, so that a sanitizer sees what reads beyond it */
    if (!cut) CHECK_FAIL("no memory");
    memcpy(cut, set, i);
    add_and_use(tr_slice_make(cut, i));
    free(cut);
  }
  char *copy = malloc(n);
  if (!copy) CHECK_FAIL("no memory");
  memcpy(copy, set, n);
  for (size_t i = 0; i < n; i++) {
    static const unsigned char some[] = { 0xFF, 0x01, 0x0A };
    for (unsigned k = 0; k < sizeof some; k++) copy[i] = (char)some[k], add_and_use(tr_slice_make(copy, n));
    for (unsigned byte = 0; byte < 256; byte += step) copy[i] = (char)byte, add_and_use(tr_slice_make(copy, n));
    copy[i] = set[i];
  }
  free(copy);
}

CHECK_CASE(proto_pool_cut_or_changed_anywhere_is_added_or_refused) {
  damage("spec/data/proto/group.desc", 1);
  damage("spec/data/proto/legacy.desc", 17);
}

CHECK_CASE(proto_pool_cut_or_changed_anywhere_is_added_or_refused_large) { damage("spec/data/proto/demo.desc", 256); }

CHECK_CASE(proto_pool_without_memory_is_an_error_and_leaks_nothing) {
  static const char *const names[] = { "demo", "legacy", "descriptor" };
  for (size_t i = 0; i < 3; i++) {
    char path[64];
    size_t n;
    snprintf(path, sizeof path, "spec/data/proto/%s.desc", names[i]);
    const char *set = check_file(path, &n);
    CHECK_EACH_ALLOCATION_FAILS {
      tr_error error = { 0 };
      tr_proto_pool *pool = tr_proto_pool_new(check_mem(), 1);
      int err = pool ? tr_proto_pool_add(pool, tr_slice_make(set, n), &error) : TR_EMEMORY;
      CHECK_INT(err, ==, check_mem_refused() ? TR_EMEMORY : 0);
      if (pool) CHECK_INT(error.code, ==, err);
      if (pool && err) CHECK_INT(count_types(pool), ==, 0);
      tr_proto_pool_free(pool);
    }
  }
}
