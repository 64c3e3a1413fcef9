#!/usr/bin/env bash
# Makes results/examples anew: five copies of the demo's model, one with a wrong template, four hosts; about an hour on two cores.
#     make examples [CACHE=~/.cache/fidelity-harness]     a cache spares fetching and converting the model
# Every path is relative, so that no published page names a folder of the machine that made it.
set -euo pipefail
fidelity=$(realpath "${VENV:-.venv}/bin/fidelity")
examples=$(realpath results)/examples
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
cd "$work"
export FIDELITY_CACHE=cache FIDELITY_RESULTS=runs
[ -z "${CACHE:-}" ] || cp -r "$CACHE" cache

# an honest bf16 copy; int8, nf4 and 4-bit round to nearest sold as bf16; nf4 that says so
"$fidelity" demo --profile quick

# the same weights with a template that leaves out the default system message
"$fidelity" demo --model-to SmolLM2-135M-Instruct
cp -r SmolLM2-135M-Instruct without-system-message
sed -i "s/{% if loop.first and messages\[0\]\['role'\] != 'system' %}/{% if false %}/" without-system-message/chat_template.jinja
"$fidelity" compare SmolLM2-135M-Instruct without-system-message --claim bf16 --profile quick || [ $? = 1 ]

# four llama.cpp servers: sound, Q4_0, another template, a quarter of the requests on Q4_0
"$fidelity" demo --hosts

rm -rf "$examples"
mapfile -t runs < <(ls runs)
"$fidelity" publish "${runs[@]}" -o "$examples" --title "SmolLM2-135M-Instruct, its copies and its hosts"
