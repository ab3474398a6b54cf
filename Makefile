# troupe: `make` builds, `make test` tests, `make help` lists the rest.

# ---- settings: each may be given on the command line ------------------------------------------------------------
PREFIX    ?= /usr/local
DESTDIR   ?=
SANITIZER ?=#        address,undefined or thread: a build of its own
HOSTILE   ?=#        1: asserts on, tiny buffers and bounds (-DTR_HOSTILE)
WERROR    ?=#        1: warnings are errors
V         ?=#        1: show whole commands
PEERS     ?=#        1: make bench runs others on the same work
THREADS   ?=#        make bench: the isolates of the second column (2); 1: no such column
THREADS   ?=#        test the program with so many threads
SPEC      ?=#        test only these spec files
TEST      ?=#        test only what matches this Lua pattern
OPTIMIZE  ?= -O2

VERSION   := 0.1.0

# ---- what there is: lists of words ------------------------------------------------------------------------------
ROOMS     := base core codec wire rpc web host worker script store net ops runtime module cli
LIB_ROOMS := $(filter-out module cli,$(ROOMS))
PROTOS    := agent_worker cloudevent google/protobuf/any google/protobuf/timestamp
SERVED    := agent_worker grpc/health/v1/health grpc/reflection/v1/reflection grpc/reflection/v1alpha/reflection#  told by reflection
LIBRARIES := libuv libnghttp2 zlib yajl libssl libcrypto#       pkg-config names, linked shared
LOADED    := libcurl#                                           the same, of which only the header is needed: loaded when asked for
EDITOR    := libedit#                                           the same, of the program alone: its prompt
PACKAGES  := $(shell grep -v '^\#' .ci/packages)#               what Debian calls all that is needed
INTEROP_PACKAGES := $(PACKAGES) $(shell grep -v '^\#' .ci/packages-interop)

# ---- where it goes ----------------------------------------------------------------------------------------------
comma   := ,
VARIANT := $(subst $(comma),-,$(subst address$(comma)undefined,asan,$(subst thread,tsan,$(SANITIZER))))
VARIANT := $(VARIANT)$(if $(HOSTILE),$(if $(VARIANT),-)hostile)
BUILD   := build$(if $(VARIANT),/$(VARIANT))
GEN     := $(BUILD)/gen
OBJ     := $(BUILD)/obj

# ---- flags; pkg-config is asked at first use, so that this file can be read where it is not installed ------------
ask = $(eval $1 := $$(shell $2))$($1)
LUA_CFLAGS = $(call ask,LUA_CFLAGS,pkg-config --cflags lua5.4)
LUA_SHARED = $(call ask,LUA_SHARED,pkg-config --libs lua5.4)
LUA_LIBDIR = $(call ask,LUA_LIBDIR,pkg-config --variable=libdir lua5.4)
PKG_CFLAGS = $(call ask,PKG_CFLAGS,pkg-config --cflags $(LIBRARIES))
PKG_LIBS   = $(call ask,PKG_LIBS,pkg-config --libs $(LIBRARIES))
EDIT_LIBS  = $(call ask,EDIT_LIBS,pkg-config --libs $(EDITOR))

WARNINGS  := -Wall -Wextra -Wshadow -Wstrict-prototypes -Wmissing-prototypes -Wpointer-arith -Wwrite-strings
MODE      := $(if $(SANITIZER),-fsanitize=$(SANITIZER) -fno-omit-frame-pointer -fno-sanitize-recover=all)
CPPFLAGS  += -D_POSIX_C_SOURCE=200809L -DTR_VERSION='"$(VERSION)"' $(if $(HOSTILE),-DTR_HOSTILE) \
             -Isrc -Iinclude -I$(GEN) $(LUA_CFLAGS) $(PKG_CFLAGS)
CFLAGS    += -std=c11 $(OPTIMIZE) -g $(WARNINGS) $(if $(WERROR),-Werror) -fvisibility=hidden -fPIC -fno-plt -pthread $(MODE)
LDLIBS     = $(PKG_LIBS) -lm -ldl -pthread
# The program has Lua in it (10 % faster than the shared library); Debian's archive is not made for a .so.
WITH_LUA   = -Wl,--whole-archive $(LUA_LIBDIR)/liblua5.4.a -Wl,--no-whole-archive -Wl,--export-dynamic-symbol='lua*'

# ---- what follows from it ---------------------------------------------------------------------------------------
sources    = $(foreach room,$1,$(wildcard src/$(room)/*.c))
objects    = $(patsubst %.c,$(OBJ)/%.o,$1)
WITH_WIRE := $(wildcard src/wire/*.c)
GEN_C     := $(PROTOS:%=$(GEN)/%.pb.c)
GEN_H     := $(GEN_C:.c=.h)
LUA_FILES := $(sort $(shell find lua agents -name '*.lua' 2>/dev/null))
LIB_OBJ   := $(call objects,$(call sources,$(LIB_ROOMS))) $(OBJ)/gen/lua_bundle.o $(OBJ)/gen/descriptors.o \
             $(if $(WITH_WIRE),$(PROTOS:%=$(OBJ)/gen/%.pb.o) $(OBJ)/nanopb.o)
CLI_OBJ   := $(call objects,$(call sources,cli))
MOD_OBJ   := $(call objects,$(call sources,module))

# One job a processor; one after the other where `clean` comes first.
ifeq ($(MAKELEVEL)$(filter clean,$(MAKECMDGOALS)),0)
MAKEFLAGS += -j$(shell nproc 2>/dev/null || echo 1)
endif
MAKEFLAGS += --no-print-directory
Q   := $(if $(V),,@)
say  = $(if $(V),,@printf '  %-4s %s\n' '$1' '$(if $2,$2,$@)')

.DEFAULT_GOAL := all
.DELETE_ON_ERROR:
.PHONY: all programs help deps deps-interop demo interop check check-layers lint \
        bench bench-guard metrics install clean FORCE

# ---- targets ----------------------------------------------------------------------------------------------------
all: programs ## build the program and the libraries (default)
programs: $(BUILD)/libtroupe.a $(BUILD)/libtroupe.so $(if $(CLI_OBJ),$(BUILD)/troupe) $(if $(MOD_OBJ),$(BUILD)/troupe.so)
help: ## list the targets
	@sed -n 's/^\([a-z-]*\):[^#]*## /\1\t/p' Makefile spec/spec.mk | expand -t16

deps: ## install the Debian packages that are missing (as root or by sudo)
	@.ci/deps $(PACKAGES)
deps-interop:
	@.ci/deps $(INTEROP_PACKAGES)

demo: ## a host, two workers, ten lines
	@$(MAKE) deps
	@$(MAKE) all
	@test -e examples/hello/demo.sh || { echo 'make: examples/hello/demo.sh is missing' >&2; exit 1; }
	@TROUPE=$(BUILD)/troupe examples/hello/demo.sh

interop: ## the same with real AutoGen peers (installs them into the build folder)
	@$(MAKE) deps-interop
	@$(MAKE) all
	@$(SPEC_ENV) spec/interop/run

check: ## lint, layers, warnings as errors, the specs with four threads, under ASan and UBSan, with hostile bounds, those of threads under TSan
	@$(MAKE) deps
	@$(MAKE) lint
	@$(MAKE) check-layers
	@$(MAKE) WERROR=1 all specs
	@$(MAKE) WERROR=1 THREADS=4 run-specs
	@$(MAKE) WERROR=1 test-asan
	@$(MAKE) WERROR=1 test-hostile
	@$(MAKE) WERROR=1 test-threads

check-layers: ## each #include against the table in src/README.md
	@lua5.4 spec/tools/layers.lua

lint: ## luacheck and cppcheck
	@luacheck -q .
	@cppcheck -q --std=c11 --error-exitcode=1 --inline-suppr --enable=warning,portability,performance \
	  --suppress=missingIncludeSystem --suppress=duplicateAssignExpression -j $$(nproc) -Isrc -Iinclude -DTR_VERSION='""' src include

bench: ## what the runtime and the host cost; PEERS=1: beside others, which it installs
	@$(MAKE) $(if $(PEERS),deps-interop,deps)
	@$(MAKE) all build/bench/load build/bench/turns
	@bench/turns $(if $(PEERS),--peers) --threads $(or $(THREADS),2)
	@$(SPEC_ENV) bench/run $(if $(PEERS),,--peer none)
bench-guard: all build/bench/load build/bench/turns ## instruction counts of the core paths beside the recorded ones
	@bench/guard
metrics: ## lengths of files and functions
	@lua5.4 spec/tools/metrics.lua

install: all $(BUILD)/troupe.1 ## to PREFIX, below DESTDIR
	install -d $(addprefix $(DESTDIR)$(PREFIX)/,bin include lib/pkgconfig lib/lua/5.4)
	$(if $(CLI_OBJ),install $(BUILD)/troupe $(DESTDIR)$(PREFIX)/bin)
	$(if $(MOD_OBJ),install -m 644 $(BUILD)/troupe.so $(DESTDIR)$(PREFIX)/lib/lua/5.4)
	install -d $(DESTDIR)$(PREFIX)/share/man/man1 && install -m 644 $(BUILD)/troupe.1 $(DESTDIR)$(PREFIX)/share/man/man1
	install -d $(DESTDIR)$(PREFIX)/share/troupe/agents && install -m 644 agents/* $(DESTDIR)$(PREFIX)/share/troupe/agents
	install -m 644 include/*.h $(DESTDIR)$(PREFIX)/include
	install -m 644 $(BUILD)/libtroupe.a $(BUILD)/libtroupe.so $(DESTDIR)$(PREFIX)/lib
	sed 's|@PREFIX@|$(PREFIX)|; s|@VERSION@|$(VERSION)|; s|@LIBRARIES@|lua5.4 $(LIBRARIES)|' src/troupe.pc.in \
	  > $(DESTDIR)$(PREFIX)/lib/pkgconfig/troupe.pc

clean: ## remove build/
	rm -rf build

# ---- rules ------------------------------------------------------------------------------------------------------
# Says what is missing before anything is compiled without it.
$(BUILD)/tools: .ci/packages
	@.ci/tools lua5.4 $(LIBRARIES) $(LOADED) $(EDITOR)
	@mkdir -p $(@D) && touch $@

# Changes, and with it everything is compiled again, when the flags do.
$(BUILD)/flags: FORCE | $(BUILD)/tools
	@echo '$(subst ','\'',$(CC) $(CPPFLAGS) $(CFLAGS))' | cmp -s - $@ || echo '$(subst ','\'',$(CC) $(CPPFLAGS) $(CFLAGS))' > $@

$(OBJ)/%.o: %.c $(BUILD)/flags | $(GEN_H)
	$(call say,CC,$<)
	@mkdir -p $(@D)
	$(Q)$(CC) $(CPPFLAGS) $(CFLAGS) -MMD -MP -c $< -o $@

$(OBJ)/gen/%.o: $(GEN)/%.c $(BUILD)/flags | $(GEN_H)
	$(call say,CC,$<)
	@mkdir -p $(@D)
	$(Q)$(CC) $(CPPFLAGS) $(filter-out -Werror,$(CFLAGS)) -w -MMD -MP -c $< -o $@

# One run makes all of them: .pb.c and .pb.h of our schemas, and of the two of Google's that they import.
$(GEN_C) $(GEN_H) &: $(wildcard proto/*.proto proto/*.options proto/google/protobuf/*.options) | $(BUILD)/tools
	$(call say,GEN,nanopb)
	@mkdir -p $(GEN)
	$(Q)nanopb_generator.py -q --error-on-unmatched -I proto -I /usr/include -D $(GEN) $(PROTOS:%=%.proto)
	@touch $(GEN_C) $(GEN_H)

$(GEN)/descriptors.c: $(SERVED:%=proto/%.proto) proto/cloudevent.proto spec/tools/descriptors.lua | $(BUILD)/tools
	$(call say,GEN,$(@F))
	@mkdir -p $(@D)
	$(Q)protoc --include_imports -I proto -I /usr/include -o $(GEN)/descriptors.pb $(SERVED:%=%.proto)
	@lua5.4 spec/tools/descriptors.lua $(GEN)/descriptors.pb > $@

$(GEN)/lua_bundle.c: FORCE spec/tools/embed.lua | $(BUILD)/tools
	@mkdir -p $(@D)
	@lua5.4 spec/tools/embed.lua $(LUA_FILES) > $@.new
	@if cmp -s $@.new $@; then rm $@.new; else printf '  GEN  lua_bundle.c\n'; mv $@.new $@; fi

# nanopb with its allocations turned to ours, and its names kept to us.
$(OBJ)/nanopb.o: | $(BUILD)/tools
	$(call say,LD,$@)
	@mkdir -p $(@D)
	$(Q)ld -r --whole-archive $$($(CC) -print-file-name=libprotobuf-nanopb.a) -o $@.tmp
	$(Q)objcopy --redefine-sym realloc=tr_pb_realloc --redefine-sym free=tr_pb_free $@.tmp $@ && rm $@.tmp

# For our own programs: every symbol within reach.
$(BUILD)/internal.a: $(LIB_OBJ)
	@rm -f $@
	$(Q)ar rcsT $@ $^

# For others: only troupe_*.
$(BUILD)/libtroupe.a: $(LIB_OBJ)
	$(call say,AR)
	$(Q)ld -r $^ -o $(OBJ)/libtroupe.o && objcopy --wildcard --keep-global-symbol='troupe_*' $(OBJ)/libtroupe.o
	@rm -f $@
	$(Q)ar rcs $@ $(OBJ)/libtroupe.o
$(BUILD)/libtroupe.so: $(LIB_OBJ) src/troupe.map
	$(call say,LD)
	$(Q)$(CC) $(CFLAGS) $(LDFLAGS) -shared -Wl,-soname,libtroupe.so -Wl,--version-script=src/troupe.map $(LIB_OBJ) $(LUA_SHARED) $(LDLIBS) -o $@
$(BUILD)/troupe.so: $(MOD_OBJ) $(LIB_OBJ)
	$(call say,LD)
	@echo '{ global: luaopen_troupe*; local: *; };' > $(OBJ)/module.map
	$(Q)$(CC) $(CFLAGS) $(LDFLAGS) -shared -Wl,--version-script=$(OBJ)/module.map $^ $(LDLIBS) -o $@
$(BUILD)/troupe: $(CLI_OBJ) $(BUILD)/internal.a
	$(call say,LD)
	$(Q)$(CC) $(CFLAGS) $(LDFLAGS) $^ $(WITH_LUA) $(LDLIBS) $(EDIT_LIBS) -o $@

$(BUILD)/troupe.1: $(BUILD)/troupe spec/tools/man.lua
	$(call say,GEN)
	$(Q)lua5.4 spec/tools/man.lua $(BUILD)/troupe $(VERSION) > $@

# The pages of the manual that are made of the sources. They are kept: a spec says when they are behind.
.PHONY: docs
docs: $(BUILD)/troupe ## write docs/reference: the Lua API, the C API, the program
	@mkdir -p docs/reference
	@for page in lua c program; do lua5.4 spec/tools/manual.lua $$page $(BUILD)/troupe > docs/reference/$$page.md || exit 1; done

include spec/spec.mk
-include bench/bench.mk
.SECONDARY:
-include $(shell find $(OBJ) -name '*.d' 2>/dev/null)
