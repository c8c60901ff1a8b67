#!/usr/bin/env bash
# What action.yml does: installs the emulator in an environment of its own, runs the command under `emulator exec`, and puts
# what was found into the job summary. Each EMULATOR_... is an input of the action.
set -euo pipefail

home=$(mktemp -d)
source=${EMULATOR_VERSION:+llm-emulator==$EMULATOR_VERSION}
python3 -m venv "$home"
"$home/bin/pip" install --quiet "${source:-$(cd "$(dirname "$0")/../.." && pwd)}"

options=(--summary "${GITHUB_STEP_SUMMARY:-/dev/null}")
[ -z "${EMULATOR_PROVIDER:-}" ] || options+=(--provider "$EMULATOR_PROVIDER")
[ "${EMULATOR_STRICT:-true}" != true ] || options+=(--strict)
[ -z "${EMULATOR_JOURNAL:-}" ] || options+=(--journal "$EMULATOR_JOURNAL")
# Scenarios and further options are words, as on a command line.
# shellcheck disable=SC2086
exec "$home/bin/emulator" exec ${EMULATOR_SCENARIOS:-} "${options[@]}" ${EMULATOR_OPTIONS:-} -- bash -euo pipefail -c "$EMULATOR_RUN"
