/* SPDX-License-Identifier: MIT
 * troupe new: a first agent, ready to be changed. Nothing that exists is overwritten. The editor's files are of the folder, not of the agent:
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

/* For editors with lua-language-server: its settings, and beside them the annotations that it is to read. */
static const char editor_text[] =
  "{\n"
  "  \"runtime.version\": \"Lua 5.4\",\n"
  "  \"workspace.library\": [\".luarc/troupe.lua\"],\n"
  "  \"workspace.checkThirdParty\": false\n"
  "}\n";

/* Write a file that must not be there yet; each %s of the text is the name. */
static int write_new(const cli_verb *verb, const char *path, const char *text, const char *name) {
  int fd = open(path, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0666);
  FILE *file = fd < 0 ? NULL : fdopen(fd, "w");
  if (!file) {
    int why = errno;
    if (fd >= 0) close(fd);
    return cli_fail(CLI_FAILED, verb->name, "%s: %s", path, why == EEXIST ? "it exists already, and is left as it is" : strerror(why));
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

static int write_editor_files(const cli_verb *verb) {
  const struct tr_lua_bundle_entry *entry = tr_lua_bundle;
  while (entry->name && strcmp(entry->name, "troupe.meta") != 0) entry++;
  if (!entry->name) return cli_fail(CLI_FAILED, verb->name, "the annotations are not in this build");
  int rc = write_missing(verb, ".luarc.json", editor_text, "its \"workspace.library\" is to have \".luarc/troupe.lua\"");
  if (rc != CLI_OK) return rc;
  if (mkdir(".luarc", 0777) && errno != EEXIST) return cli_fail(CLI_FAILED, verb->name, ".luarc: %s", strerror(errno));
  return write_missing(verb, ".luarc/troupe.lua", entry->source, "take it away to have that of this version");
}

static int run_new(const cli_verb *verb, cli_args *args) {
  const char *name = args->words[0];
  char path[300];
  tr_error error;
  tr_error_init(&error);
  if (tr_agent_type_check(tr_slice_of(name), &error)) return cli_fail(CLI_USAGE, verb->name, "%s", error.text);
  if (strlen(name) > 200) return cli_fail(CLI_USAGE, verb->name, "the name has more than 200 bytes");
  snprintf(path, sizeof path, "%s.lua", name);
  int rc = write_new(verb, path, agent_text, name);
  if (rc == CLI_OK && cli_get(verb, args, "with-python")) {
    snprintf(path, sizeof path, "%s.py", name);
    rc = write_new(verb, path, python_text, name);
  }
  if (rc == CLI_OK && cli_get(verb, args, "with-spec")) {
    snprintf(path, sizeof path, "%s_spec.lua", name);
    rc = write_new(verb, path, spec_text, name);
  }
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
  "new", "NAME", "Write NAME.lua, an agent to begin with, into this folder.", "  troupe new greeter\n  troupe new greeter --with-spec --with-python",
  new_options, 1, 1, run_new,
};
