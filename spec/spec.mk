# spec.mk: how the specs are built and run. The Makefile includes it; SPEC, TEST, SANITIZER and HOSTILE are its settings.

C_SPECS   := $(foreach room,$(ROOMS),$(if $(wildcard spec/c/$(room)_*.c),$(BUILD)/spec/c_$(room)))
SPECS      = $(if $(SPEC),$(SPEC),$(shell find spec -name '*_spec.lua' -not -path 'spec/interop/*' | sort))
# By these the specs find the build that they are to test.
SPEC_ENV   = TROUPE_BUILD=$(BUILD) TROUPE=$(BUILD)/troupe TROUPE_C_SPECS="$(C_SPECS)" TROUPE_SANITIZER="$(SANITIZER)" $(if $(THREADS),TROUPE_THREADS=$(THREADS))

.PHONY: specs test run-specs test-asan test-threads test-tsan test-valgrind sim fuzz soak

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

test-threads: ## the specs of threads alone under ThreadSanitizer
	@$(MAKE) SANITIZER=thread build/tsan/spec/c_runtime
	@for case in $$(build/tsan/spec/c_runtime --list | sed 's| .*||' | grep -E 'thread|inbox|link'); do \
	  TSAN_OPTIONS=halt_on_error=1 TROUPE_SLOW=8 build/tsan/spec/c_runtime --run $$case || exit 1; done

test-tsan: ## the specs under ThreadSanitizer
	@$(MAKE) SANITIZER=thread all specs
	@TSAN_OPTIONS=halt_on_error=1 TROUPE_SLOW=8 $(MAKE) SANITIZER=thread run-specs

test-valgrind: ## the C checks and the programs that the specs start under valgrind
	@command -v valgrind >/dev/null || { echo 'make: valgrind is missing (apt-get install valgrind)' >&2; exit 1; }
	@$(MAKE) all specs
	@TROUPE_WRAP='valgrind -q --error-exitcode=99 --leak-check=full --errors-for-leak-kinds=definite' \
	  TROUPE_SLOW=30 $(MAKE) run-specs

sim: ## simulated networks of hosts and workers: SEEDS=1000 of them, or SEED=N again
	@$(MAKE) all
	@$(SPEC_ENV) lua5.4 spec/sim/run $(if $(SEED),1 $(SEED),$(or $(SEEDS),1000))

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
	$(Q)$(CC) $(CFLAGS) $(LDFLAGS) $^ $(WITH_LUA) $(LDLIBS) -o $@
