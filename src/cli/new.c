/* SPDX-License-Identifier: MIT
 * troupe new: a first agent, ready to be changed. Nothing that exists is overwritten: then nothing is written. The editor's files are of the folder, not of the agent:
 * they may well be there. */
#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/lua_bundle.h"
#include "cli/cli.h"

static const char agent_text[] =
  "-- %s: say here what it is for.\n"
  "---@type troupe.agent\n"
  "return {\n"
  "  type = \"%s\",\n"
  "  description = \"Counts greetings, and answers them.\",\n"
  "  subscriptions = { \"default\" }, -- events of this topic come here too\n"
  "  state = { count = 0 },\n"
  "  messages = { Greeting = { name = \"string?\" } },\n"
  "  on = {\n"
  "    Greeting = function(self, message, ctx)\n"
  "      self.count = self.count + 1\n"
  "      return { text = \"hello \" .. (message.name or \"you\") .. \", from \" .. ctx.id, count = self.count }, \"Answer\"\n"
  "    end,\n"
  "  },\n"
  "}\n";

static const char python_text[] =
  "\"\"\"Asks the agent in %s.lua from Python, through a host: pip install 'autogen-ext[grpc]', then\n"
  "troupe run --listen 127.0.0.1:50051 %s.lua &  python %s.py\n"
  "\"\"\"\n"
  "import asyncio\n"
  "from dataclasses import dataclass\n"
  "\n"
  "from autogen_core import AgentId, try_get_known_serializers_for_type\n"
  "from autogen_ext.runtimes.grpc import GrpcWorkerAgentRuntime\n"
  "\n"
  "\n"
  "@dataclass\n"
  "class Greeting:\n"
  "    name: str\n"
  "\n"
  "\n"
  "@dataclass\n"
  "class Answer:\n"
  "    text: str\n"
  "    count: int\n"
  "\n"
  "\n"
  "async def main() -> None:\n"
  "    runtime = GrpcWorkerAgentRuntime(host_address=\"127.0.0.1:50051\")\n"
  "    for message in (Greeting, Answer):\n"
  "        runtime.add_message_serializer(try_get_known_serializers_for_type(message))\n"
  "    await runtime.start()\n"
  "    print(await runtime.send_message(Greeting(name=\"Python\"), AgentId(\"%s\", \"default\")))\n"
  "    await runtime.stop()\n"
  "\n"
  "\n"
  "asyncio.run(main())\n";

static const char spec_text[] =
  "-- troupe test %s_spec.lua\n"
  "local testing = require \"troupe.testing\"\n"
  "\n"
  "it(\"counts greetings\", function()\n"
  "  local t <close> = testing.new { \"%s.lua\" }\n"
  "  t:call(\"%s/main\", \"Greeting\", { name = \"Anna\" })\n"
  "  assert.equal(2, t:call(\"%s/main\", \"Greeting\").count)\n"
  "end)\n";

/* For editors with lua-language-server: its settings, and beside them the annotations that it is to read. Those of busted come with it. */
static const char editor_text[] =
  "{\n"
  "  \"runtime.version\": \"Lua 5.4\",\n"
  "  \"workspace.library\": [\".luarc\", \"${3rd}/busted/library\", \"${3rd}/luassert/library\"],\n"
  "  \"workspace.checkThirdParty\": false,\n"
  "  \"diagnostics.unusedLocalExclude\": [\"self\", \"message\", \"ctx\"]\n"
  "}\n";

static int fail_existing(const cli_verb *verb, const char *path) {
  return cli_fail(CLI_FAILED, verb->name, "%s: it exists already, and is left as it is", path);
}

/* Write a file that must not be there yet; each %s of the text is the name. */
static int write_new(const cli_verb *verb, const char *path, const char *text, const char *name) {
  int fd = open(path, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0666);
  FILE *file = fd < 0 ? NULL : fdopen(fd, "w");
  if (!file) {
    int why = errno;
    if (fd >= 0) close(fd);
    return why == EEXIST ? fail_existing(verb, path) : cli_fail(CLI_FAILED, verb->name, "%s: %s", path, strerror(why));
  }
  for (const char *at; (at = strstr(text, "%s")) != NULL; text = at + 2) {
    fwrite(text, 1, (size_t)(at - text), file);
    fputs(name, file);
  }
  fputs(text, file);
  if (fclose(file)) return cli_fail(CLI_FAILED, verb->name, "%s: %s", path, strerror(errno));
  printf("%s\n", path);
  return CLI_OK;
}

/* The same, but it is fine if it is there; `then` is what is to be known in that case. */
static int write_missing(const cli_verb *verb, const char *path, const char *text, const char *then) {
  if (access(path, F_OK)) return write_new(verb, path, text, "");
  printf("%s: it exists already, and is left as it is (%s)\n", path, then);
  return CLI_OK;
}

/* A file of annotations, which are built in under `name`. */
static int write_annotations(const cli_verb *verb, const char *path, const char *name) {
  const struct tr_lua_bundle_entry *entry = tr_lua_bundle;
  while (entry->name && strcmp(entry->name, name) != 0) entry++;
  if (!entry->name) return cli_fail(CLI_FAILED, verb->name, "the annotations are not in this build");
  return write_missing(verb, path, entry->source, "take it away to have that of this version");
}

static int write_editor_files(const cli_verb *verb) {
  static const char *const folders[] = { ".luarc", ".luarc/troupe" };
  int rc = write_missing(verb, ".luarc.json", editor_text, "its \"workspace.library\" is to have \".luarc\"");
  for (size_t i = 0; rc == CLI_OK && i < 2; i++)
    if (mkdir(folders[i], 0777) && errno != EEXIST) rc = cli_fail(CLI_FAILED, verb->name, "%s: %s", folders[i], strerror(errno));
  if (rc == CLI_OK) rc = write_annotations(verb, ".luarc/troupe.lua", "troupe.meta");
  return rc == CLI_OK ? write_annotations(verb, ".luarc/troupe/testing.lua", "troupe.meta_testing") : rc;
}

/* What is written for an agent, and the option that asks for it. */
static const struct {
  const char *option, *suffix, *text;
} files[] = {
  { NULL, ".lua", agent_text },
  { "with-python", ".py", python_text },
  { "with-spec", "_spec.lua", spec_text },
};

/* All of them, or none if one is there already. */
static int write_agent_files(const cli_verb *verb, cli_args *args, const char *name) {
  char path[300];
  for (int writing = 0; writing < 2; writing++)
    for (size_t i = 0; i < sizeof files / sizeof *files; i++) {
      if (files[i].option && !cli_get(verb, args, files[i].option)) continue;
      snprintf(path, sizeof path, "%s%s", name, files[i].suffix);
      int rc = CLI_OK;
      if (writing) rc = write_new(verb, path, files[i].text, name);
      else if (access(path, F_OK) == 0) rc = fail_existing(verb, path);
      if (rc != CLI_OK) return rc;
    }
  return CLI_OK;
}

static int run_new(const cli_verb *verb, cli_args *args) {
  const char *name = args->count ? args->words[0] : NULL;
  tr_error error;
  if (!name) {
    if (cli_get(verb, args, "with-editor")) return write_editor_files(verb);
    return cli_fail(CLI_USAGE, verb->name, "which NAME is the agent to have? (without one, --with-editor alone sets up this folder)");
  }
  tr_error_init(&error);
  if (tr_agent_type_check(tr_slice_of(name), &error)) return cli_fail(CLI_USAGE, verb->name, "%s", error.text);
  if (strcmp(name, "troupe") == 0)
    return cli_fail(CLI_USAGE, verb->name, "troupe.lua would be found instead of the library by `require \"troupe\"`: another name");
  if (strlen(name) > 200) return cli_fail(CLI_USAGE, verb->name, "the name has more than 200 bytes");
  int rc = write_agent_files(verb, args, name);
  if (rc == CLI_OK && cli_get(verb, args, "with-editor")) rc = write_editor_files(verb);
  if (rc == CLI_OK)
    printf("try it:\n  troupe run --listen 127.0.0.1:50051 --watch %s.lua &\n  troupe call %s Greeting '{\"name\":\"Anna\"}' --host 127.0.0.1:50051\n",
           name, name);
  return rc;
}

static const cli_option new_options[] = {
  { "with-python", 0, NULL, "and NAME.py, an AutoGen program that asks it", NULL },
  { "with-spec", 0, NULL, "and NAME_spec.lua, a test of it for `troupe test`", NULL },
  { "with-editor", 0, NULL, "and .luarc.json with annotations of the API, for editors that use lua-language-server", NULL },
  { NULL, 0, NULL, NULL, NULL },
};

const cli_verb cli_new = {
  "new", "[NAME]", "Write NAME.lua, an agent to begin with, into this folder.",
  "  troupe new greeter\n  troupe new greeter --with-spec --with-python\n  troupe new --with-editor", new_options, 0, 1, run_new,
};
