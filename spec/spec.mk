# spec.mk: how the specs are built and run. The Makefile includes it; SPEC, TEST, SANITIZER and HOSTILE are its settings.

C_SPECS   := $(foreach room,$(ROOMS),$(if $(wildcard spec/c/$(room)_*.c),$(BUILD)/spec/c_$(room)))
SPECS      = $(if $(SPEC),$(SPEC),$(shell find spec -name '*_spec.lua' -not -path 'spec/interop/*' | sort))
# By these the specs find the build that they are to test.
SPEC_ENV   = TROUPE_BUILD=$(BUILD) TROUPE=$(BUILD)/troupe TROUPE_C_SPECS="$(C_SPECS)" TROUPE_SANITIZER="$(SANITIZER)" $(if $(THREADS),TROUPE_THREADS=$(THREADS))

.PHONY: specs test run-specs test-asan test-hostile test-threads test-tsan test-valgrind valgrind \
        sim fuzz soak

test: ## build and run every spec; SPEC=file, TEST=pattern choose
	@$(MAKE) deps
	@$(MAKE) all specs
	@$(MAKE) run-specs

specs: $(C_SPECS)
	@:

run-specs:
	@$(SPEC_ENV) lua5.4 /usr/bin/busted $(if $(TEST),--filter='$(TEST)') $(SPECS)

# TROUPE_SLOW stretches what the specs wait for; TROUPE_WRAP goes before each program that they start.
test-asan: ## the specs under AddressSanitizer, LeakSanitizer and UBSan
	@$(MAKE) SANITIZER=address,undefined all specs
	@ASAN_OPTIONS=detect_leaks=1:abort_on_error=0:halt_on_error=1 UBSAN_OPTIONS=halt_on_error=1:print_stacktrace=1 \
	  TROUPE_SLOW=4 $(MAKE) SANITIZER=address,undefined run-specs

test-hostile: ## the specs with assertions on and tiny buffers and bounds
	@$(MAKE) HOSTILE=1 all specs
	@TROUPE_SLOW=3 $(MAKE) HOSTILE=1 run-specs

test-threads: ## the specs of threads alone under ThreadSanitizer
	@$(MAKE) SANITIZER=thread build/tsan/spec/c_runtime
	@for case in $$(build/tsan/spec/c_runtime --list | sed 's| .*||' | grep -E 'thread|inbox|link'); do \
	  TSAN_OPTIONS=halt_on_error=1 TROUPE_SLOW=8 build/tsan/spec/c_runtime --run $$case || exit 1; done

test-tsan: ## the specs under ThreadSanitizer
	@$(MAKE) SANITIZER=thread all specs
	@TSAN_OPTIONS=halt_on_error=1 TROUPE_SLOW=8 $(MAKE) SANITIZER=thread run-specs

# Whatever runs a minute elsewhere runs half an hour here: so of the allocations only some are refused (ASan does all), and of the
# programs only a few are started: each verb once. The rooms run side by side.
VALGRIND  := valgrind -q --error-exitcode=99 --leak-check=full --errors-for-leak-kinds=definite
test-valgrind: ## the C checks, and some programs that the specs start, under valgrind
	@command -v valgrind >/dev/null || { echo 'make: valgrind is missing (apt-get install valgrind)' >&2; exit 1; }
	@$(MAKE) all specs
	@$(MAKE) -k $(C_SPECS:$(BUILD)/spec/c_%=valgrind-%) valgrind
valgrind valgrind-%: export TROUPE_WRAP = $(VALGRIND)
valgrind valgrind-%: export TROUPE_SLOW = 30
valgrind valgrind-%: export TROUPE_ALLOCATION_STEP = 499
valgrind-%:
	@$(SPEC_ENV) TROUPE_C_SPECS=$(BUILD)/spec/c_$* lua5.4 /usr/bin/busted $(if $(TEST),--filter='$(TEST)') spec/c_spec.lua
valgrind:
	@$(MAKE) run-specs SPEC="spec/cli/run_spec.lua spec/cli/ask_spec.lua spec/runtime/embed_spec.lua spec/runtime/cancel_spec.lua"

# A library with a sanitizer needs its runtime first in the program.
sim: ## simulated networks of hosts and workers: SEEDS=1000 of them, or SEED=N again (TRACE=1: told)
	@$(MAKE) all
	@$(SPEC_ENV) $(if $(findstring address,$(SANITIZER)),LD_PRELOAD=$$($(CC) -print-file-name=libasan.so):$$($(CC) -print-file-name=libubsan.so)) \
	  lua5.4 spec/sim/run $(if $(SEED),1 $(SEED),$(or $(SEEDS),1000))

fuzz: ## the fuzz targets of spec/fuzz
	@spec/fuzz/run

soak: ## faults by chance under load, for MINUTES (5); SEED=n: those of that run again
	@$(MAKE) deps
	@$(MAKE) all
	@MINUTES=$(or $(MINUTES),5) SEED=$(SEED) $(SPEC_ENV) spec/faults/run

# The files spec/c/ROOM_*.c make one program.
.SECONDEXPANSION:
$(BUILD)/spec/c_%: $$(call objects,$$(wildcard spec/c/$$*_*.c)) $(OBJ)/spec/c/check_main.o $(BUILD)/internal.a
	$(call say,LD)
	@mkdir -p $(@D)
	$(Q)$(CC) $(CFLAGS) $(LDFLAGS) $(if $(filter thread,$(SANITIZER)),-Wl$(comma)--wrap=__longjmp_chk) $^ $(WITH_LUA) $(LDLIBS) -o $@
